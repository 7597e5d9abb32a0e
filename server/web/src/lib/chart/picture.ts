// A chart as a picture file: the canvas with its title, its range and its legend.
import type { Columns } from './content';

export interface Frame {
  readonly title: string;
  readonly subtitle: string;
  readonly background: string;
  readonly text: string;
  readonly muted: string;
  readonly font: string;
  readonly color: (token: `--${string}`) => string;
}

const PADDING = 16;
const TITLE = 44;
const LEGEND_LINE = 20;

/** The picture; null where the browser makes none. */
export function pictureOf(canvas: HTMLCanvasElement, columns: readonly Columns[], frame: Frame): Promise<Blob | null> {
  const ratio = devicePixelRatio;
  const [width, height] = [canvas.width / ratio + 2 * PADDING, canvas.height / ratio];
  const lines = columns.filter(({ line }) => !line.isBefore);
  const made = document.createElement('canvas');
  const ctx = made.getContext('2d');
  if (!ctx) return Promise.resolve(null);
  ctx.font = `12px ${frame.font}`;
  const rows = legendRows(ctx, lines, width);
  made.width = Math.round(width * ratio);
  made.height = Math.round((height + TITLE + rows.length * LEGEND_LINE + 2 * PADDING) * ratio);
  ctx.scale(ratio, ratio);
  ctx.fillStyle = frame.background;
  ctx.fillRect(0, 0, made.width, made.height);
  ctx.textBaseline = 'top';
  ctx.fillStyle = frame.text;
  ctx.font = `600 14px ${frame.font}`;
  ctx.fillText(frame.title, PADDING, PADDING);
  ctx.fillStyle = frame.muted;
  ctx.font = `12px ${frame.font}`;
  ctx.fillText(frame.subtitle, PADDING, PADDING + 20);
  ctx.drawImage(canvas, PADDING, PADDING + TITLE, canvas.width / ratio, height);
  for (const [i, row] of rows.entries()) {
    for (const { left, columns: one } of row) {
      const top = PADDING + TITLE + height + i * LEGEND_LINE + 4;
      ctx.strokeStyle = frame.color(one.line.token);
      ctx.lineWidth = 2;
      ctx.setLineDash([...one.line.dash]);
      ctx.beginPath();
      ctx.moveTo(left, top + 7);
      ctx.lineTo(left + 16, top + 7);
      ctx.stroke();
      ctx.fillStyle = frame.text;
      ctx.fillText(one.line.label, left + 22, top);
    }
  }
  return new Promise((resolve) => made.toBlob(resolve, 'image/png'));
}

function legendRows(ctx: CanvasRenderingContext2D, lines: readonly Columns[], width: number) {
  const rows: { left: number; columns: Columns }[][] = [[]];
  let left = PADDING;
  for (const columns of lines) {
    const size = ctx.measureText(columns.line.label).width + 40;
    if (left + size > width - PADDING && left > PADDING) {
      rows.push([]);
      left = PADDING;
    }
    rows.at(-1)?.push({ left, columns });
    left += size;
  }
  return rows;
}
