// Families that the console knows only by what the server says about them: their newest values as a table, their history as
// charts.
import type { components } from '../api/schema';
import { lookOf, type Content } from '../chart/content';
import { kindOf, type Kind } from '../chart/scale';
import type { Metrics } from './families';
import type { Latest } from './live';

type MetricFamily = components['schemas']['MetricFamily'];
type Metric = MetricFamily['metrics'][number];
type Entry = Readonly<Record<string, unknown>>;

/** The newest values of one series: what it is called, what else is said of it, its values in the order of the metrics. */
export interface Row {
  readonly name: string;
  readonly details: readonly string[];
  readonly values: readonly (number | null)[];
}

/** What a machine reports of a family: the metrics it has, and the newest values of each series. */
export interface Reported {
  readonly family: MetricFamily;
  readonly metrics: readonly Metric[];
  readonly rows: readonly Row[];
}

/** What a machine reports of a family; null where it reports nothing. */
export function reportedOf(family: MetricFamily, latest: Latest): Reported | null {
  const found = (latest as unknown as Entry)[family.latestField];
  const entries = (Array.isArray(found) ? found : found ? [found] : []) as Entry[];
  const number = (entry: Entry, { name }: Metric) => (typeof entry[name] === 'number' ? entry[name] : null);
  const metrics = family.metrics.filter((metric) => entries.some((entry) => number(entry, metric) !== null));
  if (metrics.length === 0) return null;
  const text = (entry: Entry, name: string) => (typeof entry[name] === 'string' ? entry[name] : '');
  const [first, ...others] = family.labels.map(({ name }) => name);
  const rows = entries
    .map((entry) => ({
      name: first ? text(entry, first) : '',
      details: others.map((name) => text(entry, name)).filter(Boolean),
      values: metrics.map((metric) => number(entry, metric)),
    }))
    .filter(({ values }) => values.some((value) => value !== null));
  return { family, metrics, rows };
}

/** The metrics of one chart. */
export interface Group {
  readonly kind: Kind;
  readonly metrics: readonly string[];
}

/** The charts of a family: of many series one metric at a time; else what has the same unit together. */
export function groupsOf({ family, metrics }: Reported): Group[] {
  if (family.hasSeries) return metrics.map(({ name, unit }) => ({ kind: kindOf(unit), metrics: [name] }));
  const units = [...new Set(metrics.map(({ unit }) => unit))];
  return units.map((unit) => ({
    kind: kindOf(unit),
    metrics: metrics.filter((metric) => metric.unit === unit).map(({ name }) => name),
  }));
}

/** The chart of a group: a line a metric, or a series. */
export function moreContentOf(
  reported: Reported,
  group: Group,
  metrics: Metrics,
  word: (metric: string) => string,
): Content {
  const [identifier] = reported.family.labels;
  const nameOf = (series: Metrics['series'][number]) =>
    identifier ? (series.labels?.[identifier.name] ?? '') : word(series.metric);
  const lines = metrics.series.map((series, i) => ({
    ...lookOf(i),
    key: identifier ? nameOf(series) : series.metric,
    label: nameOf(series),
    avg: series.avg,
    min: series.min,
    max: series.max,
  }));
  return {
    kind: group.kind,
    parts: [{ times: metrics.timestamps, intervalMs: metrics.intervalMs, lines }],
    tier: metrics.tier,
    intervalMs: metrics.intervalMs,
    reference: null,
  };
}

/** `tcp listen drops` of `tcpListenDropsPerSecond`: what a metric is called where no better word is known. */
export function wordOf(metric: string): string {
  const words = metric
    .replace(/(PerSecond|PerHour|Percent|Bytes|Ms|Seconds|Celsius|Watts|Hertz|Rpm)$/u, '')
    .replace(/([a-z\d])([A-Z])/gu, '$1 $2')
    .toLowerCase();
  return words || metric;
}
