// What a chart draws: holes, several lists of times, newer values.
import { describe, expect, it } from 'vitest';
import { holeMs, holesIn, isolated, joined, movedBy, nearest, summary, valueAt, withBreaks } from './table';

describe('holes', () => {
  const times = [0, 10, 20, 60, 70];

  it('are where points are further apart than usual', () => {
    expect(holeMs(times, 10)).toBe(25);
    expect(holesIn(times, 25, 71)).toEqual([{ from: 20, to: 60 }]);
    expect(holesIn(times, 25, 100), 'nothing came after the last').toEqual([
      { from: 20, to: 60 },
      { from: 70, to: 100 },
    ]);
  });

  it('are not between samples that buckets are narrower than', () => {
    const samples = [0, 30, 60, 90, 120];
    expect(holesIn(samples, holeMs(samples, 2), 125)).toEqual([]);
  });

  it('take the interval where there are too few points to know better', () => {
    expect(holeMs([0, 1000], 10)).toBe(25);
    expect(holeMs([], 10)).toBe(25);
  });

  it('break the lines by one point', () => {
    const broken = withBreaks({ times, columns: [[1, 2, 3, 4, 5]] }, 25);
    expect(broken).toEqual({ times: [0, 10, 20, 21, 60, 70], columns: [[1, 2, 3, null, 4, 5]] });
    const whole = { times: [0, 10], columns: [[1, 2]] };
    expect(withBreaks(whole, 25)).toEqual(whole);
  });
});

describe('several tables', () => {
  it('share all times, and each keeps its own holes', () => {
    const a = { times: [0, 10, 20], columns: [[1, null, 3]] };
    const b = { times: [5, 10], columns: [[7, 8]] };
    expect(joined([a, b])).toEqual({
      times: [0, 5, 10, 20],
      columns: [
        [1, null, null, 3],
        [undefined, 7, 8, undefined],
      ],
    });
  });

  it('have holes from value to value, whatever others have in between', () => {
    const a = { times: [0, 1, 100], columns: [[1, null, 2]] };
    const b = { times: [0, 50, 60, 100], columns: [[5, 6, 7, 8]] };
    expect(joined([a, b]).columns[0]).toEqual([1, null, null, null, 2]);
    expect(joined([a, b]).columns[1]).toEqual([5, undefined, 6, 7, 8]);
  });

  it('stay as they are with the same times, and with none', () => {
    const a = { times: [0, 10], columns: [[1, 2]] };
    expect(joined([a, { times: [0, 10], columns: [[3, 4]] }])).toEqual({
      times: [0, 10],
      columns: [
        [1, 2],
        [3, 4],
      ],
    });
    expect(joined([])).toEqual({ times: [], columns: [] });
  });

  it('are moved over each other by milliseconds', () => {
    expect(movedBy({ times: [0, 10], columns: [[1, 2]] }, 86_400_000).times).toEqual([86_400_000, 86_400_010]);
  });
});

describe('the value at a moment', () => {
  const table = { times: [0, 10, 20, 21, 60], columns: [[1, 2, 3, null, 4]] };

  it('is the nearest', () => {
    expect([-5, 4, 6, 15, 59, 99].map((at) => nearest(table.times, at))).toEqual([0, 0, 1, 2, 4, 4]);
    expect(nearest([], 5)).toBe(-1);
  });

  it('is none in a hole', () => {
    expect([0, 22, 40, 58].map((at) => valueAt(table, 0, at, 10))).toEqual([1, 3, null, 4]);
  });

  it('passes over times of other columns', () => {
    expect(valueAt({ times: [0, 5, 10], columns: [[1, undefined, undefined]] }, 0, 6, 10)).toBe(1);
  });
});

it('finds the points that no line would show', () => {
  expect(isolated([1, null, 2, 3, null, 4])).toEqual([0, 5]);
  expect(isolated([null, 1, undefined, undefined, null])).toEqual([1]);
  expect(isolated([1, undefined, 2])).toEqual([]);
});

it('sums up what is there', () => {
  expect(summary([1, null, 3, undefined], [2, null, 9, undefined])).toEqual({ avg: 2, max: 9 });
  expect(summary([null], [])).toEqual({ avg: null, max: null });
});
