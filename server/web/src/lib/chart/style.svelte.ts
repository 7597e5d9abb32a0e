// How charts look and write at the moment: theme, language, zone, units.
import { numberFormat } from '../format/intl';
import { format } from '../format/format.svelte';
import { i18n } from '../i18n/i18n.svelte';
import { preferences } from '../preferences.svelte';
import { theme } from '../theme.svelte';
import { offsetMs, tickLabels, width } from './labels';
import type { Style } from './axes';
import { axisUnit, SUFFIXES, xTicks, type Kind } from './scale';

/** For one chart. Reading it in an effect or `$derived` makes that follow the theme and the preferences. */
export function styleOf(kind: Kind, onunit: (label: string) => void): Style {
  const { language } = i18n;
  const { zone, rateUnit } = preferences;
  const colors = theme.isDark;
  void colors;
  const number = numberFormat(language, { maximumFractionDigits: 2 });
  return {
    color: (token) => theme.color(token),
    font: getComputedStyle(document.body).fontFamily,
    unit: (max) => axisUnit(kind, max, rateUnit),
    number: (value) => number.format(value),
    xTicks: (from, to, most) => xTicks(from, to, most, (at) => offsetMs(zone, at)),
    xLabels: (ticks) => tickLabels(language, zone, ticks),
    onunit,
  };
}

/** A value with its unit, as legends and tooltips have it. */
export function written(kind: Kind, value: number | null): string {
  switch (kind) {
    case 'percent':
      return format.percent(value);
    case 'bytes':
      return format.bytes(value);
    case 'bytesPerSecond':
      return format.rate(value);
    case 'bitsPerSecond':
      return scaled(value, 'bit/s');
    case 'hertz':
      return scaled(value, 'Hz');
    case 'seconds':
      return value === null ? format.decimal(value) : writtenWidth(value * 1000) || format.decimal(value);
    default: {
      const suffix = value === null ? undefined : SUFFIXES[kind];
      return suffix ? `${format.decimal(value)} ${suffix}` : format.decimal(value);
    }
  }
}

function scaled(value: number | null, unit: string): string {
  if (value === null) return format.decimal(value);
  const { label, divisor } = axisUnit('hertz', value, 'bits');
  return `${format.decimal(value / divisor)} ${label.replace('Hz', unit)}`;
}

/** `2 min`, the width of a bucket. */
export function writtenWidth(ms: number): string {
  const found = width(ms);
  if (!found) return '';
  const options = { style: 'unit', unit: found.unit, unitDisplay: 'short', maximumFractionDigits: 1 } as const;
  return numberFormat(i18n.language, options).format(found.value);
}

/** A moment with its zone's distance from UTC: hours that come twice are told apart. */
export const writtenMoment = (at: number) => `${format.dateTime(at)} ${format.zoneOffset(at)}`;
