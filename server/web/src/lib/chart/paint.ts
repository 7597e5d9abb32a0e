// What uPlot does not draw by itself: shaded holes, strips along the edges, lines across, the end of a line whose bucket is
// still filling.
import type uPlot from 'uplot';

export interface Shade {
  readonly from: number;
  readonly to: number;
  readonly color: string;
  /** Why there are no samples is known. */
  readonly isExplained: boolean;
}

/** A strip along an edge of the plotting area. */
export interface Bar {
  readonly from: number;
  readonly to: number;
  readonly color: string;
  readonly place: 'top' | 'bottom';
  /** Drawn where it begins; a ring is hollow, so that colour is not needed to tell it. */
  readonly shape: 'diamond' | 'triangle' | 'square' | 'ring' | null;
}

/** A line across that a value should not cross. */
export interface Level {
  readonly value: number;
  readonly color: string;
}

const BAR_PX = 3;
const SHAPE_PX = 4;
const HATCH_PX = 7;

/** Below the lines: stretches without samples, hatched; those with a reason the other way round. */
export function paintShades(u: uPlot, shades: readonly Shade[]): void {
  const { ctx, bbox } = u;
  for (const { from, to, color, isExplained } of shades) {
    const left = Math.max(bbox.left, u.valToPos(from, 'x', true));
    const right = Math.min(bbox.left + bbox.width, u.valToPos(to, 'x', true));
    if (right - left < 1) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, bbox.top, right - left, bbox.height);
    ctx.clip();
    ctx.fillStyle = color;
    ctx.globalAlpha = 0.07;
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.globalAlpha = isExplained ? 0.4 : 0.22;
    ctx.strokeStyle = color;
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    const { height } = bbox;
    const step = HATCH_PX * devicePixelRatio;
    for (let x = Math.floor((left - height) / step) * step; x < right; x += step) {
      const [bottom, top] = isExplained ? [x, x + height] : [x + height, x];
      ctx.moveTo(bottom, bbox.top + height);
      ctx.lineTo(top, bbox.top);
    }
    ctx.stroke();
    ctx.restore();
  }
}

/** Strips along the edges, over the lines. */
export function paintBars(u: uPlot, bars: readonly Bar[]): void {
  const { ctx, bbox } = u;
  const height = BAR_PX * devicePixelRatio;
  for (const { from, to, color, place, shape } of bars) {
    const begin = u.valToPos(from, 'x', true);
    const left = Math.max(bbox.left, begin);
    const right = Math.min(bbox.left + bbox.width, u.valToPos(to, 'x', true));
    if (right < bbox.left || left > bbox.left + bbox.width) continue;
    const width = Math.max(right - left, devicePixelRatio);
    const top = place === 'top' ? bbox.top : bbox.top + bbox.height - height;
    ctx.save();
    ctx.fillStyle = ctx.strokeStyle = color;
    ctx.lineWidth = devicePixelRatio;
    if (shape === 'ring') ctx.strokeRect(left, top, width, height - ctx.lineWidth / 2);
    else ctx.fillRect(left, top, width, height);
    if (shape && shape !== 'ring' && begin >= bbox.left) paintShape(ctx, shape, left, top + height);
    ctx.restore();
  }
}

/** The mark of a severity, hanging from the strip. */
function paintShape(ctx: CanvasRenderingContext2D, shape: 'diamond' | 'triangle' | 'square', x: number, top: number) {
  const size = SHAPE_PX * devicePixelRatio;
  const points = {
    diamond: [0, 0, 1, 1, 0, 2, -1, 1],
    triangle: [0, 0, 1, 2, -1, 2],
    square: [-1, 0, 1, 0, 1, 2, -1, 2],
  }[shape];
  ctx.beginPath();
  for (let i = 0; i < points.length; i += 2) ctx.lineTo(x + (points[i] ?? 0) * size, top + (points[i + 1] ?? 0) * size);
  ctx.fill();
}

/** Thresholds across the whole chart. */
export function paintLevels(u: uPlot, levels: readonly Level[]): void {
  for (const { value, color } of levels) paintAcross(u, value, color, [6, 4]);
}

/** A faint line across the whole chart. */
export function paintReference(u: uPlot, value: number, color: string): void {
  paintAcross(u, value, color, [2, 3]);
}

function paintAcross(u: uPlot, value: number, color: string, dash: readonly number[]): void {
  const { ctx, bbox } = u;
  const y = Math.round(u.valToPos(value, 'y', true));
  if (!(y >= bbox.top && y <= bbox.top + bbox.height)) return;
  ctx.save();
  ctx.strokeStyle = color;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash(dash.map((px) => px * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

/** The last stretch of a line, dotted: its bucket does not have all its samples yet. */
export function paintFilling(u: uPlot, column: number, color: string, width: number): void {
  const times = u.data[0];
  const values = u.data[column];
  const last = lastIndex(values);
  const before = last > 0 ? lastIndex(values, last - 1) : -1;
  if (before < 0 || values?.[before] === null) return;
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = color;
  ctx.lineWidth = width * devicePixelRatio;
  ctx.setLineDash([1.5 * devicePixelRatio, 2.5 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(u.valToPos(times?.[before] ?? 0, 'x', true), u.valToPos(values?.[before] ?? 0, 'y', true));
  ctx.lineTo(u.valToPos(times?.[last] ?? 0, 'x', true), u.valToPos(values?.[last] ?? 0, 'y', true));
  ctx.stroke();
  ctx.restore();
}

/** The last index at which the column says anything, a hole included. */
export function lastIndex(values: ArrayLike<number | null | undefined> | undefined, from = Infinity): number {
  let i = Math.min(from, (values?.length ?? 0) - 1);
  while (i >= 0 && values?.[i] === undefined) i -= 1;
  return i;
}
