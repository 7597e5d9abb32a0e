// Times as people type them, on the days when clocks are changed, too.
import { expect, it } from 'vitest';
import { fromZoned, toZoned } from './zoned';

const BERLIN = 'Europe/Berlin';

it('reads what it writes', () => {
  for (const at of [Date.UTC(2026, 0, 1), Date.UTC(2026, 6, 1, 12, 30, 15), Date.UTC(2026, 9, 25, 5)]) {
    for (const zone of [BERLIN, 'UTC', 'Asia/Kathmandu', 'America/St_Johns']) {
      expect(fromZoned(toZoned(at, zone), zone), `${at} ${zone}`).toBe(at);
    }
  }
  expect(toZoned(Date.UTC(2026, 10, 24, 13, 5, 12), BERLIN)).toBe('2026-11-24T14:05:12');
});

it('takes the later of two, and passes over what is not there', () => {
  expect(fromZoned('2026-10-25T02:30', BERLIN)).toBe(Date.UTC(2026, 9, 25, 1, 30));
  expect(fromZoned('2026-03-29T02:30', BERLIN)).toBe(Date.UTC(2026, 2, 29, 1, 30));
});

it('takes nothing else', () => {
  expect(['', 'yesterday', '2026-13-01T00:00', '2026-01-01'].map((text) => fromZoned(text, BERLIN))).toEqual([
    null,
    null,
    null,
    null,
  ]);
});
