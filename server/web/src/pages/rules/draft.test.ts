// Alert rules while they are edited: what is not touched comes back the same, and thresholds keep their values.
import { describe, expect, it } from 'vitest';
import { editUnit, fromTyped, toTyped } from '$lib/alerts/edit-units';
import type { AlertMetric, Rule } from '$lib/queries/rules';
import { areLevelsValid, draftOf, hasSeries, metricsByName, newCondition, requestOf } from './draft';

const metric = (family: string, name: string, unit: string, has: boolean): AlertMetric => ({
  family,
  metric: name,
  unit,
  hasSeries: has,
  functions: [],
});
const metrics = metricsByName([
  metric('cpu', 'usagePercent', 'percent', false),
  metric('disk', 'usagePercent', 'percent', true),
  metric('disk', 'freeBytes', 'bytes', true),
]);

const GIB = 2 ** 30;
const rule: Rule = {
  id: '1',
  version: 3,
  builtin: 'disk-space',
  isUnchanged: true,
  name: 'Disk space',
  enabled: true,
  scope: { kind: 'tags', tags: ['prod', 'eu'], agentIds: [], exceptTags: ['lab'], exceptAgentIds: ['9'] },
  series: { include: ['*'], exclude: ['/boot'], fsTypesExclude: ['tmpfs'] },
  conditions: [
    {
      kind: 'metric',
      family: 'disk',
      metric: 'freeBytes',
      function: 'min',
      windowMs: 300_000,
      operator: 'below',
      severities: {
        warning: { threshold: 20 * GIB, recoveryThreshold: 25.5 * GIB },
        critical: { threshold: 5_000_000_001, recoveryThreshold: 6 * GIB },
      },
    },
    { kind: 'clockOffset', severities: { info: { threshold: 30_000, recoveryThreshold: 5000 } } },
    { kind: 'noData', severity: 'warning', staleMs: 60_000 },
    { kind: 'ofALaterServer', severity: 'info' },
  ],
  forMs: 300_000,
  recoverForMs: 600_000,
  noData: 'keep',
  noDataEndMs: 86_400_000,
  minCoveragePercent: 60,
  cooldownMs: 600_000,
  repeatMs: 3_600_000,
  dependsOn: ['7'],
  channelIds: [],
  summary: 'kept',
  runbook: 'Call Ada.',
  runbookUrl: 'https://x.example.org',
  updatedAt: 0,
  updatedBy: '',
};

describe('a rule that is edited', () => {
  it('becomes the same again where nothing is typed', () => {
    const request = requestOf(draftOf(rule, metrics), rule, metrics);
    const { id, builtin, isUnchanged, updatedAt, updatedBy, ...same } = rule;
    expect([id, builtin, isUnchanged, updatedAt, updatedBy]).toHaveLength(5);
    expect(request).toEqual(same);
  });

  it('judges mount points alone', () => {
    expect(hasSeries(draftOf(rule, metrics), metrics)).toBe(true);
    expect(hasSeries({ conditions: [newCondition('metric')] }, metrics)).toBe(false);
  });
});

describe('a new rule', () => {
  it('leaves the choice of mount points to the server, and is over where it began without a way back', () => {
    const draft = draftOf(null, metrics);
    Object.assign(draft, { name: ' hot ' });
    draft.conditions = [newCondition('metric')];
    for (const { levels } of draft.conditions) levels.warning = { threshold: '90', recovery: '' };
    const request = requestOf(draft, null, metrics);
    expect(request).not.toHaveProperty('series');
    expect(request).not.toHaveProperty('version');
    expect(request.name).toBe('hot');
    expect(request.channelIds).toBeNull();
    expect(request.conditions[0]?.severities).toEqual({ warning: { threshold: 90, recoveryThreshold: 90 } });
  });

  it('needs a threshold that is a number', () => {
    const condition = newCondition('metric');
    expect(areLevelsValid(condition)).toBe(false);
    condition.levels.warning = { threshold: 'much', recovery: '' };
    expect(areLevelsValid(condition)).toBe(false);
    condition.levels.warning = { threshold: '', recovery: '5' };
    expect(areLevelsValid(condition)).toBe(false);
    condition.levels.warning = { threshold: '0.5', recovery: '0.25' };
    expect(areLevelsValid(condition)).toBe(true);
    expect(areLevelsValid(newCondition('offline'))).toBe(true);
  });
});

it('types sizes in GiB and loses nothing', () => {
  expect(editUnit('bytes').word).toBe('GiB');
  expect(toTyped(20 * GIB, 'bytes')).toBe('20');
  expect(fromTyped('0.1', 'milliseconds')).toBe(100);
  expect(fromTyped(' ', 'bytes')).toBeNull();
  expect(fromTyped('1,5', 'bytes')).toBeNaN();
  for (const value of [5_000_000_001, 6 * GIB, 12_345_678]) {
    expect(Math.round(fromTyped(toTyped(value, 'bytes'), 'bytes') ?? 0)).toBe(value);
  }
});
