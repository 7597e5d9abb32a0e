// The newest values of one machine, kept as they come, so that a chart goes on between two readings of its history.
import type { components } from '../api/schema';
import type { Family, Metrics, Series } from './families';

type LatestMetrics = components['schemas']['LatestMetrics'];
/** The newest values of the families with charts of their own. */
export type Latest = Pick<LatestMetrics, 'agentId' | 'cpu' | 'memory' | 'disks' | 'networks' | 'load'>;

type Values = ReadonlyMap<string, number>;
interface Point {
  readonly time: number;
  readonly values: Values;
}

/** More than a chart of an hour can show. */
const POINTS_MAX = 2400;

const idOf = (metric: string, mountPoint = '', name = '') => `${metric}\n${mountPoint}\n${name}`;
const idOfSeries = ({ metric, mountPoint, interface: name }: Series) =>
  idOf(metric, mountPoint ?? undefined, name ?? undefined);

type Entry = { readonly timestamp: number; readonly mountPoint?: string; readonly interface?: string } & object;

function entriesOf(latest: Latest): readonly (readonly [Family, readonly Entry[]])[] {
  const one = (entry: Entry | null | undefined) => (entry ? [entry] : []);
  return [
    ['cpu', one(latest.cpu)],
    ['memory', one(latest.memory)],
    ['disk', latest.disks],
    ['network', latest.networks],
    ['load', one(latest.load)],
  ];
}

export class LiveValues {
  #points = new Map<Family, Point[]>();

  /** Takes what is newer than all before. */
  add(latest: Latest): void {
    for (const [family, entries] of entriesOf(latest)) {
      const time = entries.reduce((newest, { timestamp }) => Math.max(newest, timestamp), -Infinity);
      const points = this.#points.get(family) ?? [];
      if (entries.length === 0 || time <= (points.at(-1)?.time ?? -Infinity)) continue;
      const values = new Map<string, number>();
      for (const entry of entries) {
        // A disk that is gone keeps its last value, of the time when it was there.
        if (entry.timestamp !== time) continue;
        for (const [metric, value] of Object.entries(entry)) {
          if (typeof value === 'number') values.set(idOf(metric, entry.mountPoint, entry.interface), value);
        }
      }
      this.#points.set(family, [...points, { time, values }].slice(-POINTS_MAX));
    }
  }

  /** How far apart the newest two samples were taken; null before there are two. */
  get paceMs(): number | null {
    const points = this.#points.get('cpu') ?? [];
    const [before, last] = points.slice(-2);
    return before && last ? last.time - before.time : null;
  }

  /** The history with the values that came after it. */
  after(family: Family, metrics: Metrics): Metrics {
    const last = metrics.timestamps.at(-1) ?? -Infinity;
    const newer = (this.#points.get(family) ?? []).filter(({ time }) => time >= Math.max(last + 1, metrics.start));
    if (newer.length === 0) return metrics;
    return {
      ...metrics,
      timestamps: [...metrics.timestamps, ...newer.map(({ time }) => time)],
      series: metrics.series.map((series) => {
        const values = newer.map((point) => point.values.get(idOfSeries(series)) ?? null);
        const longer = (column: readonly (number | null)[]) => [...column, ...values];
        const { avg, min, max, p95 } = series;
        const percentile = p95 ? { p95: [...p95, ...values.map(() => null)] } : {};
        return { ...series, avg: longer(avg), min: longer(min), max: longer(max), ...percentile };
      }),
    };
  }
}

/** When the newest value of a family was taken; null where there is none. */
export function newestAt(family: Family, latest: Latest | undefined): number | null {
  const entries = latest ? (entriesOf(latest).find(([name]) => name === family)?.[1] ?? []) : [];
  const newest = entries.reduce((newest, { timestamp }) => Math.max(newest, timestamp), -Infinity);
  return newest === -Infinity ? null : newest;
}
