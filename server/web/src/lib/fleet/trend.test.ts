// A trend shows what happened when, whatever comes late, twice or never.
import { describe, expect, it } from 'vitest';
import { Trend, TREND_POINTS } from './trend';

const STEP = 15_000;
const T = 1000 * STEP;
const values = (trend: Trend, now: number) => [...trend.values(now)];
const last = (trend: Trend, now: number, count: number) => values(trend, now).slice(-count);

describe('a trend', () => {
  it('averages what falls into one bucket', () => {
    const trend = new Trend();
    trend.add(T, 10);
    trend.add(T + STEP - 1, 20);
    trend.add(T + STEP, 50);
    expect(last(trend, T + STEP, 3)).toEqual([NaN, 15, 50]);
  });

  it('leaves holes where nothing came, and moves on with the time', () => {
    const trend = new Trend();
    trend.add(T, 10);
    trend.add(T + 3 * STEP, 40);
    expect(last(trend, T + 4 * STEP, 5)).toEqual([10, NaN, NaN, 40, NaN]);
    expect(values(trend, T + (TREND_POINTS + 3) * STEP).every(Number.isNaN)).toBe(true);
  });

  it('forgets what is older than it shows', () => {
    const trend = new Trend();
    trend.add(T, 1);
    trend.add(T + TREND_POINTS * STEP, 2);
    trend.add(T, 99);
    expect(values(trend, T + TREND_POINTS * STEP).filter((value) => !Number.isNaN(value))).toEqual([2]);
    expect(values(trend, T).every(Number.isNaN)).toBe(true);
  });

  it('takes values that come late', () => {
    const trend = new Trend();
    trend.add(T + STEP, 2);
    trend.add(T, 1);
    expect(last(trend, T + STEP, 2)).toEqual([1, 2]);
  });

  it('takes the past of the server, on its grid, and keeps what is newer', () => {
    const trend = new Trend();
    trend.add(T, 7);
    trend.add(T + 4 * STEP, 9);
    trend.fill(T - 8 * STEP, 4 * STEP, [1, null, 3]);
    expect(last(trend, T + 4 * STEP, 4)).toEqual([1, NaN, 3, 9]);
  });
});
