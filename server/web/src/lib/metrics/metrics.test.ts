// From answers of the API to charts.
import { describe, expect, it } from 'vitest';
import { chart as t } from '../i18n/en/chart';
import { contentOf, isHiddenAtFirst, type Metrics, type Series } from './families';
import { LiveValues, newestAt, type Latest } from './live';

const series = (metric: string, values: (number | null)[], more: Partial<Series> = {}): Series => ({
  metric,
  unit: 'percent',
  avg: values,
  min: values,
  max: values,
  ...more,
});
const metrics = (type: Metrics['type'], all: Series[], timestamps = [0, 10]): Metrics => ({
  agentId: 'a',
  type,
  start: 0,
  end: 20,
  intervalMs: 10,
  tier: 'raw',
  timestamps,
  series: all,
});

describe('the lines of a chart', () => {
  it('are one a mount point, and never one for all', () => {
    const answer = metrics('disk', [
      series('usagePercent', [1, 2], { mountPoint: '/' }),
      series('usagePercent', [3, 4], { mountPoint: '/var' }),
      series('usedBytes', [5, 6], { mountPoint: '/' }),
    ]);
    const [part] = contentOf('disk', answer, null, null, t).parts;
    expect(part?.lines.map(({ key, token }) => [key, token])).toEqual([
      ['/', '--series-1'],
      ['/var', '--series-2'],
    ]);
  });

  it('have both directions of an interface in one colour, virtual ones last and hidden at first', () => {
    const both = (name: string) =>
      ['receivedBytesPerSecond', 'sentBytesPerSecond'].map((metric) => series(metric, [1, 1], { interface: name }));
    const [part] = contentOf('network', metrics('network', [...both('lo'), ...both('eth0')]), null, null, t).parts;
    expect(part?.lines.map(({ key, token, dash }) => [key, token, dash.length > 0])).toEqual([
      ['eth0:in', '--series-1', false],
      ['eth0:out', '--series-1', true],
      ['lo:in', '--series-2', false],
      ['lo:out', '--series-2', true],
    ]);
    const names = ['lo:in', 'veth12:in', 'docker0:out', 'br-1f:in', 'eth0:in', 'enp3s0:out', 'wg0:in', 'bond0:in'];
    expect(names.filter((key) => isHiddenAtFirst('network', key))).toEqual(names.slice(0, 4));
  });

  it('leave out what was never measured, and know the total', () => {
    const answer = metrics('memory', [
      series('usedBytes', [1, 2]),
      series('swapUsedBytes', [null, null]),
      series('totalBytes', [8, null]),
    ]);
    const content = contentOf('memory', answer, null, null, t);
    expect(content.parts[0]?.lines.map(({ key }) => key)).toEqual(['usedBytes']);
    expect(content.reference).toEqual({ label: t.total, value: 8 });
    expect(contentOf('load', metrics('load', []), 16, null, t).reference?.value).toBe(16);
  });

  it('draw an earlier span over the present one', () => {
    const now = metrics('cpu', [series('usagePercent', [1, 2])], [1000, 1010]);
    const then = metrics('cpu', [series('usagePercent', [3, 4])], [0, 10]);
    const [, part] = contentOf('cpu', now, null, { metrics: then, offsetMs: 1000 }, t).parts;
    expect(part?.times).toEqual([1000, 1010]);
    expect(part?.lines[0]).toMatchObject({ key: 'usagePercent', isBefore: true, avg: [3, 4] });
  });
});

describe('newer values', () => {
  const latest = (timestamp: number, usagePercent: number): Latest => ({
    agentId: 'a',
    cpu: { timestamp, coreCount: 4, usagePercent },
    disks: [
      {
        timestamp,
        mountPoint: '/',
        device: 'd',
        fsType: 'f',
        totalBytes: 1,
        usedBytes: 1,
        freeBytes: 0,
        usagePercent: 7,
      },
      {
        timestamp: 3,
        mountPoint: '/gone',
        device: 'd',
        fsType: 'f',
        totalBytes: 1,
        usedBytes: 1,
        freeBytes: 0,
        usagePercent: 9,
      },
    ],
    networks: [],
  });

  it('go on where the history ends, each once', () => {
    const live = new LiveValues();
    for (const [time, value] of [
      [10, 99],
      [20, 3],
      [20, 4],
      [15, 5],
      [30, 6],
    ] as const)
      live.add(latest(time, value));
    const answer = live.after('cpu', metrics('cpu', [series('usagePercent', [1, 2], { p95: [1, 2] })]));
    expect(answer.timestamps).toEqual([0, 10, 20, 30]);
    expect(answer.series[0]).toMatchObject({ avg: [1, 2, 3, 6], max: [1, 2, 3, 6], p95: [1, 2, null, null] });
  });

  it('are of the disk that they are of, and none of one that is gone', () => {
    const live = new LiveValues();
    live.add(latest(20, 1));
    const answer = live.after(
      'disk',
      metrics(
        'disk',
        ['/', '/gone'].map((mountPoint) => series('usagePercent', [1, 2], { mountPoint })),
      ),
    );
    expect(answer.series.map(({ avg }) => avg)).toEqual([
      [1, 2, 7],
      [1, 2, null],
    ]);
  });

  it('tell the agent’s pace, and how old each family is', () => {
    const live = new LiveValues();
    expect(live.paceMs).toBeNull();
    for (const time of [20, 25, 40]) live.add(latest(time, 1));
    expect(live.paceMs).toBe(15);
    expect([newestAt('disk', latest(20, 1)), newestAt('load', latest(20, 1)), newestAt('cpu', undefined)]).toEqual([
      20,
      null,
      null,
    ]);
  });

  it('change nothing where there are none', () => {
    const read = metrics('cpu', [series('usagePercent', [1, 2])]);
    expect(new LiveValues().after('cpu', read)).toBe(read);
  });
});
