import { expect, test } from 'vitest';
import type { BacktestItem } from '$lib/queries/rules';
import { firedOn, machinesOf, shownFamily } from './backtest';

const item = (agentId: string, firedAt: number, endedAt: number | null): BacktestItem => ({
  agentId,
  agentName: `name of ${agentId}`,
  series: null,
  severity: 'warning',
  startedAt: firedAt - 10,
  firedAt,
  endedAt,
  value: 95,
});

test('machines with the most alerts come first, and those out of scope only if something fired', () => {
  const agents = [
    { id: 'a', name: 'web-a', tags: ['web'] },
    { id: 'b', name: 'web-b', tags: ['web'] },
    { id: 'c', name: 'db', tags: [] },
  ];
  const scope = { kind: 'tags' as const, tags: ['web'], agentIds: [], exceptTags: [], exceptAgentIds: [] };
  const found = machinesOf([item('b', 1, 2), item('b', 5, null), item('gone', 3, 4)], agents, scope);
  expect(found.map(({ id, count }) => [id, count])).toEqual([
    ['b', 2],
    ['gone', 1],
    ['a', 0],
  ]);
  expect(found[1]?.name).toBe('name of gone');
});

test('alerts are drawn from when they fired until they ended', () => {
  const items = [item('a', 10, 20), item('b', 11, 12), item('a', 30, null)];
  expect(firedOn(items, 'a', ({ value }) => `${value}`)).toEqual([
    { from: 10, to: 20, severity: 'warning', text: '95' },
    { from: 30, to: null, severity: 'warning', text: '95' },
  ]);
});

test('the chart is that of what is looked at', () => {
  const of = (condition: { kind: string; family?: string }) => shownFamily({ conditions: [condition] });
  expect(of({ kind: 'metric', family: 'memory' })).toBe('memory');
  expect(of({ kind: 'fullWithin' })).toBe('disk');
  expect(of({ kind: 'offline' })).toBe('cpu');
  expect(of({ kind: 'metric', family: 'weather' })).toBe('cpu');
});
