// Silences while they are made.
import { expect, it } from 'vitest';
import type { Silence } from '$lib/queries/silences';
import { draftOf, newSilence, requestOf, type SilenceDraft } from './draft';

const NOW = 1_795_403_300_000.4;

it('is quiet for some hours from now', () => {
  const draft = { ...newSilence('UTC'), name: ' move ', hours: '1.5', isMaintenance: true };
  const request = requestOf(draft, NOW);
  expect(request).toMatchObject({ kind: 'maintenance', name: 'move', startsAt: 1_795_403_300_000, recurrence: null });
  expect(request.endsAt).toBe(1_795_408_700_000);
  expect(request.minSeverityThrough).toBeNull();
});

it('is quiet again and again, with the days in their order', () => {
  const draft = newSilence('Europe/Berlin');
  Object.assign(draft, { mode: 'recurring', weekdays: ['sun', 'mon'], through: 'critical' });
  draft.scope.kind = 'tags';
  draft.scope.tags = 'lab, , dev';
  const request = requestOf(draft, NOW);
  expect(request).toMatchObject({ kind: 'quiet', startsAt: null, endsAt: null, minSeverityThrough: 'critical' });
  expect(request.recurrence).toMatchObject({
    timeZone: 'Europe/Berlin',
    weekdays: ['mon', 'sun'],
    times: [{ start: '22:00', end: '07:00' }],
  });
  expect(request.matcher?.scope).toMatchObject({ kind: 'tags', tags: ['lab', 'dev'] });
});

const STORED: Silence = {
  id: 'b5f0ab8e-6b0f-7a8e-8000-000000000001',
  version: 3,
  kind: 'quiet',
  name: 'nights',
  comment: 'sleep',
  matcher: {
    ruleIds: ['b5f0ab8e-6b0f-7a8e-8000-000000000002'],
    scope: { kind: 'all', tags: [], agentIds: [], exceptTags: ['prod'], exceptAgentIds: [] },
    severities: ['warning'],
  },
  startsAt: null,
  endsAt: NOW + 90 * 86_400_000,
  recurrence: {
    timeZone: 'Asia/Shanghai',
    weekdays: ['fri'],
    times: [{ start: '23:00', end: '06:30' }],
    daysOfMonth: [-1],
    months: [12],
  },
  minSeverityThrough: 'info',
  isActive: false,
  createdBy: 'admin',
  createdAt: 1,
  updatedAt: 2,
};

function changed(silence: Silence, change: Partial<SilenceDraft>) {
  const draft = draftOf(silence, 'UTC', NOW);
  return requestOf({ ...draft, ...change }, NOW + 60_000, { silence, draft });
}

it('loses nothing that the dialog does not show', () => {
  const { kind, matcher, startsAt, endsAt, recurrence, minSeverityThrough, version, name, comment } = STORED;
  expect(changed(STORED, {})).toEqual({
    kind,
    matcher,
    startsAt,
    endsAt,
    recurrence,
    minSeverityThrough,
    version,
    name,
    comment,
  });
  const times = [
    { start: '01:00', end: '02:00' },
    { start: '03:00', end: '04:00' },
  ];
  const several = { ...STORED, recurrence: { timeZone: 'UTC', weekdays: [], times, daysOfMonth: [], months: [] } };
  expect(changed(several, { start: '09:00' }).recurrence?.times).toEqual(times);
  expect(changed(STORED, { start: '09:00' }).recurrence?.times).toEqual([{ start: '09:00', end: '06:30' }]);
});

it('moves the end of one that goes on only when somebody changes it', () => {
  const silence: Silence = {
    ...STORED,
    kind: 'maintenance',
    recurrence: null,
    startsAt: NOW - 1000,
    endsAt: NOW + 5_000_000,
  };
  expect(changed(silence, {})).toMatchObject({ kind: 'maintenance', startsAt: NOW - 1000, endsAt: NOW + 5_000_000 });
  expect(changed(silence, { hours: '3' }).endsAt).toBe(Math.round(NOW + 60_000 + 3 * 3_600_000));
  expect(changed({ ...silence, endsAt: null }, {}).endsAt).toBeNull();
  expect(draftOf({ ...silence, endsAt: NOW + 60_000 }, 'UTC', NOW).hours).toBe('0.25');
});
