// The kernel of all charts: uPlot with what this console needs of it. Knows nothing of pages, queries or texts.
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './plot.css';
import { xAxis, yAxis, type Style } from './axes';
import type { Assembled, Columns } from './content';
import { Overlay } from './overlay';
import {
  lastIndex,
  paintBars,
  paintFilling,
  paintLevels,
  paintReference,
  paintShades,
  type Bar,
  type Level,
  type Shade,
} from './paint';
import { yRange, type Kind, type ScaleMode } from './scale';
import { isolated, nearest, valueAt } from './table';

/** Everything that a chart looks like at one moment. */
export interface Picture extends Assembled {
  readonly kind: Kind;
  readonly mode: ScaleMode;
  readonly from: number;
  readonly to: number;
  readonly reference: number | null;
  readonly shades: readonly Shade[];
  readonly bars: readonly Bar[];
  readonly levels: readonly Level[];
  /** The last bucket is not over yet. */
  readonly isFilling: boolean;
}

const LINE_PX = 1.5;
const BAND_ALPHA = 0.16;

export class Plot {
  #u: uPlot | null = null;
  #overlay: Overlay | null = null;
  #shape = '';
  #picture: Picture | null = null;
  #style: Style | null = null;
  #size = { width: 0, height: 0 };

  constructor(readonly host: HTMLElement) {}

  /** Draws. Only what looks different in kind is built anew. */
  show(picture: Picture, style: Style): void {
    const isSameStyle = style === this.#style;
    const before = this.#picture;
    this.#picture = picture;
    this.#style = style;
    const shape = shapeOf(picture);
    if (!this.#u || shape !== this.#shape || !isSameStyle) {
      this.#shape = shape;
      this.#build();
      return;
    }
    if (before?.table === picture.table) {
      this.#u.batch(() => this.#u?.setScale('x', { min: picture.from, max: picture.to }));
      // What is shaded may have changed as well.
      this.#u.redraw(false, false);
    } else {
      this.#u.setData(this.#data());
    }
  }

