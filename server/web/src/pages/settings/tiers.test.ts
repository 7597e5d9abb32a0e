// What is typed about the retention becomes what the server is asked, and back.
import { expect, it } from 'vitest';
import { DAY_MS } from '$lib/format/times';
import { keepMs, keepsOf, readable, retentionOf, shortened } from './tiers';

const RETENTION = { rawMs: 2.25 * DAY_MS, oneMinuteMs: 90 * DAY_MS, oneHourMs: 400 * DAY_MS, oneDayMs: null };

it('understands days, parts of them, and for ever', () => {
  expect(keepMs({ days: '2.25', isForEver: false })).toBe(194_400_000);
  expect(keepMs({ days: ' 30 ', isForEver: false })).toBe(30 * DAY_MS);
  expect(keepMs({ days: 'x', isForEver: true })).toBeNull();
  for (const days of ['', ' ', '0', '-1', 'x', 'Infinity']) expect(keepMs({ days, isForEver: false })).toBeUndefined();
});

it('asks for what it was shown', () => {
  expect(retentionOf(keepsOf(RETENTION))).toEqual(RETENTION);
  expect(retentionOf({ ...keepsOf(RETENTION), '1h': { days: 'many', isForEver: false } })).toBeNull();
});

it('knows what a change drops', () => {
  expect(shortened(RETENTION, RETENTION)).toEqual([]);
  expect(shortened(RETENTION, { ...RETENTION, oneHourMs: 100 * DAY_MS, oneDayMs: DAY_MS, rawMs: null })).toEqual([
    ['1h', 100 * DAY_MS],
    ['1d', DAY_MS],
  ]);
});

it('says spans in the words of people', () => {
  const message = 'raw must be kept for at least 194400000 ms; with 1000 ms it would not do';
  expect(readable(message, (ms) => `${ms / 3_600_000} h`)).toBe(
    'raw must be kept for at least 54 h; with 0.0002777777777777778 h it would not do',
  );
});
