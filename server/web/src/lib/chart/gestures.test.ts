// Two fingers on a chart.
import { expect, it } from 'vitest';
import { pinched } from './gestures';

const span = { from: 0, to: 1_000_000 };

it('keeps the moments under the fingers', () => {
  // From a quarter and three quarters to the edges: twice as near.
  expect(pinched(span, [0.25, 0.75], [0, 1])).toEqual({ from: 250_000, to: 750_000 });
  // Both to the right by a tenth: nothing but moved.
  expect(pinched(span, [0.2, 0.6], [0.3, 0.7])).toEqual({ from: -100_000, to: 900_000 });
});

it('does not jump when the fingers meet or cross', () => {
  expect(pinched(span, [0.2, 0.6], [0.5, 0.51])).toBe(span);
  const crossed = pinched(span, [0.2, 0.6], [0.6, 0.2]);
  expect(crossed).toEqual(span);
});
