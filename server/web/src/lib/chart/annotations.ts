// What is said of a chart beside its values: why there are none, when the machine was there, what fired, and from where on.
import type { Bar, Level, Shade } from './paint';
import type { Hole } from './table';

export interface Annotations {
  /** Stretches whose reason is known. */
  readonly gaps: readonly { readonly start: number; readonly end: number; readonly text: string }[];
  /** When the machine was `online`, `offline` or nobody knows, in its order. */
  readonly presence: readonly { readonly from: number; readonly to: number; readonly status: string }[];
  readonly alerts: readonly {
    readonly from: number;
    /** null: it still fires. */
    readonly to: number | null;
    readonly severity: string;
    readonly text: string;
  }[];
  readonly thresholds: readonly { readonly value: number; readonly severity: string; readonly text: string }[];
}

export const NOTHING_SAID: Annotations = { gaps: [], presence: [], alerts: [], thresholds: [] };

type Color = (token: `--${string}`) => string;

const TOKENS = { critical: '--critical', warning: '--warning', info: '--info' } as const;

/** The colour of a severity; that of the least one for a later server's. */
const tokenOf = (severity: string) => TOKENS[severity as keyof typeof TOKENS] ?? '--info';

const overlaps = (hole: Hole, from: number, to: number) => from < hole.to && hole.from < to;

const isOfflineIn = (hole: Hole, { presence }: Annotations) =>
  presence.some(({ from, to, status }) => status === 'offline' && overlaps(hole, from, to));

/** Stretches without samples: those that the agent explained, and the others. */
export function shadesOf(holes: readonly Hole[], annotations: Annotations, color: Color): Shade[] {
  const { gaps } = annotations;
  const explained = gaps.map(({ start, end }) => ({
    from: start,
    to: end,
    color: color('--warning'),
    isExplained: true,
  }));
  const others = holes
    .filter((hole) => !gaps.some(({ start, end }) => overlaps(hole, start, end)))
    .map((hole) => {
      const isExplained = isOfflineIn(hole, annotations);
      return { ...hole, color: color(isExplained ? '--offline' : '--text-3'), isExplained };
    });
  return [...explained, ...others];
}

/** Strips along the edges: when the machine was there below, what fired above, the worst over the others. */
export function barsOf({ presence, alerts }: Annotations, now: number, color: Color): Bar[] {
  const known = presence.filter(({ status }) => status === 'online' || status === 'offline');
  const there = known.map(({ from, to, status }): Bar => {
    const isOnline = status === 'online';
    return {
      from,
      to,
      color: color(isOnline ? '--ok' : '--offline'),
      place: 'bottom',
      shape: isOnline ? null : 'ring',
    };
  });
  const order = Object.keys(TOKENS).reverse();
  const fired = alerts
    .toSorted((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity))
    .map(({ from, to, severity }): Bar => {
      const shape = severity === 'critical' ? 'diamond' : severity === 'warning' ? 'triangle' : 'square';
      return { from, to: to ?? now, color: color(tokenOf(severity)), place: 'top', shape };
    });
  return [...there, ...fired];
}

export const levelsOf = ({ thresholds }: Annotations, color: Color): Level[] =>
  thresholds.map(({ value, severity }) => ({ value, color: color(tokenOf(severity)) }));

/** Why there are no samples at a moment; null where there are some. */
export function reasonAt(
  moment: number,
  holes: readonly Hole[],
  { gaps, presence }: Annotations,
  words: { readonly unknown: string; readonly offline: string },
): string | null {
  const gap = gaps.find(({ start, end }) => start <= moment && moment <= end);
  if (gap) return gap.text;
  if (!holes.some(({ from, to }) => from < moment && moment < to)) return null;
  const { status } = presence.find(({ from, to }) => from <= moment && moment < to) ?? {};
  return status === 'offline' ? words.offline : words.unknown;
}

/** What fired at a moment. */
export const firedAt = (moment: number, { alerts }: Annotations): string[] =>
  alerts.filter(({ from, to }) => from <= moment && (to === null || moment < to)).map(({ text }) => text);
