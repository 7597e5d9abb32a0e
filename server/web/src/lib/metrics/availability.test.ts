// What share of a time a machine was online.
import { expect, it } from 'vitest';
import { availabilityOf } from './availability';

const span = (from: number, to: number, status: string) => ({ from, to, status });

it('says of how much of the time anything is known', () => {
  const items = [span(0, 400, 'unknown'), span(400, 900, 'online'), span(900, 1000, 'offline')];
  const found = availabilityOf({ items, uptimePercent: 83.333 }, 1000);
  expect(found).toEqual({ percent: 83.333, knownMs: 600, isPartial: true });
  expect(availabilityOf({ items: [span(0, 1000, 'online')], uptimePercent: 100 }, 1000)).toEqual({
    percent: 100,
    knownMs: 1000,
    isPartial: false,
  });
  expect(availabilityOf({ items: [span(0, 1000, 'unknown')] }, 1000).percent).toBeNull();
});

it('never rounds an outage away', () => {
  const items = [span(0, 2_591_999_990, 'online'), span(2_591_999_990, 2_592_000_000, 'offline')];
  expect(availabilityOf({ items, uptimePercent: 100 }, 2_592_000_000).percent).toBe(99.99);
});
