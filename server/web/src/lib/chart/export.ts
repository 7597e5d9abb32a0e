// What is shown, as a file: plain numbers, times in ISO 8601 UTC.

export interface ExportedSeries {
  readonly machine: string;
  readonly family: string;
  readonly name: string;
  readonly metric: string;
  readonly unit: string;
  readonly tier: string;
  readonly intervalMs: number;
  readonly times: readonly number[];
  readonly avg: readonly (number | null)[];
  readonly min: readonly (number | null)[];
  readonly max: readonly (number | null)[];
  readonly p95?: readonly (number | null)[] | null | undefined;
}

const HEAD = ['time', 'machine', 'family', 'name', 'metric', 'unit', 'tier', 'interval_ms', 'avg', 'min', 'max', 'p95'];

/** A cell of text. One that a spreadsheet would take for a formula gets an apostrophe before it. */
export function textCell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

const numberCell = (value: number | null | undefined) => (value === null || value === undefined ? '' : String(value));

/** One row a point of a series, as RFC 4180 has it. Points without a value are left out. */
export function toCsv(series: readonly ExportedSeries[]): string {
  const lines = [HEAD.join(',')];
  for (const one of series) {
    const { machine, family, name, metric, unit, tier } = one;
    const labels = [...[machine, family, name, metric, unit, tier].map(textCell), String(one.intervalMs)].join(',');
    for (const [i, time] of one.times.entries()) {
      if (typeof one.avg[i] !== 'number') continue;
      const values = [one.avg[i], one.min[i], one.max[i], one.p95?.[i]].map(numberCell);
      lines.push([new Date(time).toISOString(), labels, ...values].join(','));
    }
  }
  return `${lines.join('\r\n')}\r\n`;
}

/** A name that every file system takes. */
export function fileName(...parts: string[]): string {
  return parts
    .map((part) => part.replace(/[^\p{Letter}\p{Number}._-]+/gu, '-').replace(/^[-.]+|-+$/g, ''))
    .filter(Boolean)
    .join('_')
    .slice(0, 120);
}
