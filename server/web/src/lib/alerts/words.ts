// How alerts are put into words. What a later server says that is not known here is shown as it says it.
import type { format as Format } from '$lib/format/format.svelte';
import { NONE } from '$lib/format/numbers';
import type { Messages } from '$lib/i18n/en';
import type { Alert } from '$lib/queries/alerts';

type Formatters = Pick<typeof Format, 'bytes' | 'rate' | 'decimal' | 'span'>;
type Value = number | null | undefined;

/** The word for a name that the server gives. */
export function wordFor(words: Readonly<Record<string, string>>, name: string): string {
  return Object.hasOwn(words, name) ? (words[name] ?? name) : name;
}

/** A value with its unit. */
export function valueText(value: Value, unit: string, format: Formatters): string {
  if (value === null || value === undefined) return NONE;
  switch (unit) {
    case 'percent':
      // A threshold of 99.5 % is none of 100 %.
      return `${format.decimal(value)} %`;
    case 'bytes':
      return format.bytes(value);
    case 'bytesPerSecond':
      return format.rate(value);
    case 'perSecond':
      return `${format.decimal(value)}/s`;
    case 'perHour':
      return `${format.decimal(value)}/h`;
    case 'celsius':
      return `${format.decimal(value)} °C`;
    case 'watts':
      return `${format.decimal(value)} W`;
    case 'revolutionsPerMinute':
      return `${format.decimal(value)} rpm`;
    case 'hertz':
      return `${format.decimal(value / 1e6)} MHz`;
    case 'bitsPerSecond':
      return `${format.decimal(value / 1e6)} Mbit/s`;
    case 'seconds':
      return format.span(value * 1000);
    case 'milliseconds':
    case 'ms':
      return Math.abs(value) < 1000 ? `${format.decimal(value)} ms` : format.span(Math.abs(value));
    case 'days':
      return format.span(value * 86_400_000);
    case 'agents':
    case 'count':
    case 'boolean':
    case 'code':
    case '':
      return format.decimal(value);
    default:
      return `${format.decimal(value)} ${unit}`;
  }
}

type Measured = Pick<Alert, 'value' | 'peakValue' | 'threshold' | 'recoveryThreshold' | 'unit' | 'state'>;

/** The value against its threshold, of what is over the peak; empty for conditions without a value. */
export function againstThreshold(alert: Measured, t: Messages['alerts'], format: Formatters): string {
  const { threshold, recoveryThreshold, unit } = alert;
  const value = alert.state === 'firing' ? alert.value : (alert.peakValue ?? alert.value);
  if (value === null || value === undefined) return '';
  const text = valueText(value, unit, format);
  const said = alert.state === 'firing' ? text : t.peak(text);
  if (threshold === null || threshold === undefined) return said;
  // The way back lies on the good side; without one the value tells.
  const isBelow =
    (recoveryThreshold ?? threshold) === threshold ? value < threshold : (recoveryThreshold ?? 0) > threshold;
  return (isBelow ? t.below : t.above)(said, valueText(threshold, unit, format));
}

/** What an alert is about that has no agent. */
export function targetText(target: string | null | undefined, t: Messages['alerts']): string {
  if (!target || target === 'fleet') return target ? t.fleet : t.pika;
  if (target.startsWith('tag:')) return t.tag(target.slice('tag:'.length));
  // Which part of it the rule's name says, and which channel the name beside it.
  return target.startsWith('system:') ? t.pika : target;
}

/** The severity that comes first. */
export function worstOf(firing: Readonly<Record<'critical' | 'warning' | 'info', number>>) {
  return (['critical', 'warning', 'info'] as const).find((severity) => firing[severity] > 0) ?? null;
}
