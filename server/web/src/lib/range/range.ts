// The span of time that a page shows: relative (`6h`, ends now) or fixed. Spans are milliseconds and never wall-clock days:
// "yesterday" is 24 hours ago, on days of 23 or 25 hours, too.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const UNITS: Readonly<Record<string, number>> = { m: MINUTE, h: HOUR, d: DAY, y: 365 * DAY };

export const PRESETS = ['15m', '1h', '6h', '24h', '7d', '30d', '1y'] as const;
export const DEFAULT_RANGE = '1h';

/** The shortest span that can be zoomed into, and the longest that the API answers. */
export const SPAN_MS_MIN = 10_000;
export const SPAN_MS_MAX = 3_660 * DAY;

/** From the first millisecond shown to the first not shown. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** The length of `15m`, `6h`, `30d` or `1y`; null for what is none of these. */
export function rangeMs(range: string): number | null {
  const [, count = '', unit = ''] = /^(\d{1,5})([mhdy])$/.exec(range) ?? [];
  const ms = Number(count) * (UNITS[unit] ?? NaN);
  return ms >= SPAN_MS_MIN && ms <= SPAN_MS_MAX ? ms : null;
}

/** A span that can be shown: the right way round, neither too short nor too long. */
export function saneSpan(a: number, b: number): Span {
  const [from, to] = a <= b ? [a, b] : [b, a];
  const middle = (from + to) / 2;
  const length = Math.min(Math.max(to - from, SPAN_MS_MIN), SPAN_MS_MAX);
  if (length === to - from) return { from: Math.round(from), to: Math.round(to) };
  return { from: Math.round(middle - length / 2), to: Math.round(middle + length / 2) };
}

/** The span in the address: both ends, or a relative one that ends at `now`. Nonsense counts as not given. */
export function spanOf(search: { range: string; from: number | null; to: number | null }, now: number): Span {
  if (search.from !== null && search.to !== null && search.from < search.to) return saneSpan(search.from, search.to);
  return { from: now - (rangeMs(search.range) ?? HOUR), to: now };
}

export const spanMs = ({ from, to }: Span) => to - from;

/** Earlier (negative) or later by a share of its length. */
export function shifted({ from, to }: Span, share: number): Span {
  const by = Math.round((to - from) * share);
  return { from: from + by, to: to + by };
}

/** Narrower (factor below 1) or wider, around a moment: the middle unless another is given. */
export function zoomed({ from, to }: Span, factor: number, around = (from + to) / 2): Span {
  return saneSpan(around - (around - from) * factor, around + (to - around) * factor);
}

/** The same length, moved back so far that it does not end after `now`. */
export function notAfter({ from, to }: Span, now: number): Span {
  const over = Math.max(0, Math.round(to - now));
  return { from: from - over, to: to - over };
}

/** Widths of buckets that the server chooses from, up to a day; above, whole days. */
const PLEASANT_MS = [
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * 1000),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 6, 12].map((hours) => hours * HOUR),
];

/** About how wide the server's buckets will be. */
export function expectedBucketMs(span: Span, points: number): number {
  const wanted = spanMs(span) / points;
  return PLEASANT_MS.find((ms) => ms >= wanted) ?? Math.ceil(wanted / DAY) * DAY;
}

/** Points for a chart of this width: one every two pixels, in steps so that a few pixels more change nothing. */
export function pointsFor(widthPx: number): number {
  return Math.min(1200, Math.max(120, Math.round(widthPx / 2 / 60) * 60));
}

/** How often a span that follows the present is read again: late samples appear, lines do not wobble in between. */
const REREAD_MS = 5 * MINUTE;

/** What to ask the server for: the span, widened to whole buckets so that the cache is hit. */
export function asked(span: Span, points: number, isLive: boolean): { start: number; end: number; points: number } {
  const bucket = expectedBucketMs(span, points);
  const step = isLive && spanMs(span) <= HOUR ? Math.max(bucket, REREAD_MS) : bucket;
  return { start: Math.floor(span.from / step) * step, end: Math.ceil(span.to / step) * step, points };
}

/** Steps in which a span of this length follows the present: seconds for short ones, else about a pixel. */
export function liveStepMs(lengthMs: number): number {
  return lengthMs <= HOUR ? 1000 : Math.ceil(lengthMs / 600 / 1000) * 1000;
}
