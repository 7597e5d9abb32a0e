// A silence while it is made or changed: what was typed, and the request that it becomes. What the dialog does not show is kept.
import { scopeDraft, scopeOf, type ScopeDraft } from '../rules/draft';
import type { Severity } from '$lib/queries/alerts';
import type { Silence, SilenceRequest } from '$lib/queries/silences';

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

export interface SilenceDraft {
  name: string;
  comment: string;
  mode: 'once' | 'recurring';
  isMaintenance: boolean;
  /** Until its end; empty: for ever. */
  hours: string;
  weekdays: Weekday[];
  /** `22:00`. */
  start: string;
  end: string;
  timeZone: string;
  through: 'none' | Severity;
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

/** The quarters of an hour that are left, as text. */
const hoursLeft = ({ endsAt }: Silence, now: number) =>
  endsAt == null ? '' : String(Math.max(0.25, Math.round(((endsAt - now) / HOUR_MS) * 4) / 4));

/** Times of the day can be changed where there is one of them. */
export const hasOneTime = ({ recurrence }: Silence) => recurrence?.times?.length === 1;

export function draftOf(silence: Silence, timeZone: string, now: number): SilenceDraft {
  const { recurrence, minSeverityThrough, matcher } = silence;
  const draft = newSilence(recurrence?.timeZone ?? timeZone);
  const [time] = recurrence?.times ?? [];
  return {
    ...draft,
    name: silence.name,
    comment: silence.comment,
    mode: recurrence ? 'recurring' : 'once',
    isMaintenance: silence.kind === 'maintenance',
    hours: hoursLeft(silence, now),
    weekdays: WEEKDAYS.filter((day) => recurrence?.weekdays?.includes(day)),
    start: time?.start ?? draft.start,
    end: time?.end ?? draft.end,
    through: (minSeverityThrough ?? 'none') as SilenceDraft['through'],
    scope: scopeDraft(matcher.scope),
  };
}

/** Days in the order of the week, whatever order they were chosen in. */
const ordered = (chosen: readonly Weekday[]) => WEEKDAYS.filter((day) => chosen.includes(day));

function recurrenceOf({ timeZone, weekdays, start, end }: SilenceDraft, before: Silence | null) {
  const kept = { daysOfMonth: before?.recurrence?.daysOfMonth ?? [], months: before?.recurrence?.months ?? [] };
  const times = before && !hasOneTime(before) ? (before.recurrence?.times ?? []) : [{ start, end }];
  return { ...kept, timeZone, weekdays: ordered(weekdays), times };
}

function kindOf(draft: SilenceDraft, before: Silence | null): SilenceRequest['kind'] {
  if (draft.mode === 'once') return draft.isMaintenance ? 'maintenance' : 'silence';
  return (before?.kind as SilenceRequest['kind'] | undefined) ?? 'quiet';
}

/** The request; of one that is changed, with what it was and the draft that this became first. */
export function requestOf(
  draft: SilenceDraft,
  now: number,
  before: { silence: Silence; draft: SilenceDraft } | null = null,
): SilenceRequest {
  const silence = before?.silence ?? null;
  const isOnce = draft.mode === 'once';
  // Who does not touch the hours does not move the end.
  const isEndKept = silence !== null && (!isOnce || draft.hours === before?.draft.hours);
  const end = isOnce && draft.hours !== '' ? Math.round(now + Number(draft.hours) * HOUR_MS) : null;
  return {
    kind: kindOf(draft, silence),
    name: draft.name.trim(),
    comment: draft.comment.trim(),
    matcher: {
      ruleIds: silence?.matcher.ruleIds ?? [],
      scope: scopeOf(draft.scope),
      severities: silence?.matcher.severities ?? [],
    },
    startsAt: silence ? (silence.startsAt ?? null) : isOnce ? Math.round(now) : null,
    endsAt: isEndKept ? (silence.endsAt ?? null) : end,
    recurrence: isOnce ? null : recurrenceOf(draft, silence),
    minSeverityThrough: draft.through === 'none' ? null : draft.through,
    ...(silence && { version: silence.version }),
  };
}
