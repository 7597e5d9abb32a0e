// What a chart draws: columns over one list of times. Pure: where lines break, and how lists of different times become one.

/** null: there is a hole here. undefined: another column has a value at this time, and the line goes on. */
export type Value = number | null | undefined;

export interface Table {
  /** Milliseconds since the Unix epoch, ascending, each once. */
  readonly times: readonly number[];
  /** As many lists of values as there are columns, each as long as `times`. */
  readonly columns: readonly (readonly Value[])[];
}

/** How many steps apart two points have to be for a hole between them. */
const HOLE_STEPS = 2.5;

/** The usual distance of the times: the median, which a few holes do not change. */
function medianStep(times: readonly number[]): number {
  if (times.length < 3) return 0;
  const steps = times.slice(1).map((time, i) => time - (times[i] ?? time));
  steps.sort((a, b) => a - b);
  return steps[Math.floor((steps.length - 1) / 2)] ?? 0;
}

/** The distance beyond which there is a hole. A bucket can be narrower than the distance of the samples. */
export function holeMs(times: readonly number[], intervalMs: number): number {
  return Math.max(intervalMs, medianStep(times)) * HOLE_STEPS;
}

export interface Hole {
  readonly from: number;
  readonly to: number;
}

/** Where nothing is known: between the times, and after the last of them until `until`. */
export function holesIn(times: readonly number[], limitMs: number, until: number): Hole[] {
  const holes: Hole[] = [];
  for (let i = 1; i <= times.length; i++) {
    const from = times[i - 1] ?? 0;
    const to = times[i] ?? until;
    if (to - from > limitMs) holes.push({ from, to });
  }
  return holes;
}

/** Breaks the lines at holes, by one point without values in each. */
export function withBreaks({ times, columns }: Table, limitMs: number): Table {
  const holes = holesIn(times, limitMs, -Infinity);
  if (holes.length === 0) return { times, columns };
  const begins = new Set(holes.map(({ from }) => from));
  const breaks = times.flatMap((time, i) => (begins.has(time) ? [i] : []));
  return {
    times: spliced(times, breaks, (time) => time + 1),
    columns: columns.map((column) => spliced(column, breaks, () => null)),
  };
}

/** The list with another element after each of some indices. Lists are long: nothing is made an element at a time. */
function spliced<T>(list: readonly T[], indices: readonly number[], after: (element: T) => T): T[] {
  const parts: T[][] = [];
  let begin = 0;
  for (const i of indices) {
    const part = list.slice(begin, i + 1);
    part.push(after(list[i] as T));
    parts.push(part);
    begin = i + 1;
  }
  return parts.concat([list.slice(begin)]).flat();
}

/** Several tables over the times of all of them, their columns one after the other. Each keeps its own holes. */
export function joined(tables: readonly Table[]): Table {
  const [only, ...others] = tables;
  if (!only) return { times: [], columns: [] };
  if (others.length === 0) return only;
  if (others.every(({ times }) => times.length === only.times.length && times.every((t, i) => t === only.times[i]))) {
    return { times: only.times, columns: tables.flatMap(({ columns }) => columns) };
  }
  const times = [...new Set(tables.flatMap((table) => table.times))].sort((a, b) => a - b);
  const at = new Map(times.map((time, i) => [time, i]));
  const columns = tables.flatMap((table) =>
    table.columns.map((column) => {
      const values = new Array<Value>(times.length).fill(undefined);
      for (const [i, time] of table.times.entries()) values[at.get(time) ?? 0] = column[i];
      return widened(values);
    }),
  );
  return { times, columns };
}

/** A hole reaches from value to value, whatever other columns have in between. */
function widened(values: Value[]): Value[] {
  for (let i = 1; i < values.length; i++) if (values[i] === undefined && values[i - 1] === null) values[i] = null;
  for (let i = values.length - 2; i >= 0; i--) if (values[i] === undefined && values[i + 1] === null) values[i] = null;
  return values;
}

/** The same values at other times: yesterday's, to be drawn over today's. */
export function movedBy({ times, columns }: Table, ms: number): Table {
  return { times: times.map((time) => time + ms), columns };
}

/** The index of the time nearest to a moment; -1 where there is none. */
export function nearest(times: readonly number[], moment: number): number {
  let [low, high] = [0, times.length - 1];
  if (high < 0) return -1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) < moment) low = middle + 1;
    else high = middle;
  }
  const before = times[low - 1];
  return before !== undefined && moment - before < (times[low] ?? 0) - moment ? low - 1 : low;
}

/** The value of a column nearest to a moment; null in a hole, and further from every value than `withinMs`. */
export function valueAt(table: Table, column: number, moment: number, withinMs: number): number | null {
  const values = table.columns[column] ?? [];
  const around = nearest(table.times, moment);
  for (let distance = 0; distance <= 2; distance++) {
    for (const i of [around - distance, around + distance]) {
      const [time, value] = [table.times[i], values[i]];
      if (typeof value === 'number' && time !== undefined && Math.abs(time - moment) <= withinMs) return value;
    }
  }
  return null;
}

/** Points with neither neighbour: no line shows them. */
export function isolated(values: readonly Value[]): number[] {
  const found: number[] = [];
  let isAfterHole = true;
  let candidate = -1;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === undefined) continue;
    if (value === null) {
      if (candidate >= 0) found.push(candidate);
      candidate = -1;
      isAfterHole = true;
    } else {
      candidate = isAfterHole ? i : -1;
      isAfterHole = false;
    }
  }
  if (candidate >= 0) found.push(candidate);
  return found;
}

/** The mean of what is there, and the largest; null where nothing is. */
export function summary(avg: readonly Value[], max: readonly Value[]): { avg: number | null; max: number | null } {
  let [sum, count, largest] = [0, 0, -Infinity];
  for (const value of avg) {
    if (typeof value !== 'number') continue;
    sum += value;
    count += 1;
  }
  for (const value of max) if (typeof value === 'number' && value > largest) largest = value;
  return { avg: count > 0 ? sum / count : null, max: largest === -Infinity ? null : largest };
}
