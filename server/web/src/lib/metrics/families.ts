// Which metrics of a family its chart shows, what its lines are called, and which of them are hidden at first.
import type { components } from '../api/schema';
import { DASH_BEFORE, lookOf, TOKEN_COUNT, type Content, type Line, type Part } from '../chart/content';
import type { Kind } from '../chart/scale';
import { movedBy } from '../chart/table';
import type { Messages } from '../i18n/en';

export type Metrics = components['schemas']['Metrics'];
export type Series = components['schemas']['Series'];

/** The families with charts of their own; all others are shown by what the server says about them. */
export const FAMILIES = ['cpu', 'memory', 'disk', 'network', 'load'] as const;
export type Family = (typeof FAMILIES)[number];

interface Spec {
  readonly kind: Kind;
  /** The metrics with a line, the main one first. Of each disk or interface, where there are several. */
  readonly metrics: readonly (keyof Messages['chart']['metrics'])[];
  /** Shown only on demand. */
  readonly hidden: readonly string[];
  /** The metric whose newest value is the faint line across. */
  readonly reference?: 'totalBytes';
}

const SPECS: Readonly<Record<Family, Spec>> = {
  cpu: {
    kind: 'percent',
    metrics: ['usagePercent', 'userPercent', 'systemPercent', 'iowaitPercent', 'stealPercent'],
    hidden: ['userPercent', 'systemPercent', 'stealPercent'],
  },
  memory: { kind: 'bytes', metrics: ['usedBytes', 'swapUsedBytes'], hidden: [], reference: 'totalBytes' },
  disk: { kind: 'percent', metrics: ['usagePercent'], hidden: [] },
  network: { kind: 'bytesPerSecond', metrics: ['receivedBytesPerSecond', 'sentBytesPerSecond'], hidden: [] },
  load: { kind: 'count', metrics: ['load1', 'load5', 'load15'], hidden: [] },
};

/** Interfaces that carry what others carry as well, or nothing that leaves the machine. */
const VIRTUAL =
  /^(lo\d*|veth|docker|br-|virbr|cni|flannel|cali|tunl|kube-|dummy|ifb|nodelocaldns|vnet|tap|lxc|lxdbr|podman)/;

export const isVirtual = (name: string) => VIRTUAL.test(name);

/** The key of a series among the lines of its chart. */
export function keyOf(family: Family, series: Pick<Series, 'metric' | 'mountPoint' | 'interface'>): string {
  if (family === 'disk') return series.mountPoint ?? '';
  if (family !== 'network') return series.metric;
  return `${series.interface ?? ''}:${series.metric === 'receivedBytesPerSecond' ? 'in' : 'out'}`;
}

/** Whether a line is hidden until somebody asks for it. */
export function isHiddenAtFirst(family: Family, key: string): boolean {
  if (family === 'network') return isVirtual(key);
  return SPECS[family].hidden.includes(key);
}

/** Whether a series has a line: not what was never measured. */
export function isDrawn(family: Family, { metric, avg }: Series): boolean {
  return (SPECS[family].metrics as readonly string[]).includes(metric) && avg.some((value) => value !== null);
}

/** Whether a threshold of a metric is on the axis of its family's chart as it stands. */
export const isThresholdDrawn = (family: Family, metric: string): boolean =>
  (SPECS[family].metrics as readonly string[]).includes(metric);

/** What the line of a series is called. */
function labelOf(family: Family, series: Series, t: Messages['chart']): string {
  if (family === 'disk') return series.mountPoint ?? '';
  const metric = t.metrics[series.metric as keyof Messages['chart']['metrics']] ?? series.metric;
  return family === 'network' ? `${series.interface ?? ''} ${metric}` : metric;
}

const SENT_DASH = [5, 3];

