import { describe, expect, it } from 'vitest';
import type { Metrics } from './families';
import type { Latest } from './live';
import { groupsOf, moreContentOf, reportedOf, wordOf } from './more';

const metric = (name: string, unit: string) => ({ name, unit, kind: 'gauge', description: '' });
const label = (name: string) => ({ name, description: '' });
const sensors = {
  type: 'temperature',
  description: '',
  latestField: 'sensors',
  hasSeries: true,
  labels: [label('sensor'), label('kind'), label('chip')],
  metrics: [metric('temperatureCelsius', 'celsius'), metric('criticalPercent', 'percent')],
};
const pressure = {
  type: 'pressure',
  description: '',
  latestField: 'pressure',
  hasSeries: false,
  labels: [],
  metrics: [metric('cpuSomePercent', 'percent'), metric('ioSomePercent', 'percent'), metric('novelty', 'furlongs')],
};
const latest = {
  pressure: { timestamp: 1, cpuSomePercent: 3, ioSomePercent: null, novelty: 7 },
  sensors: [
    { timestamp: 1, sensor: 'coretemp/Core 0', kind: 'temperature', chip: 'coretemp', temperatureCelsius: 40 },
    { timestamp: 1, sensor: 'fan1', kind: 'fan', chip: '', temperatureCelsius: null, fanRpm: 900 },
  ],
} as unknown as Latest;

describe('families that only the server knows', () => {
  it('has a row for each series with a value of the family', () => {
    const reported = reportedOf(sensors, latest);
    expect(reported?.metrics.map(({ name }) => name)).toEqual(['temperatureCelsius']);
    expect(reported?.rows).toEqual([{ name: 'coretemp/Core 0', details: ['temperature', 'coretemp'], values: [40] }]);
    expect(reportedOf({ ...sensors, latestField: 'unheardOf' }, latest)).toBeNull();
  });

  it('puts metrics of one unit into one chart, and each of many series into its own', () => {
    const reported = reportedOf(pressure, latest);
    expect(reported && groupsOf(reported)).toEqual([
      { kind: 'percent', metrics: ['cpuSomePercent'] },
      { kind: 'count', metrics: ['novelty'] },
    ]);
    const ofSensors = reportedOf(sensors, latest);
    expect(ofSensors && groupsOf(ofSensors)).toEqual([{ kind: 'celsius', metrics: ['temperatureCelsius'] }]);
  });

  it('names lines by their series, or by their metric', () => {
    const series = (metric: string, labels?: Record<string, string>) =>
      ({ metric, labels, unit: '', avg: [1], min: [1], max: [1] }) as Metrics['series'][number];
    const metrics = (series: Metrics['series']) =>
      ({ timestamps: [0], intervalMs: 1, tier: 'raw', series }) as unknown as Metrics;
    const content = (family: typeof sensors, series: Metrics['series']) => {
      const reported = reportedOf(family, latest);
      if (!reported) throw new Error('it is reported');
      const [group] = groupsOf(reported);
      return group && moreContentOf(reported, group, metrics(series), wordOf).parts[0]?.lines.map(({ label }) => label);
    };
    expect(content(sensors, [series('temperatureCelsius', { sensor: 'coretemp/Core 0' })])).toEqual([
      'coretemp/Core 0',
    ]);
    expect(content(pressure, [series('cpuSomePercent')])).toEqual(['cpu some']);
  });
});
