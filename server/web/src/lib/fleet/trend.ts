// The last values of one metric on a grid of buckets: what was seen live, with the past that the server knows filled in.

/** How many buckets a trend shows. */
export const TREND_POINTS = 30;
/** Until the server names a grid: a little more than seven minutes. */
const INTERVAL_MS = 15_000;

export class Trend {
  #intervalMs = INTERVAL_MS;
  /** The number of the newest bucket since the Unix epoch; its slot is its remainder. */
  #newest = -Infinity;
  readonly #sums = new Float64Array(TREND_POINTS);
  readonly #counts = new Uint32Array(TREND_POINTS);

  /** Takes a value in. One older than the whole trend is left out. */
  add(at: number, value: number): void {
    this.#put(Math.floor(at / this.#intervalMs), value, 1);
  }

  /** Takes the server's grid with its averages. What was seen live stays where the server has nothing yet. */
  fill(start: number, intervalMs: number, averages: readonly (number | null)[]): void {
    const seen = this.#points();
    this.#intervalMs = intervalMs;
    this.#newest = -Infinity;
    this.#counts.fill(0);
    this.#sums.fill(0);
    const filled = new Set<number>();
    averages.forEach((average, i) => {
      if (average === null) return;
      const bucket = Math.floor((start + i * intervalMs) / intervalMs);
      filled.add(bucket);
      this.#put(bucket, average, 1);
    });
    for (const { at, sum, count } of seen) {
      const bucket = Math.floor(at / intervalMs);
      if (!filled.has(bucket)) this.#put(bucket, sum, count);
    }
  }

  /** The averages of the buckets that end at a moment, oldest first; NaN where there was nothing. */
  values(now: number): Float64Array {
    const values = new Float64Array(TREND_POINTS).fill(NaN);
    const last = Math.floor(now / this.#intervalMs);
    for (let i = 0; i < TREND_POINTS; i += 1) {
      const bucket = last - (TREND_POINTS - 1 - i);
      const slot = this.#slot(bucket);
      const count = this.#counts[slot] ?? 0;
      if (this.#holds(bucket) && count > 0) values[i] = (this.#sums[slot] ?? 0) / count;
    }
    return values;
  }

  #put(bucket: number, sum: number, count: number): void {
    if (bucket <= this.#newest - TREND_POINTS) return;
    if (bucket > this.#newest) {
      const cleared = Math.min(bucket - this.#newest, TREND_POINTS);
      for (let i = 0; i < cleared; i += 1) {
        const slot = this.#slot(bucket - i);
        this.#sums[slot] = 0;
        this.#counts[slot] = 0;
      }
      this.#newest = bucket;
    }
    const slot = this.#slot(bucket);
    this.#sums[slot] = (this.#sums[slot] ?? 0) + sum;
    this.#counts[slot] = (this.#counts[slot] ?? 0) + count;
  }

  #points(): { at: number; sum: number; count: number }[] {
    const points: { at: number; sum: number; count: number }[] = [];
    if (!Number.isFinite(this.#newest)) return points;
    for (let bucket = this.#newest - TREND_POINTS + 1; bucket <= this.#newest; bucket += 1) {
      const slot = this.#slot(bucket);
      const count = this.#counts[slot] ?? 0;
      if (count > 0) points.push({ at: bucket * this.#intervalMs, sum: this.#sums[slot] ?? 0, count });
    }
    return points;
  }

  #holds(bucket: number): boolean {
    return bucket <= this.#newest && bucket > this.#newest - TREND_POINTS;
  }

  #slot(bucket: number): number {
    return ((bucket % TREND_POINTS) + TREND_POINTS) % TREND_POINTS;
  }
}
