// Silences while they are made.
import { expect, it } from 'vitest';
import { newSilence, requestOf } from './draft';

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
