// The stopwatch of those who wait.
import { expect, it } from 'vitest';
import { elapsed } from './elapsed';

it.each([
  [-5, '00:00'],
  [42_999, '00:42'],
  [60_000, '01:00'],
  [3_723_000, '1:02:03'],
])('shows %i ms as %s', (ms, shown) => expect(elapsed(ms)).toBe(shown));
