// Moments and spans. Every moment is milliseconds since the Unix epoch; a zone is an IANA name.
import { dateFormat, numberFormat, relativeFormat } from './intl';
import { NONE } from './numbers';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A day of 24 hours; those of a zone may have 23 or 25. */
export const DAY_MS = DAY;

type Moment = number | null | undefined;

/** Day and time: `24 Nov 2026, 14:05:12`. */
export function dateTime(language: string, zone: string, at: Moment): string {
  if (at === null || at === undefined) return NONE;
  return dateFormat(language, { dateStyle: 'medium', timeStyle: 'medium', timeZone: zone, hourCycle: 'h23' }).format(
    at,
  );
}

/** The time of a day, to the minute or the second. */
export function timeOfDay(language: string, zone: string, at: number, withSeconds = false): string {
  const second = withSeconds ? ({ second: '2-digit' } as const) : {};
  const options = { hour: '2-digit', minute: '2-digit', ...second, timeZone: zone, hourCycle: 'h23' } as const;
  return dateFormat(language, options).format(at);
}

/** The zone's distance from UTC at a moment: `GMT+1`. Needed where an hour comes twice. */
export function zoneOffset(language: string, zone: string, at: number): string {
  const parts = dateFormat(language, { timeZone: zone, timeZoneName: 'shortOffset' }).formatToParts(at);
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? '';
}

/** How long ago in words: `12 seconds ago`. What lies ahead is now: clocks differ. */
export function ago(language: string, at: Moment, now: number): string {
  if (at === null || at === undefined) return NONE;
  const [value, unit] = largest(Math.max(0, now - at));
  return relativeFormat(language, { numeric: 'auto', style: 'long' }).format(-value, unit);
}

/** How long, as narrow as it gets, for cells: `12 s`, `3 h`. */
export function span(language: string, ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NONE;
  const [value, unit] = largest(Math.max(0, ms));
  return numberFormat(language, { style: 'unit', unit, unitDisplay: 'short' }).format(value);
}

function largest(ms: number): [number, 'second' | 'minute' | 'hour' | 'day'] {
  if (ms < MINUTE) return [Math.floor(ms / SECOND), 'second'];
  if (ms < HOUR) return [Math.floor(ms / MINUTE), 'minute'];
  if (ms < DAY) return [Math.floor(ms / HOUR), 'hour'];
  return [Math.floor(ms / DAY), 'day'];
}
