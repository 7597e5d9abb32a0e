// The span of time that a page shows.
import { describe, expect, it } from 'vitest';
import {
  asked,
  DAY,
  liveStepMs,
  notAfter,
  pointsFor,
  rangeMs,
  saneSpan,
  shifted,
  SPAN_MS_MAX,
  SPAN_MS_MIN,
  spanOf,
  zoomed,
} from './range';

const NOW = Date.UTC(2026, 10, 24, 12, 0, 7);
const HOUR = 3_600_000;
const none = { range: '', from: null, to: null };

describe('what the address says', () => {
  it('is a relative range that ends now, or both ends', () => {
    expect(spanOf({ ...none, range: '6h' }, NOW)).toEqual({ from: NOW - 6 * HOUR, to: NOW });
    expect(spanOf({ range: '6h', from: 1000, to: 61_000 }, NOW)).toEqual({ from: 1000, to: 61_000 });
  });

  it('is an hour where it makes no sense', () => {
    for (const range of ['', '6', 'h', '-1h', '1e3h', '0m', '99999y', '6h ']) {
      expect(spanOf({ ...none, range }, NOW), range).toEqual({ from: NOW - HOUR, to: NOW });
    }
    expect(spanOf({ range: '', from: 61_000, to: 1000 }, NOW).to).toBe(NOW);
    expect(spanOf({ range: '', from: 61_000, to: null }, NOW).to).toBe(NOW);
  });

  it('knows minutes, hours, days and years', () => {
    expect(['15m', '24h', '7d', '1y'].map(rangeMs)).toEqual([900_000, DAY, 7 * DAY, 365 * DAY]);
  });
});

describe('moving', () => {
  const span = { from: NOW - HOUR, to: NOW };

  it('shifts by a share and zooms around a moment that stays where it is', () => {
    expect(shifted(span, -0.5)).toEqual({ from: NOW - 1.5 * HOUR, to: NOW - 0.5 * HOUR });
    expect(zoomed(span, 0.5)).toEqual({ from: NOW - 0.75 * HOUR, to: NOW - 0.25 * HOUR });
    expect(zoomed(span, 2, NOW)).toEqual({ from: NOW - 2 * HOUR, to: NOW });
  });

  it('never gets too short, too long or the wrong way round', () => {
    expect(saneSpan(NOW + 1000, NOW)).toEqual({ from: NOW + 500 - SPAN_MS_MIN / 2, to: NOW + 500 + SPAN_MS_MIN / 2 });
    const longest = zoomed(span, 1e9);
    expect(longest.to - longest.from).toBe(SPAN_MS_MAX);
  });

  it('does not end in the future', () => {
    expect(notAfter(shifted(span, 0.5), NOW)).toEqual(span);
    expect(notAfter(shifted(span, -0.5), NOW)).toEqual(shifted(span, -0.5));
  });

  it('goes by milliseconds over the night of 25 hours', () => {
    // Berlin's summer time ends on 25 October 2026: noon a day earlier is an hour "later" there.
    const noon = Date.UTC(2026, 9, 25, 11);
    const earlier = shifted({ from: noon - DAY, to: noon }, -1);
    expect(noon - earlier.to).toBe(DAY);
    const hour = (at: number) =>
      new Intl.DateTimeFormat('en', { hour: '2-digit', hourCycle: 'h23', timeZone: 'Europe/Berlin' }).format(at);
    expect([hour(noon), hour(earlier.to)]).toEqual(['12', '13']);
  });
});

it('follows the present by seconds, or by what can be seen of a long span', () => {
  expect([900_000, HOUR, 6 * HOUR, 30 * DAY].map(liveStepMs)).toEqual([1000, 1000, 36_000, 4_320_000]);
});

describe('what is asked for', () => {
  it('takes a point every two pixels, within bounds and in steps', () => {
    expect([0, 390, 700, 740, 1600, 9000].map(pointsFor)).toEqual([120, 180, 360, 360, 780, 1200]);
  });

  it('covers the span in whole buckets and stays the same while a bucket fills', () => {
    const span = { from: NOW - 24 * HOUR, to: NOW };
    const first = asked(span, 600, true);
    expect([first.start % 300_000, first.end % 300_000]).toEqual([0, 0]);
    expect(first.start).toBeLessThanOrEqual(span.from);
    expect(first.end).toBeGreaterThanOrEqual(span.to);
    expect(asked({ from: span.from + 60_000, to: span.to + 60_000 }, 600, true)).toEqual(first);
  });

  it('reads short spans that follow the present again every five minutes', () => {
    const span = { from: NOW - HOUR, to: NOW };
    expect(asked(span, 600, true).end % 300_000).toBe(0);
    expect(asked(span, 600, false)).toEqual({ start: span.from - 7000, end: span.to + 3000, points: 600 });
  });
});
