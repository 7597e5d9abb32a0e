// The server's clock is found, however wrong the browser's is.
import { expect, it } from 'vitest';
import { ServerClock } from './clock.svelte';

const MINUTE = 60_000;
const date = (ms: number) => new Date(Math.floor(ms / 1000) * 1000).toUTCString();

it.each([-10 * MINUTE, 0, 10 * MINUTE])('with a browser that is off by %i ms', (off) => {
  const truth = Date.UTC(2026, 10, 24, 12, 0, 0, 700);
  const clock = new ServerClock(() => truth + off);
  expect(clock.skewMs).toBe(0);
  clock.learn(truth + off - 20, truth + off + 20, date(truth));
  // A slow answer tells less.
  clock.learn(truth + off, truth + off + 8000, date(truth));
  clock.learn(truth + off, truth + off, null);
  expect(Math.abs(clock.now() - truth)).toBeLessThanOrEqual(1000);
});

it('forgets answers that are long gone', () => {
  const clock = new ServerClock(() => 0);
  clock.learn(0, 1, date(50_000));
  for (let i = 0; i < 10; i += 1) clock.learn(0, 10, date(0));
  expect(clock.skewMs).toBe(495);
});
