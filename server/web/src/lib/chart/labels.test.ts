// Words for times below a chart.
import { expect, it } from 'vitest';
import { offsetMs, spanText, tickLabels, width } from './labels';

const HOUR = 3_600_000;

it('knows how far zones are ahead of UTC', () => {
  const at = Date.UTC(2026, 6, 1);
  const zones = ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu'];
  expect(zones.map((zone) => offsetMs(zone, at) / HOUR)).toEqual([0, 2, -2.5, 5.75]);
  expect(offsetMs('Europe/Berlin', Date.UTC(2026, 0, 1)) / HOUR).toBe(1);
});

it('says the day where it changes, and only there', () => {
  const from = Date.UTC(2026, 10, 24, 22);
  const at = [from, from + HOUR, from + 2 * HOUR, from + 3 * HOUR];
  expect(tickLabels('en', 'UTC', { stepMs: HOUR, at })).toEqual(['22:00\nNov 24', '23:00', '00:00\nNov 25', '01:00']);
  expect(tickLabels('en', 'UTC', { stepMs: 1000, at: [from] })).toEqual(['22:00:00\nNov 24']);
});

it('tells the hour that comes twice by its distance from UTC', () => {
  const first = Date.UTC(2026, 9, 25, 0);
  const labels = tickLabels('en', 'Europe/Berlin', { stepMs: HOUR, at: [first, first + HOUR, first + 2 * HOUR] });
  expect(labels).toEqual(['02:00\nOct 25', '02:00\nGMT+1', '03:00']);
});

it('says days and years for long spans', () => {
  const at = [Date.UTC(2026, 11, 1), Date.UTC(2026, 11, 29), Date.UTC(2027, 0, 26)];
  expect(tickLabels('en', 'UTC', { stepMs: 28 * 24 * HOUR, at })).toEqual(['Dec 1\n2026', 'Dec 29', 'Jan 26\n2027']);
});

it('says how wide a bucket is', () => {
  expect([1, 5000, 120_000, 2 * HOUR, 48 * HOUR].map(width)).toEqual([
    null,
    { value: 5, unit: 'second' },
    { value: 2, unit: 'minute' },
    { value: 2, unit: 'hour' },
    { value: 2, unit: 'day' },
  ]);
});

it('writes a span, and what its ends share once', () => {
  const at = Date.UTC(2026, 10, 24, 14, 5);
  const text = (ms: number) => spanText('en', 'UTC', at, at + ms).replace(/\s/g, ' ');
  expect(text(HOUR)).toBe('Nov 24, 2026, 14:05 – 15:05');
  expect(text(60_000)).toBe('Nov 24, 2026, 14:05:00 – 14:06:00');
  expect(text(30 * 24 * HOUR)).toBe('Nov 24 – Dec 24, 2026');
});
