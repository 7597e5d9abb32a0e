// Filters, orders and groups do what they say, also where values are missing.
import { describe, expect, it } from 'vitest';
import type { Agent, AgentLatest } from '$lib/queries/fleet';
import { countTags, filterRows, flatten, groupByTag, sortRows, type Filter } from './arrange';
import { COLUMN_NAMES, DEFAULT_COLUMNS, fitColumns, nextSort, type Sort } from './columns';
import { AgentRow } from './row.svelte';
import { agent } from './samples';

function row(id: string, facts: Partial<Agent> = {}, values: Partial<AgentLatest> | null = {}): AgentRow {
  const made = new AgentRow(agent({ id, ...facts }));
  if (values) made.report({ agentId: id, timestamp: 1, ...values });
  return made;
}
/** Ranked in the order in which they are given. */
const ranked = (...rows: AgentRow[]) => rows.map((row, rank) => Object.assign(row, { rank }));
const ids = (rows: readonly AgentRow[]) => rows.map(({ id }) => id).join(' ');
const filter = (changes: Partial<Filter>): Filter => ({ q: '', status: null, tags: [], ...changes });
const compare = (a: string, b: string) => (a < b ? -1 : 1);

const conflict = { remoteAddresses: [], seenAt: 1 } as unknown as NonNullable<Agent['identityConflict']>;
const fleet = ranked(
  row('web-1', { tags: ['prod', 'eu'], ip: '10.0.0.7' }, { cpuUsagePercent: 12 }),
  row('web-2', { tags: ['prod'] }, { cpuUsagePercent: 95 }),
  row('db-1', { tags: ['eu'], status: 0 }, { cpuUsagePercent: 44 }),
  row('db-2', { identityConflict: conflict }, { cpuUsagePercent: null }),
  row('edge', { revoked: true, status: 0, remoteAddress: '203.0.113.9' }, null),
  row('disk', {}, { cpuUsagePercent: 3, diskUsagePercent: 81 }),
);

describe('a filter', () => {
  it.each([
    [{ q: 'WEB' }, 'web-1 web-2'],
    [{ q: 'example web 10.0' }, 'web-1'],
    [{ q: '203.0.113.9' }, 'edge'],
    [{ q: 'prod' }, 'web-1 web-2'],
    [{ q: 'nothing like it' }, ''],
    [{ tags: ['prod', 'eu'] }, 'web-1'],
    [{ tags: ['pro'] }, ''],
    [{ status: 'online' }, 'web-1 web-2 db-2 disk'],
    [{ status: 'offline' }, 'db-1 edge'],
    [{ status: 'hot' }, 'web-2 disk'],
    [{ status: 'conflict' }, 'db-2'],
    [{ status: 'revoked' }, 'edge'],
    [{ status: 'offline', tags: ['eu'], q: 'db' }, 'db-1'],
  ] as [Partial<Filter>, string][])('%j leaves %s', (changes, expected) => {
    expect(ids(filterRows(fleet, filter(changes)))).toBe(expected);
  });
});

describe('an order', () => {
  it.each([
    ['name', 'web-1 web-2 db-1 db-2 edge disk'],
    ['-name', 'disk edge db-2 db-1 web-2 web-1'],
    ['cpu', 'disk web-1 db-1 web-2 db-2 edge'],
    ['-cpu', 'web-2 db-1 web-1 disk db-2 edge'],
    ['status', 'db-2 web-2 db-1 disk web-1 edge'],
  ] as [Sort, string][])('by %s has no value at the end and equals by name', (sort, expected) => {
    expect(ids(sortRows([...fleet], sort))).toBe(expected);
  });

  it('has trouble first where it is asked to', () => {
    expect(ids(sortRows([...fleet], '-cpu', { isTroubleFirst: true }))).toBe('db-2 web-2 db-1 disk web-1 edge');
  });

  it('begins with what is looked for, and turns round', () => {
    expect([nextSort('cpu', 'name'), nextSort('cpu', '-cpu'), nextSort('cpu', 'cpu')]).toEqual(['-cpu', 'cpu', '-cpu']);
    expect([nextSort('name', '-cpu'), nextSort('name', 'name')]).toEqual(['name', '-name']);
  });
});

describe('columns', () => {
  it('are given up, the least important first, where there is no room', () => {
    expect(fitColumns(COLUMN_NAMES, 200)).toEqual(COLUMN_NAMES);
    expect(fitColumns(DEFAULT_COLUMNS, 48)).toEqual(['cpu', 'memory', 'disk', 'seen']);
    expect(fitColumns(['disk', 'version'], 20)).toEqual(['disk']);
    expect(fitColumns(DEFAULT_COLUMNS, 10)).toEqual([]);
  });
});

describe('groups', () => {
  it('have every machine below each of its tags, and those without at the end', () => {
    const groups = groupByTag(fleet, [], compare);
    expect(groups.map(({ tag, rows }) => `${tag}: ${ids(rows)}`)).toEqual([
      'eu: web-1 db-1',
      'prod: web-1 web-2',
      ': db-2 edge disk',
    ]);
    const items = flatten(groups);
    expect(items.length).toBe(10);
    expect(new Set(items.map(({ key }) => key)).size, 'keys are not shared').toBe(10);
  });

  it('hide their rows when they are closed', () => {
    expect(flatten(groupByTag(fleet, ['eu', ''], compare)).map(({ kind }) => kind)).toEqual([
      'group',
      'group',
      'row',
      'row',
      'group',
    ]);
  });

  it('are counted', () => {
    expect(countTags(fleet, compare)).toEqual([
      ['eu', 2],
      ['prod', 2],
    ]);
  });
});