  /** CSS pixels, whole ones. */
  resize(width: number, height: number): void {
    if (width === this.#size.width && height === this.#size.height) return;
    this.#size = { width, height };
    if (width < 1 || height < 1) return;
    if (this.#u) this.#u.setSize(this.#size);
    else this.#build();
  }

  /** Draws again with the same data, for a canvas of another resolution or with other fonts. */
  redraw(): void {
    this.#u?.redraw(true, true);
  }

  destroy(): void {
    this.#u?.destroy();
    this.#u = null;
  }

  get canvas(): HTMLCanvasElement | null {
    return this.#u?.ctx.canvas ?? null;
  }

  /** Where the plotting area is in the window. */
  get area(): { left: number; top: number; width: number; height: number } | null {
    const box = this.#u?.over.getBoundingClientRect();
    return box ? { left: box.left, top: box.top, width: box.width, height: box.height } : null;
  }

  momentAt(left: number): number {
    const { from, to } = this.#picture ?? { from: 0, to: 0 };
    const width = this.#u?.over.clientWidth || 1;
    return from + (Math.min(Math.max(left, 0), width) / width) * (to - from);
  }

  #left(moment: number): number | null {
    const { from, to } = this.#picture ?? { from: 0, to: 0 };
    const share = (moment - from) / (to - from);
    return share >= 0 && share <= 1 ? share * (this.#u?.over.clientWidth ?? 0) : null;
  }

  /** The crosshair, with dots on the lines where the pointer is in this chart. */
  crosshair(moment: number | null, hasDots: boolean): void {
    const overlay = this.#overlay;
    if (!overlay) return;
    const left = moment === null ? null : this.#left(moment);
    overlay.crosshair(left);
    overlay.dots(moment === null || left === null || !hasDots ? [] : this.#dots(moment));
  }

  pin(moment: number | null): void {
    this.#overlay?.pin(moment === null ? null : this.#left(moment));
  }

  selection(ends: { from: number; to: number } | null): void {
    this.#overlay?.selection(
      ends && { left: this.#left(ends.from) ?? 0, right: this.#left(ends.to) ?? this.#u?.over.clientWidth ?? 0 },
    );
  }

  /** The line nearest to a height at a moment; null where none is near. */
  lineAt(moment: number, top: number, withinPx: number): string | null {
    let [best, distance]: [string | null, number] = [null, withinPx];
    for (const { line, avg, withinMs } of this.#picture?.columns ?? []) {
      const value = this.#picture && valueAt(this.#picture.table, avg, moment, withinMs);
      const away = Math.abs((this.#u?.valToPos(value ?? NaN, 'y') ?? NaN) - top);
      if (away < distance) [best, distance] = [line.key, away];
    }
    return best;
  }

  #dots(moment: number) {
    const { table, columns } = this.#picture ?? { table: { times: [], columns: [] }, columns: [] };
    const at = table.times[nearest(table.times, moment)];
    const left = at === undefined ? null : this.#left(at);
    if (left === null) return [];
    return columns.flatMap(({ line, avg, withinMs }) => {
      const value = valueAt(table, avg, moment, withinMs);
      const top = value === null ? undefined : this.#u?.valToPos(value, 'y');
      return top === undefined || !Number.isFinite(top) ? [] : [{ left, top, color: this.#color(line.token) }];
    });
  }

  #color(token: `--${string}`): string {
    return this.#style?.color(token) ?? '';
  }

  /** uPlot draws no axes without data: then there are two points without values. */
  #data(): uPlot.AlignedData {
    const { table, columns, from, to } = this.#picture as Picture;
    const count = columns.reduce((sum, { band, p95 }) => sum + 1 + (band ? 2 : 0) + (p95 === null ? 0 : 1), 0);
    if (table.times.length === 0)
      return [[from, to], ...Array.from({ length: Math.max(1, count) }, () => [null, null])];
    const values = table.columns as (number | null | undefined)[][];
    return [table.times as number[], ...(count > 0 ? values : [table.times.map(() => null)])];
  }

  #build(): void {
    const { width, height } = this.#size;
    if (!this.#picture || !this.#style || width < 1 || height < 1) return;
    this.destroy();
    const { columns, mode } = this.#picture;
    const u = new uPlot(
      {
        width,
        height,
        ms: 1,
        padding: [8, 2, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        series: [{}, ...(columns.length > 0 ? columns.flatMap((one) => this.#series(one)) : [{}])],
        bands: columns.flatMap(({ band, line }) =>
          band ? [{ series: [band.max + 1, band.min + 1], fill: withAlpha(this.#color(line.token), BAND_ALPHA) }] : [],
        ),
        scales: {
          x: { time: false, range: () => [this.#picture?.from ?? 0, this.#picture?.to ?? 1] },
          y: mode === 'log' ? { distr: 3 } : { range: (_, min, max) => this.#yRange(min, max) },
        },
        axes: [xAxis(this.#style, () => this.#picture?.to ?? 1), yAxis(this.#style, mode)],
        hooks: {
          drawAxes: [(plot) => paintShades(plot, this.#picture?.shades ?? [])],
          draw: [(plot) => this.#paintOver(plot)],
        },
      },
      this.#data(),
      this.host,
    );
    this.#u = u;
    this.#overlay = new Overlay(u.over);
  }

  #yRange(min: number | null, max: number | null): [number, number] {
    const { kind, mode, reference } = this.#picture as Picture;
    return yRange(kind, mode, { min, max }, reference);
  }

  #series({ line, band, p95 }: Columns): uPlot.Series[] {
    const stroke = this.#color(line.token);
    const none: uPlot.Series = { points: { show: false } };
    const main: uPlot.Series = {
      stroke,
      width: LINE_PX,
      dash: [...line.dash],
      points: { show: false, size: 4, fill: stroke, filter: (plot, i) => isolatedOf(plot, i) },
      paths: (plot, i, first, last) => {
        const end = this.#picture?.isFilling && !line.isBefore ? lastIndex(plot.data[i], last) - 1 : last;
        return linear(plot, i, first, Math.max(first, end));
      },
    };
    const edges = band ? [none, none] : [];
    const percentile = p95 === null ? [] : [{ ...none, stroke, width: 1, dash: [4, 4], alpha: 0.75 }];
    return [main, ...edges, ...percentile];
  }

  #paintOver(plot: uPlot): void {
    const { reference, columns, isFilling, bars, levels } = this.#picture as Picture;
    paintLevels(plot, levels);
    paintBars(plot, bars);
    if (reference !== null) paintReference(plot, reference, this.#color('--text-3'));
    if (!isFilling) return;
    for (const { line, avg } of columns) {
      if (!line.isBefore) paintFilling(plot, avg + 1, this.#color(line.token), LINE_PX);
    }
  }
}

const linear = (uPlot.paths.linear as uPlot.Series.LinearPathBuilderFactory)();

const isolatedOf = (plot: uPlot, i: number) => {
  const found = isolated(plot.data[i] as (number | null | undefined)[]);
  return found.length > 0 ? found : null;
};

/** What has to be the same for uPlot's options to stay. */
function shapeOf({ columns, kind, mode }: Picture): string {
  const parts = columns.map(({ line, band, p95 }) => [line.key, line.token, line.dash, Boolean(band), p95 !== null]);
  return JSON.stringify([kind, mode, parts]);
}

/** `rgb(…)` of getComputedStyle with an opacity. */
function withAlpha(color: string, alpha: number): string {
  return color.replace(/^rgba?\(([^)]*)\)$/, (_, parts: string) => {
    const [r = '0', g = '0', b = '0'] = parts.split(/[\s,/]+/);
    return `rgba(${r}, ${g}, ${b}, ${alpha})`;
  });
}