/** The lines of one machine. */
function linesOf(family: Family, metrics: Metrics, t: Messages['chart']): Line[] {
  const { metrics: wanted } = SPECS[family];
  const drawn = metrics.series
    .filter((series) => isDrawn(family, series))
    .sort((a, b) => order(family, a) - order(family, b));
  // Both directions of an interface have its colour.
  const places = [...new Set(drawn.map((series) => series.interface ?? keyOf(family, series)))];
  return drawn.map((series) => {
    const look = lookOf(
      family === 'disk' || family === 'network'
        ? places.indexOf(series.interface ?? keyOf(family, series))
        : wanted.indexOf(series.metric as (typeof wanted)[number]),
    );
    return {
      ...look,
      dash: series.metric === 'sentBytesPerSecond' ? SENT_DASH : look.dash,
      key: keyOf(family, series),
      label: labelOf(family, series, t),
      avg: series.avg,
      min: series.min,
      max: series.max,
      p95: series.p95 ?? undefined,
    };
  });
}

/** Real interfaces before virtual ones; otherwise the server's order. */
function order(family: Family, series: Series): number {
  return family === 'network' && isVirtual(series.interface ?? '') ? 1 : 0;
}

/** An earlier span, grey and dashed, moved over the present one. */
function before(family: Family, metrics: Metrics, offsetMs: number, t: Messages['chart']): Part {
  const { times } = movedBy({ times: metrics.timestamps, columns: [] }, offsetMs);
  const lines = linesOf(family, metrics, t).map((line) => ({
    ...line,
    token: '--text-3' as const,
    dash: DASH_BEFORE,
    isBefore: true,
  }));
  return { times, intervalMs: metrics.intervalMs, lines };
}

interface Earlier {
  readonly metrics: Metrics;
  readonly offsetMs: number;
}

/** The chart of one family of one machine. */
export function contentOf(
  family: Family,
  metrics: Metrics,
  cores: number | null,
  earlier: Earlier | null,
  t: Messages['chart'],
): Content {
  const part = { times: metrics.timestamps, intervalMs: metrics.intervalMs, lines: linesOf(family, metrics, t) };
  const parts = earlier ? [part, before(family, earlier.metrics, earlier.offsetMs, t)] : [part];
  return {
    kind: SPECS[family].kind,
    parts,
    tier: metrics.tier,
    intervalMs: metrics.intervalMs,
    reference: referenceOf(family, metrics, cores, t),
  };
}

function referenceOf(family: Family, metrics: Metrics, cores: number | null, t: Messages['chart']) {
  if (family === 'load') return cores === null ? null : { label: t.cores(cores), value: cores };
  const { reference } = SPECS[family];
  const total = metrics.series.find(({ metric }) => metric === reference)?.avg.findLast((value) => value !== null);
  return total === undefined || total === null ? null : { label: t.total, value: total };
}

/** What machines are compared by: one metric a family, of every disk and of every real interface. Memory in percent. */
const COMPARED: Readonly<Record<Family, readonly string[]>> = {
  cpu: ['usagePercent'],
  memory: ['usagePercent'],
  disk: ['usagePercent'],
  network: SPECS.network.metrics,
  load: ['load1'],
};

export const comparedKind = (family: Family): Kind => (family === 'memory' ? 'percent' : SPECS[family].kind);

/** Whether a series has a line where machines are compared. */
export function isCompared(family: Family, { metric, interface: name, avg }: Series): boolean {
  return COMPARED[family].includes(metric) && !(name && isVirtual(name)) && avg.some((value) => value !== null);
}

export const comparedKey = (family: Family, agentId: string, series: Series) => `${agentId}:${keyOf(family, series)}`;

/** The lines of the nth of several machines: its colour, and a dash for each of its disks or interfaces. */
export function comparedOf(family: Family, n: number, name: string, metrics: Metrics, t: Messages['chart']): Part {
  const compared = metrics.series.filter((series) => isCompared(family, series));
  const isOne = family !== 'disk' && family !== 'network';
  const lines = compared.map((series, i) => ({
    token: lookOf(n).token,
    dash: lookOf(isOne ? n : i * TOKEN_COUNT).dash,
    key: comparedKey(family, metrics.agentId, series),
    label: isOne ? name : `${name} · ${labelOf(family, series, t)}`,
    avg: series.avg,
    min: series.min,
    max: series.max,
  }));
  return { times: metrics.timestamps, intervalMs: metrics.intervalMs, lines };
}
