// The axes: ends, units, ticks.
import { describe, expect, it } from 'vitest';
import { axisUnit, xTicks, yRange, yTicks } from './scale';

const HOUR = 3_600_000;
const GIB = 1024 ** 3;

describe('the ends of the y axis', () => {
  it('are 0 and 100 for percentages, and zero at the bottom otherwise', () => {
    expect(yRange('percent', 'whole', { min: 40, max: 41 }, null)).toEqual([0, 100]);
    expect(yRange('bytes', 'whole', { min: 5, max: 100 }, null)).toEqual([0, 108]);
    expect(yRange('bytesPerSecond', 'whole', { min: null, max: null }, null)).toEqual([0, 1]);
  });

  it('show all of memory, and the cores only where the load comes near them', () => {
    expect(yRange('bytes', 'whole', { min: 1, max: GIB }, 64 * GIB)[1]).toBeGreaterThan(64 * GIB);
    expect(yRange('count', 'whole', { min: 0, max: 8 }, 16)[1]).toBeGreaterThan(16);
    expect(yRange('count', 'whole', { min: 0, max: 1 }, 64)[1]).toBeLessThan(2);
  });

  it('fit the values when asked to', () => {
    const [low, high] = yRange('percent', 'fit', { min: 40, max: 41 }, null);
    expect([low > 39, low < 40, high > 41, high < 42]).toEqual([true, true, true, true]);
    expect(yRange('count', 'fit', { min: 0, max: 0 }, null)[1]).toBeGreaterThan(0);
  });
});

it('writes the unit once', () => {
  expect(axisUnit('bytes', 64 * GIB, 'bytes')).toEqual({ label: 'GiB', divisor: GIB });
  expect(axisUnit('bytes', 1023, 'bytes').label).toBe('B');
  expect(axisUnit('bytesPerSecond', 1e6, 'bytes')).toEqual({ label: 'MB/s', divisor: 1e6 });
  expect(axisUnit('bytesPerSecond', 1e6, 'bits')).toEqual({ label: 'Mbit/s', divisor: 125_000 });
  expect(axisUnit('bytesPerSecond', 0, 'bytes').label).toBe('B/s');
});

it('puts ticks at round numbers of the unit', () => {
  expect(yTicks(0, 100, 1, 4)).toEqual([0, 25, 50, 75, 100]);
  expect(yTicks(0, 16 * GIB, GIB, 4).map((tick) => tick / GIB)).toEqual([0, 5, 10, 15]);
  expect(yTicks(0.05, 0.31, 1, 3)).toEqual([0.1, 0.2, 0.3]);
  expect(yTicks(1, 1, 1, 4)).toEqual([]);
});

describe('ticks of time', () => {
  const local = (zone: string) => (at: number) => {
    const text = new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' }).format(at);
    const [, sign = '+', hours = '0', minutes = '0'] = /GMT([+-])(\d+):(\d+)/.exec(text) ?? [];
    return (sign === '-' ? -1 : 1) * (Number(hours) * HOUR + Number(minutes) * 60_000);
  };

  it('are round in the zone', () => {
    const from = Date.UTC(2026, 5, 1, 0, 10);
    const { stepMs, at } = xTicks(from, from + 12 * HOUR, 6, local('Asia/Kathmandu'));
    expect(stepMs).toBe(2 * HOUR);
    // 05:45 ahead of UTC.
    expect(at[0]).toBe(Date.UTC(2026, 5, 1, 0, 15));
  });

  it.each([
    ['25 hours', Date.UTC(2026, 9, 24, 12), [22, 23, 23]],
    ['23 hours', Date.UTC(2026, 2, 28, 12), [23, 22, 22]],
  ])('are at midnight on both sides of a day of %s', (_, from, hours) => {
    const { stepMs, at } = xTicks(from, from + 72 * HOUR, 4, local('Europe/Berlin'));
    expect(stepMs).toBe(24 * HOUR);
    expect(at.map((tick) => new Date(tick).getUTCHours())).toEqual(hours);
  });

  it('are so few that they fit', () => {
    for (const hours of [0.01, 1, 5, 30, 200, 9000, 80_000]) {
      const { at } = xTicks(0, hours * HOUR, 6, () => 0);
      expect(at.length).toBeGreaterThanOrEqual(1);
      expect(at.length).toBeLessThanOrEqual(7);
    }
  });
});
