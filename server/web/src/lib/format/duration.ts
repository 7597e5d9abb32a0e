// Spans as people type them: a number and a unit.
export const UNIT_MS = { s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;
export type DurationUnit = keyof typeof UNIT_MS;
export const DURATION_UNITS = Object.keys(UNIT_MS) as DurationUnit[];

/** The largest unit of which the span is a whole number. */
export function unitOf(ms: number): DurationUnit {
  if (ms === 0) return 'min';
  return DURATION_UNITS.findLast((unit) => ms % UNIT_MS[unit] === 0) ?? 's';
}

/** What was typed, in milliseconds; null where it is no number from 0 on. */
export function parseDuration(text: string, unit: DurationUnit): number | null {
  const number = text.trim() === '' ? NaN : Number(text);
  return Number.isFinite(number) && number >= 0 ? Math.round(number * UNIT_MS[unit]) : null;
}
