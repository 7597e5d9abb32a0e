// What counts as trouble, until alerts say it: how full is too full, and what somebody has to look at first.
import type { Status } from '$lib/ui/StatusMark.svelte';

export const WARNING_PERCENT = 80;
export const CRITICAL_PERCENT = 92;

export type Level = 'ok' | 'warning' | 'critical';

/** How bad a percentage is. No value is nothing bad. */
export function levelOf(percent: number | null | undefined): Level {
  if (percent === null || percent === undefined) return 'ok';
  return percent > CRITICAL_PERCENT ? 'critical' : percent > WARNING_PERCENT ? 'warning' : 'ok';
}

/** What a machine's mark shows, the worst first. */
export const CONDITIONS = [
  'conflict',
  'critical',
  'offline',
  'warning',
  'online',
  'revoked',
] as const satisfies Status[];
export type Condition = (typeof CONDITIONS)[number];

export interface Observed {
  readonly isRevoked: boolean;
  readonly hasConflict: boolean;
  readonly isOnline: boolean;
  readonly level: Level;
}

export function conditionOf({ isRevoked, hasConflict, isOnline, level }: Observed): Condition {
  if (hasConflict) return 'conflict';
  if (isRevoked) return 'revoked';
  if (!isOnline) return 'offline';
  return level === 'ok' ? 'online' : level;
}

/** Somebody has to do something. */
export function isTrouble(condition: Condition): boolean {
  return condition === 'conflict' || condition === 'critical' || condition === 'offline';
}
