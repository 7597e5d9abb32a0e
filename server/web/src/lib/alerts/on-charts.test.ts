// What rules and alerts say on the charts of one machine.
import { describe, expect, it } from 'vitest';
import type { Alert } from '$lib/queries/alerts';
import type { Condition, Rule, Scope } from '$lib/queries/rules';
import { alertsOn, isAbout, markOf, thresholdsOf } from './on-charts';

const ALL: Scope = { kind: 'all', tags: [], agentIds: [], exceptTags: [], exceptAgentIds: [] };
const machine = { id: 'a', tags: ['prod', 'db'], memoryBytes: 2000 };

it('a rule is about those that its scope has, and none of the exceptions', () => {
  expect(isAbout(ALL, machine)).toBe(true);
  expect(isAbout({ ...ALL, kind: 'tags', tags: ['web', 'db'] }, machine)).toBe(true);
  expect(isAbout({ ...ALL, kind: 'tags', tags: ['web'] }, machine)).toBe(false);
  expect(isAbout({ ...ALL, kind: 'agents', agentIds: ['a'] }, machine)).toBe(true);
  expect(isAbout({ ...ALL, kind: 'agents', agentIds: ['b'] }, machine)).toBe(false);
  expect(isAbout({ ...ALL, exceptTags: ['prod'] }, machine)).toBe(false);
  expect(isAbout({ ...ALL, kind: 'agents', agentIds: ['a'], exceptAgentIds: ['a'] }, machine)).toBe(false);
});

const condition = (family: string, metric: string, warning: number, critical?: number): Condition =>
  ({
    kind: 'metric',
    family,
    metric,
    operator: 'above',
    severities: {
      warning: { threshold: warning, recoveryThreshold: warning },
      ...(critical !== undefined && { critical: { threshold: critical, recoveryThreshold: critical } }),
    },
  }) as unknown as Condition;
const rule = (id: string, conditions: Condition[], more: Partial<Rule> = {}): Rule =>
  ({ id, name: id, enabled: true, scope: ALL, conditions, ...more }) as unknown as Rule;

describe('thresholds on a chart', () => {
  const shown = () => false;

  it('are those of enabled rules about what it draws', () => {
    const rules = [
      rule('cpu', [condition('cpu', 'usagePercent', 85, 95)]),
      rule('off', [condition('cpu', 'usagePercent', 1)], { enabled: false }),
      rule('others', [condition('cpu', 'usagePercent', 2)], { scope: { ...ALL, exceptTags: ['db'] } }),
      rule('undrawn', [condition('cpu', 'somethingElse', 3)]),
      rule('disk', [condition('disk', 'usagePercent', 4)]),
    ];
    const found = thresholdsOf('cpu', rules, machine, shown);
    expect(found.map(({ severity, value, rule }) => [severity, value, rule])).toEqual([
      ['critical', 95, 'cpu'],
      ['warning', 85, 'cpu'],
    ]);
  });

  it('are not there for lines that are hidden', () => {
    const rules = [rule('steal', [condition('cpu', 'stealPercent', 10)])];
    expect(thresholdsOf('cpu', rules, machine, (metric) => metric === 'stealPercent')).toEqual([]);
    expect(thresholdsOf('cpu', rules, machine, shown)).toHaveLength(1);
  });

  it('in percent of the memory stand where those bytes are, and nowhere while they are not known', () => {
    const rules = [rule('memory', [condition('memory', 'usagePercent', 90)])];
    expect(thresholdsOf('memory', rules, machine, shown)).toMatchObject([{ threshold: 90, value: 1800 }]);
    expect(thresholdsOf('memory', rules, { ...machine, memoryBytes: null }, shown)).toEqual([]);
  });

  it('are each there once', () => {
    const same = condition('load', 'load1', 8);
    expect(thresholdsOf('load', [rule('load', [same, same])], machine, shown)).toHaveLength(1);
  });
});

it('alerts are on the charts that they are about, and those about none on all', () => {
  const rules = [
    rule('disk', [condition('disk', 'usagePercent', 90)]),
    rule('offline', [{ kind: 'offline' } as Condition]),
  ];
  const alerts = [{ ruleId: 'disk' }, { ruleId: 'offline' }, { ruleId: null }] as unknown as Alert[];
  expect(alertsOn('disk', alerts, rules)).toHaveLength(3);
  expect(alertsOn('cpu', alerts, rules).map(({ ruleId }) => ruleId)).toEqual(['offline', null]);
  const over = { startedAt: 5, firedAt: 9, endedAt: 12, severity: 'warning', peakSeverity: 'critical' } as Alert;
  expect(markOf(over, 'text')).toEqual({ from: 5, to: 12, severity: 'critical', text: 'text' });
});
