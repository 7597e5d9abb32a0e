// The lines of a chart for a file: those that are shown, within the span that is shown.
import type { ExportedSeries } from '../chart/export';
import type { Span } from '../range/range';
import { FAMILIES, type Family, type Metrics, type Series } from './families';

export function exportedOf(
  machine: string,
  metrics: Metrics,
  span: Span,
  isShown: (family: Family, series: Series) => boolean,
): ExportedSeries[] {
  const family = FAMILIES.find((name) => name === metrics.type);
  if (!family) return [];
  const inside = metrics.timestamps.flatMap((at, i) =>
    at + metrics.intervalMs > span.from && at < span.to ? [i] : [],
  );
  const pick = <T>(values: readonly T[]) => inside.flatMap((i) => values.slice(i, i + 1));
  return metrics.series
    .filter((series) => isShown(family, series))
    .map((series) => ({
      machine,
      family,
      name: series.mountPoint ?? series.interface ?? '',
      metric: series.metric,
      unit: series.unit,
      tier: metrics.tier,
      intervalMs: metrics.intervalMs,
      times: pick(metrics.timestamps),
      avg: pick(series.avg),
      min: pick(series.min),
      max: pick(series.max),
      p95: series.p95 && pick(series.p95),
    }));
}
