// The tiers as forms and forecasts need them: which field of the retention is whose, and what a time comes to.
import { DAY_MS } from '$lib/format/times';
import type { Retention, Tier } from '$lib/queries/system';

export const TIERS: readonly Tier[] = ['raw', '1m', '1h', '1d'];

export const FIELDS: Readonly<Record<Tier, keyof Retention>> = {
  raw: 'rawMs',
  '1m': 'oneMinuteMs',
  '1h': 'oneHourMs',
  '1d': 'oneDayMs',
};

/** What a form holds of one tier: days as they were typed. */
export interface Keep {
  days: string;
  isForEver: boolean;
}

export type Keeps = Record<Tier, Keep>;

/** Milliseconds; null: for ever; undefined where that is no number of days. */
export function keepMs({ days, isForEver }: Keep): number | null | undefined {
  if (isForEver) return null;
  const number = Number(days.trim() || NaN);
  return Number.isFinite(number) && number > 0 ? Math.round(number * DAY_MS) : undefined;
}

/** What a form begins with. */
export function keepsOf(retention: Retention): Keeps {
  const keep = (tier: Tier): Keep => {
    const ms = retention[FIELDS[tier]];
    return ms == null ? { days: '', isForEver: true } : { days: String(ms / DAY_MS), isForEver: false };
  };
  return { raw: keep('raw'), '1m': keep('1m'), '1h': keep('1h'), '1d': keep('1d') };
}

/** What is to be asked of the server; null where a tier has no number of days. */
export function retentionOf(keeps: Keeps): Retention | null {
  const retention: Retention = {};
  for (const tier of TIERS) {
    const ms = keepMs(keeps[tier]);
    if (ms === undefined) return null;
    retention[FIELDS[tier]] = ms;
  }
  return retention;
}

/** The tiers that lose something by the change, each with its new time. */
export function shortened(before: Retention, after: Retention): [Tier, number][] {
  return TIERS.flatMap((tier): [Tier, number][] => {
    const [was, is] = [before[FIELDS[tier]], after[FIELDS[tier]]];
    return is != null && (was == null || is < was) ? [[tier, is]] : [];
  });
}

/** The server's reason, with its milliseconds as days and hours. */
export function readable(message: string, span: (ms: number) => string): string {
  return message.replace(/(\d+) ms\b/g, (_, ms: string) => span(Number(ms)));
}
