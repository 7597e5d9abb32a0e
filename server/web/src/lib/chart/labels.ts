// Words for times below a chart, in the language and the zone of whoever looks at it.
import { dateFormat } from '../format/intl';
import { timeOfDay, zoneOffset } from '../format/times';
import type { XTicks } from './scale';

const MINUTE = 60_000;
const DAY = 86_400_000;
/** No zone changes its distance from UTC within a quarter of an hour of the clock. */
const QUARTER = 15 * MINUTE;
const KNOWN_MAX = 5000;
const known = new Map<string, number>();

/** How far a zone is ahead of UTC at a moment, in milliseconds. */
export function offsetMs(zone: string, at: number): number {
  const key = `${zone} ${Math.floor(at / QUARTER)}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const parts = dateFormat('en', { timeZone: zone, timeZoneName: 'longOffset' }).formatToParts(at);
  const text = parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const [, sign = '+', hours = '0', minutes = '0'] = /GMT([+-])(\d+):?(\d+)?/.exec(text) ?? [];
  const offset = (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * MINUTE;
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(key, offset);
  return offset;
}

/** One label a tick. A second line says the day where it changes, and the distance from UTC where that does. */
export function tickLabels(language: string, zone: string, { stepMs, at }: XTicks): string[] {
  const day = (moment: number) =>
    dateFormat(language, { day: 'numeric', month: 'short', timeZone: zone }).format(moment);
  const year = (moment: number) => dateFormat(language, { year: 'numeric', timeZone: zone }).format(moment);
  return at.map((moment, i) => {
    const before = at[i - 1];
    const isNew = (text: (of: number) => string) => before === undefined || text(before) !== text(moment);
    if (stepMs >= DAY) return isNew(year) ? `${day(moment)}\n${year(moment)}` : day(moment);
    const time = timeOfDay(language, zone, moment, stepMs < MINUTE);
    if (before !== undefined && offsetMs(zone, before) !== offsetMs(zone, moment)) {
      return `${time}\n${zoneOffset(language, zone, moment)}`;
    }
    return isNew(day) ? `${time}\n${day(moment)}` : time;
  });
}

/** `2 min`, for the width of a bucket; an empty text for less than a second, which is a sample itself. */
export function width(ms: number): { value: number; unit: 'second' | 'minute' | 'hour' | 'day' } | null {
  if (ms < 1000) return null;
  if (ms < MINUTE) return { value: ms / 1000, unit: 'second' };
  if (ms < 60 * MINUTE) return { value: ms / MINUTE, unit: 'minute' };
  if (ms < DAY) return { value: ms / (60 * MINUTE), unit: 'hour' };
  return { value: ms / DAY, unit: 'day' };
}

/** A span in words, what both ends share said once: `Nov 24, 2026, 14:05 – 15:05`. */
export function spanText(language: string, zone: string, from: number, to: number): string {
  const span = to - from;
  const timeStyle = span < 10 * MINUTE ? 'medium' : 'short';
  const time = span < 7 * DAY ? ({ timeStyle, hourCycle: 'h23' } as const) : {};
  return dateFormat(language, { dateStyle: 'medium', ...time, timeZone: zone }).formatRange(from, to);
}
