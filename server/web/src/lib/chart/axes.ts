// The axes of a chart: where their ticks are and what is written there.
import type uPlot from 'uplot';
import { yTicks, type AxisUnit, type ScaleMode, type XTicks } from './scale';

/** Texts and colours, which depend on language, zone and theme. */
export interface Style {
  readonly color: (token: `--${string}`) => string;
  readonly font: string;
  readonly unit: (max: number) => AxisUnit;
  readonly number: (value: number) => string;
  readonly xTicks: (from: number, to: number, most: number) => XTicks;
  readonly xLabels: (ticks: XTicks) => string[];
  /** Is told the unit whenever the axis has another. */
  readonly onunit: (label: string) => void;
}

const Y_AXIS_PX = 46;
const X_AXIS_PX = 34;
const X_TICK_PX = 74;
const X_EDGE_PX = 22;
const Y_TICK_PX = 34;
const GAP_PX = 6;

/** `end` is asked at every drawing: the span moves while the axis stays. */
export function xAxis(style: Style, end: () => number): uPlot.Axis {
  let ticks: XTicks = { stepMs: 1, at: [] };
  return {
    ...axis(style),
    size: X_AXIS_PX,
    splits: (u, _axis, min, max) => {
      ticks = style.xTicks(min, max, Math.max(2, Math.floor(u.over.clientWidth / X_TICK_PX) || 6));
      return [...ticks.at];
    },
    // What would be cut off at the edge is left out.
    values: (u, splits) => {
      const labels = style.xLabels(ticks);
      const edge = u.valToPos(end(), 'x') - X_EDGE_PX;
      return splits.map((at, i) => (u.valToPos(at, 'x') > edge ? '' : (labels[i] ?? '')));
    },
  };
}

export function yAxis(style: Style, mode: ScaleMode): uPlot.Axis {
  let label: string | null = null;
  const write = (splits: (number | null)[]) => {
    const max = splits.reduce<number>((largest, split) => Math.max(largest, split ?? 0), 0);
    const unit = style.unit(max);
    if (unit.label !== label) queueMicrotask(() => style.onunit(unit.label));
    label = unit.label;
    return splits.map((split) => (split === null ? '' : style.number(split / unit.divisor)));
  };
  const common = { ...axis(style), size: Y_AXIS_PX, values: (_: uPlot, splits: (number | null)[]) => write(splits) };
  if (mode === 'log') return common;
  return {
    ...common,
    splits: (u, _axis, min, max) => {
      const wanted = Math.max(2, Math.floor((u.over.clientHeight || 140) / Y_TICK_PX));
      return yTicks(min, max, style.unit(max).divisor, wanted);
    },
  };
}

function axis(style: Style): uPlot.Axis {
  return {
    stroke: style.color('--text-2'),
    font: `12px ${style.font}`,
    gap: GAP_PX,
    grid: { stroke: style.color('--line'), width: 1 },
    ticks: { show: false },
  };
}
