// What one chart shows, before it is drawn, and how it becomes a table of columns.
import { holeMs, holesIn, joined, withBreaks, type Hole, type Table, type Value } from './table';
import type { Kind } from './scale';

/** The same colours, in the same order, in every chart; from the seventh line on the dash tells them apart. */
const TOKENS = ['--series-1', '--series-2', '--series-3', '--series-4', '--series-5', '--series-6'] as const;
export const TOKEN_COUNT = TOKENS.length;
const DASHES: readonly (readonly number[])[] = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
export const DASH_BEFORE: readonly number[] = [3, 3];

export interface Look {
  readonly token: `--${string}`;
  readonly dash: readonly number[];
}

/** The look of the nth line. */
export function lookOf(n: number): Look {
  return {
    token: TOKENS[n % TOKENS.length] ?? '--series-1',
    dash: DASHES[Math.floor(n / TOKENS.length) % DASHES.length] ?? [],
  };
}

export interface Line extends Look {
  /** Tells it from the others of its chart, in the address too. */
  readonly key: string;
  readonly label: string;
  readonly avg: readonly Value[];
  readonly min: readonly Value[];
  readonly max: readonly Value[];
  readonly p95?: readonly Value[] | undefined;
  /** Of an earlier span, for comparison: without a band, and without a place in the legend. */
  readonly isBefore?: boolean;
}

/** Lines over one list of times: of one machine, say. */
export interface Part {
  readonly times: readonly number[];
  readonly intervalMs: number;
  readonly lines: readonly Line[];
}

export interface Content {
  readonly kind: Kind;
  readonly parts: readonly Part[];
  /** Where the values come from, for the corner. */
  readonly tier: string;
  readonly intervalMs: number;
  /** A faint line across: the total, the number of cores. */
  readonly reference: { readonly label: string; readonly value: number } | null;
}

/** What the columns of a line are. */
export interface Columns {
  readonly line: Line;
  readonly avg: number;
  readonly band: { readonly max: number; readonly min: number } | null;
  readonly p95: number | null;
  /** Values further away from a moment than this are not its. */
  readonly withinMs: number;
}

export interface Assembled {
  readonly table: Table;
  readonly columns: readonly Columns[];
}

const hasSpread = ({ avg, min, max }: Line) =>
  avg.some((value, i) => typeof value === 'number' && (min[i] !== value || max[i] !== value));

/** With more lines than this, only the one that is looked at has its band. */
const BANDS_MAX = 6;

/** The columns of the lines that are not hidden. */
export function assemble(
  parts: readonly Part[],
  isHidden: (key: string) => boolean,
  highlighted: string | null,
): Assembled {
  const shown = parts.map((part) => ({ ...part, lines: part.lines.filter(({ key }) => !isHidden(key)) }));
  const count = shown.reduce((sum, { lines }) => sum + lines.length, 0);
  const columns: Columns[] = [];
  let next = 0;
  const tables = shown.map(({ times, intervalMs, lines }) => {
    const limitMs = holeMs(times, intervalMs);
    const values = lines.flatMap((line) => {
      const hasBand = !line.isBefore && (count <= BANDS_MAX || line.key === highlighted) && hasSpread(line);
      const avg = next++;
      const band = hasBand ? { max: next++, min: next++ } : null;
      const p95 = line.p95 && !line.isBefore ? next++ : null;
      columns.push({ line, avg, band, p95, withinMs: limitMs });
      return [line.avg, ...(band ? [line.max, line.min] : []), ...(p95 !== null && line.p95 ? [line.p95] : [])];
    });
    return withBreaks({ times, columns: values }, limitMs);
  });
  return { table: joined(tables), columns };
}

/** Where a machine has no values, up to the end of what is known; none where several machines are drawn. */
export function holesOf(parts: readonly Part[], until: number): Hole[] {
  const [first, second] = parts;
  if (!first || (second && !second.lines.every(({ isBefore }) => isBefore))) return [];
  return holesIn(first.times, holeMs(first.times, first.intervalMs), until);
}
