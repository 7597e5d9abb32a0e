// One metric of the whole fleet as lines of a chart: what most machines do, what the busiest do, or what all do together.
import type { components } from '../api/schema';
import { lookOf, type Content, type Line } from '../chart/content';
import type { Kind } from '../chart/scale';
import type { Messages } from '../i18n/en';
import type { FleetMetric } from './fleet-metrics';

export type FleetMetrics = components['schemas']['FleetMetrics'];

const isTraffic = (metric: FleetMetric) => metric === 'receivedBytesPerSecond' || metric === 'sentBytesPerSecond';

export function fleetKind(metric: FleetMetric): Kind {
  if (isTraffic(metric)) return 'bytesPerSecond';
  return metric === 'load1' ? 'count' : 'percent';
}

/** Traffic adds up; percentages and loads do not, and are shown as median, 95th percentile and largest. */
export function fleetContent(metric: FleetMetric, metrics: FleetMetrics, t: Messages['fleet']['trend']): Content {
  const line = (place: number, key: string, label: string, values: readonly number[]): Line => ({
    ...lookOf(place),
    key,
    label,
    avg: values,
    min: values,
    max: values,
  });
  const lines = isTraffic(metric)
    ? [line(0, 'sum', t.sum, metrics.sum)]
    : [line(0, 'p50', t.median, metrics.p50), line(1, 'p95', t.p95, metrics.p95), line(2, 'max', t.max, metrics.max)];
  const { intervalMs, tier, timestamps } = metrics;
  return {
    kind: fleetKind(metric),
    parts: [{ times: timestamps, intervalMs, lines }],
    tier,
    intervalMs,
    reference: null,
  };
}
