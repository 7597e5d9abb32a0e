// The y axis: from where to where, in which unit, and which ticks stand on it.
import type { RateUnit } from '../preferences.svelte';

/** What the numbers of a chart are. */
export type Kind =
  | 'percent'
  | 'bytes'
  | 'bytesPerSecond'
  | 'bitsPerSecond'
  | 'hertz'
  | 'perSecond'
  | 'perHour'
  | 'milliseconds'
  | 'seconds'
  | 'celsius'
  | 'watts'
  | 'revolutionsPerMinute'
  | 'count';

/** What is written behind numbers that are not scaled. */
export const SUFFIXES: Partial<Record<Kind, string>> = {
  perSecond: '/s',
  perHour: '/h',
  milliseconds: 'ms',
  celsius: '°C',
  watts: 'W',
  revolutionsPerMinute: 'rpm',
};

/** The kind of a unit of the server; a plain number for one that is not known. */
export const kindOf = (unit: string): Kind => (unit in KINDS ? KINDS[unit as keyof typeof KINDS] : 'count');

const KINDS = {
  percent: 'percent',
  bytes: 'bytes',
  bytesPerSecond: 'bytesPerSecond',
  bitsPerSecond: 'bitsPerSecond',
  hertz: 'hertz',
  perSecond: 'perSecond',
  perHour: 'perHour',
  milliseconds: 'milliseconds',
  seconds: 'seconds',
  celsius: 'celsius',
  watts: 'watts',
  revolutionsPerMinute: 'revolutionsPerMinute',
} as const;

/** From zero (percentages: to 100); just around the values; or by powers of ten. */
export type ScaleMode = 'whole' | 'fit' | 'log';

/** A chart where the reference is far above the values shows the values. */
const REFERENCE_SHARE_MIN = 1 / 3;
const HEADROOM = 1.08;

/** The ends of the axis. `reference` is a line such as the total of memory or the number of cores. */
export function yRange(
  kind: Kind,
  mode: ScaleMode,
  values: { min: number | null; max: number | null },
  reference: number | null,
): [number, number] {
  const min = values.min ?? 0;
  // Only temperatures go below zero.
  const least = kind === 'celsius' ? Math.min(0, min * HEADROOM) : 0;
  const max = values.max ?? min;
  if (mode === 'fit') {
    const room = (max - min || Math.abs(max) || 1) * (HEADROOM - 1);
    return [kind === 'celsius' ? min - room : Math.max(0, min - room), max + room];
  }
  if (kind === 'percent') return [0, 100];
  const isReferenceNear = reference !== null && (kind === 'bytes' || max >= reference * REFERENCE_SHARE_MIN);
  const top = Math.max(max, isReferenceNear ? reference : 0) * HEADROOM;
  return [least, top > 0 ? top : 1];
}

export interface AxisUnit {
  /** Stands once, above the axis. */
  readonly label: string;
  /** Values are divided by it before they are written. */
  readonly divisor: number;
}

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const DECIMAL = ['', 'k', 'M', 'G', 'T', 'P'];

/** The unit in which an axis up to `max` is written. */
export function axisUnit(kind: Kind, max: number, rateUnit: RateUnit): AxisUnit {
  const power = (value: number, base: number, last: number) =>
    Math.min(last, Math.max(0, Math.floor(Math.log(Math.max(value, 1)) / Math.log(base) + 1e-9)));
  switch (kind) {
    case 'percent':
      return { label: '%', divisor: 1 };
    case 'bytes': {
      const exponent = power(max, 1024, BINARY.length - 1);
      return { label: BINARY[exponent] ?? '', divisor: 1024 ** exponent };
    }
    case 'bytesPerSecond': {
      const factor = rateUnit === 'bits' ? 8 : 1;
      const exponent = power(max * factor, 1000, DECIMAL.length - 1);
      return {
        label: `${DECIMAL[exponent] ?? ''}${rateUnit === 'bits' ? 'bit' : 'B'}/s`,
        divisor: 1000 ** exponent / factor,
      };
    }
    case 'bitsPerSecond':
    case 'hertz': {
      const exponent = power(max, 1000, DECIMAL.length - 1);
      const unit = kind === 'hertz' ? 'Hz' : 'bit/s';
      return { label: `${DECIMAL[exponent] ?? ''}${unit}`, divisor: 1000 ** exponent };
    }
    case 'seconds': {
      const [label, divisor] = max >= 2 * 86_400 ? (['d', 86_400] as const) : (['s', 1] as const);
      return { label, divisor };
    }
    default:
      return { label: SUFFIXES[kind] ?? '', divisor: 1 };
  }
}

/** About so many ticks, each a round number of the unit. */
export function yTicks(min: number, max: number, divisor: number, wanted: number): number[] {
  const span = (max - min) / divisor;
  if (!(span > 0) || wanted < 1) return [];
  const rough = span / wanted;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * magnitude >= rough * (1 - 1e-9)) ?? 10) * magnitude;
  const ticks: number[] = [];
  const first = Math.ceil(min / divisor / step - 1e-9);
  for (let n = first; n * step <= max / divisor + step * 1e-9; n++) {
    ticks.push(Number((n * step).toPrecision(12)) * divisor);
  }
  return ticks;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const X_STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14, 28, 56, 91, 182].map((n) => n * DAY),
];

export interface XTicks {
  readonly stepMs: number;
  readonly at: readonly number[];
}

/**
 * Round times of the zone, at most so many. `offset` is the zone's distance from UTC at a moment, in milliseconds: after a
 * change of it, ticks are at round times of the new one.
 */
export function xTicks(from: number, to: number, most: number, offset: (at: number) => number): XTicks {
  const stepMs = X_STEPS.find((step) => (to - from) / step <= most) ?? Math.ceil((to - from) / most / DAY) * DAY;
  const at: number[] = [];
  for (let tick = from; at.length <= most * 2;) {
    const local = offset(tick);
    let next = Math.ceil((tick + local) / stepMs) * stepMs - local;
    // The step may lead over a change of the zone's distance.
    const change = offset(next) - local;
    if (change !== 0 && stepMs > HOUR) next -= change;
    if (next > to) break;
    if (next >= from && next > (at.at(-1) ?? -Infinity)) at.push(next);
    tick = next + 1;
  }
  return { stepMs, at };
}
