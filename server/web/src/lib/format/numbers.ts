// Numbers with their units. No value is an en dash, and never a zero.
import { numberFormat } from './intl';

export const NONE = '–';

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
const DECIMAL = ['', 'k', 'M', 'G', 'T', 'P'] as const;

type Value = number | null | undefined;

const isNone = (value: Value): value is null | undefined =>
  value === null || value === undefined || Number.isNaN(value);

/** Three significant digits, and no digit of a whole number lost. */
function short(language: string, value: number): string {
  const maximumFractionDigits = Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return numberFormat(language, { maximumFractionDigits, useGrouping: true }).format(value);
}

/** The value in the largest unit of which there is at least one. */
function scaled(value: number, base: number, units: readonly string[]): [number, string] {
  let [rest, unit] = [value, 0];
  // What would be written as the next unit's 1 is one.
  while (Math.abs(rest) >= base - 0.5 && unit < units.length - 1) {
    rest /= base;
    unit += 1;
  }
  return [rest, units[unit] ?? ''];
}

export function count(language: string, value: Value): string {
  return isNone(value) ? NONE : numberFormat(language, { maximumFractionDigits: 0 }).format(value);
}

export function decimal(language: string, value: Value): string {
  return isNone(value) ? NONE : short(language, value);
}

/** Of 0 to 100. */
export function percent(language: string, value: Value): string {
  if (isNone(value)) return NONE;
  const maximumFractionDigits = Math.abs(value) < 9.95 ? 1 : 0;
  return `${numberFormat(language, { maximumFractionDigits }).format(value)} %`;
}

/** A share of time, in percent: 99.95 is not 100, so it is cut off and not rounded. */
export function share(language: string, value: Value): string {
  if (isNone(value)) return NONE;
  return `${numberFormat(language, { maximumFractionDigits: 2 }).format(Math.floor(value * 100 + 1e-6) / 100)} %`;
}

/** Sizes of memory and disks, in units of 1024. */
export function bytes(language: string, value: Value): string {
  if (isNone(value)) return NONE;
  const [rest, unit] = scaled(value, 1024, BINARY);
  return `${short(language, rest)} ${unit}`;
}

/** Rates, from bytes a second, in units of 1000. */
export function rate(language: string, unit: 'bytes' | 'bits', bytesPerSecond: Value): string {
  if (isNone(bytesPerSecond)) return NONE;
  const [rest, prefix] = scaled(unit === 'bits' ? bytesPerSecond * 8 : bytesPerSecond, 1000, DECIMAL);
  return `${short(language, rest)} ${prefix}${unit === 'bits' ? 'bit' : 'B'}/s`;
}
