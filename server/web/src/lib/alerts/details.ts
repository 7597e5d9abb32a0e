// What the server tells of an alert in a form that depends on what it is about.

/** Who has left, of an outage. */
export interface Left {
  readonly away: number;
  readonly of: number;
  readonly names: readonly string[];
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** Who has left; null where it is no outage. */
export function leftOf(details: unknown): Left | null {
  if (!isRecord(details)) return null;
  const { away, of, names } = details;
  if (typeof away !== 'number' || typeof of !== 'number') return null;
  const known = Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
  return { away, of, names: known };
}

/** One text among the details of an event; empty where there is none. */
export function textOf(details: unknown, name: string): string {
  const value = isRecord(details) ? details[name] : undefined;
  return typeof value === 'string' ? value : '';
}

/** One number among the details of an event; null where there is none. */
export function numberOf(details: unknown, name: string): number | null {
  const value = isRecord(details) ? details[name] : undefined;
  return typeof value === 'number' ? value : null;
}
