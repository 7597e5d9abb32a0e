// What all machines do becomes lines that can be added up, or those that cannot.
import { expect, it } from 'vitest';
import { en } from '../i18n/en';
import { fleetContent, type FleetMetrics } from './fleet';

const METRICS: FleetMetrics = {
  metric: 'cpuUsagePercent',
  intervalMs: 60_000,
  tier: '1m',
  timestamps: [0, 60_000],
  agents: [2, 2],
  sum: [30, 50],
  avg: [15, 25],
  p50: [15, 25],
  p95: [19, 29],
  max: [99, 31],
};

it('adds up traffic, and nothing else', () => {
  const keys = (metric: Parameters<typeof fleetContent>[0]) => {
    const { kind, parts } = fleetContent(metric, METRICS, en.fleet.trend);
    return [kind, ...(parts[0]?.lines.map(({ key, avg }) => `${key} ${avg[0]}`) ?? [])];
  };
  expect(keys('receivedBytesPerSecond')).toEqual(['bytesPerSecond', 'sum 30']);
  expect(keys('cpuUsagePercent')).toEqual(['percent', 'p50 15', 'p95 19', 'max 99']);
  expect(keys('load1')).toEqual(['count', 'p50 15', 'p95 19', 'max 99']);
});
