// Times as people type them: of their zone, without an offset.
import { offsetMs } from '../chart/labels';

const DAY = 86_400_000;

/** As `datetime-local` takes it: `2026-11-24T14:05:12`. */
export function toZoned(at: number, zone: string): string {
  return new Date(at + offsetMs(zone, at)).toISOString().slice(0, 19);
}

/**
 * The moment of a time of a zone; null for what is no time. One that comes twice is the later one; one that the clocks pass
 * over is as much later as they do.
 */
export function fromZoned(text: string, zone: string): number | null {
  if (!/^\d{4,6}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?$/.test(text)) return null;
  const local = Date.parse(`${text}Z`);
  if (Number.isNaN(local)) return null;
  const before = local - offsetMs(zone, local - DAY);
  const after = local - offsetMs(zone, local + DAY);
  const isRight = (at: number) => at + offsetMs(zone, at) === local;
  const right = [before, after].filter(isRight);
  return right.length > 0 ? Math.max(...right) : before;
}
