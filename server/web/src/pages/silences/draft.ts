// A silence while it is made: what was typed, and the request that it becomes.
import { scopeDraft, scopeOf, type ScopeDraft } from '../rules/draft';
import type { SilenceRequest } from '$lib/queries/silences';

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

export interface SilenceDraft {
  name: string;
  comment: string;
  mode: 'once' | 'recurring';
  isMaintenance: boolean;
  hours: string;
  weekdays: Weekday[];
  /** `22:00`. */
  start: string;
  end: string;
  timeZone: string;
  through: 'none' | 'warning' | 'critical';
  scope: ScopeDraft;
}

const HOUR_MS = 3_600_000;

export function newSilence(timeZone: string): SilenceDraft {
  return {
    name: '',
    comment: '',
    mode: 'once',
    isMaintenance: false,
    hours: '2',
    weekdays: [],
    start: '22:00',
    end: '07:00',
    timeZone,
    through: 'none',
    scope: scopeDraft(null),
  };
}

/** Days in the order of the week, whatever order they were chosen in. */
const ordered = (chosen: readonly Weekday[]) => WEEKDAYS.filter((day) => chosen.includes(day));

export function requestOf(draft: SilenceDraft, now: number): SilenceRequest {
  const isOnce = draft.mode === 'once';
  const { timeZone, start, end } = draft;
  return {
    kind: isOnce ? (draft.isMaintenance ? 'maintenance' : 'silence') : 'quiet',
    name: draft.name.trim(),
    comment: draft.comment.trim(),
    matcher: { ruleIds: [], scope: scopeOf(draft.scope), severities: [] },
    startsAt: isOnce ? Math.round(now) : null,
    endsAt: isOnce ? Math.round(now + Number(draft.hours) * HOUR_MS) : null,
    recurrence: isOnce
      ? null
      : { timeZone, weekdays: ordered(draft.weekdays), times: [{ start, end }], daysOfMonth: [], months: [] },
    minSeverityThrough: draft.through === 'none' ? null : draft.through,
  };
}
