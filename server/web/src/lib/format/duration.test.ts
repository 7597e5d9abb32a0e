// Spans as they are typed.
import { expect, it } from 'vitest';
import { parseDuration, unitOf } from './duration';

it('are shown in the largest unit that loses nothing', () => {
  expect([0, 30_000, 90_000, 300_000, 7_200_000, 86_400_000, 90_000_000].map(unitOf)).toEqual([
    'min',
    's',
    's',
    'min',
    'h',
    'd',
    'h',
  ]);
});

it('are read in their unit', () => {
  expect(parseDuration('5', 'min')).toBe(300_000);
  expect(parseDuration(' 1.5 ', 'h')).toBe(5_400_000);
  expect(parseDuration('0', 'd')).toBe(0);
  for (const nonsense of ['', ' ', '-1', 'five', '1e999']) expect(parseDuration(nonsense, 's')).toBeNull();
});
