// Which machines a list shows, in which order and in which groups.
import { columns, type Sort, type SortName } from './columns';
import type { AgentRow } from './row.svelte';
import { CONDITIONS, type Condition } from './trouble';

/** What the address can ask for; `hot` is online and short of something. */
export const STATUSES = ['online', 'offline', 'hot', 'conflict', 'revoked'] as const;
export type StatusFilter = (typeof STATUSES)[number];

export interface Filter {
  readonly q: string;
  readonly status: StatusFilter | null;
  /** A machine has to have all of them. */
  readonly tags: readonly string[];
}

/** The words of a search; a machine has to contain every one of them. */
export const wordsOf = (q: string) => q.toLowerCase().split(/\s+/).filter(Boolean);

function hasStatus(row: AgentRow, status: StatusFilter): boolean {
  switch (status) {
    case 'online':
      return row.isOnline;
    case 'offline':
      return !row.isOnline;
    case 'revoked':
      return row.agent.revoked;
    case 'conflict':
      return row.condition === 'conflict';
    case 'hot':
      return row.condition === 'warning' || row.condition === 'critical';
  }
}

export function filterRows(rows: Iterable<AgentRow>, { q, status, tags }: Filter): AgentRow[] {
  const words = wordsOf(q);
  return [...rows].filter(
    (row) =>
      words.every((word) => row.searchText.includes(word)) &&
      (status === null || hasStatus(row, status)) &&
      tags.every((tag) => row.agent.tags.includes(tag)),
  );
}

const SEVERITY = new Map<Condition, number>(CONDITIONS.map((condition, place) => [condition, place]));
const severityOf = (row: AgentRow) => SEVERITY.get(row.condition) ?? CONDITIONS.length;

/** Sorts in place; `isTroubleFirst`: by status before anything else. */
export function sortRows(rows: AgentRow[], sort: Sort, { isTroubleFirst = false } = {}): AgentRow[] {
  const isDescending = sort.startsWith('-');
  const name = (isDescending ? sort.slice(1) : sort) as SortName;
  const direction = isDescending ? -1 : 1;
  const value = name === 'name' ? (row: AgentRow) => row.rank : name === 'status' ? severityOf : columns[name].value;
  // Values are read once a row, and not once a comparison.
  const keyed = rows.map((row) => ({ row, severity: isTroubleFirst ? severityOf(row) : 0, value: value(row) }));
  keyed.sort(
    (a, b) => a.severity - b.severity || compareValues(a.value, b.value, direction) || a.row.rank - b.row.rank,
  );
  keyed.forEach(({ row }, i) => (rows[i] = row));
  return rows;
}

function compareValues(a: number | string | null, b: number | string | null, direction: number): number {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  return (a < b ? -1 : 1) * direction;
}

export interface RowItem {
  readonly kind: 'row';
  readonly key: string;
  readonly row: AgentRow;
}
export interface GroupItem {
  readonly kind: 'group';
  readonly key: string;
  /** Empty for machines without any. */
  readonly tag: string;
  readonly rows: readonly AgentRow[];
  readonly isClosed: boolean;
}
export type Item = RowItem | GroupItem;

export const rowItems = (rows: readonly AgentRow[]): RowItem[] =>
  rows.map((row) => ({ kind: 'row', key: row.id, row }));

/** The rows below their tags, each below every tag that it has, and those without one at the end. */
export function groupByTag(
  rows: readonly AgentRow[],
  closed: readonly string[],
  compare: (a: string, b: string) => number,
): GroupItem[] {
  const groups = new Map<string, AgentRow[]>();
  for (const row of rows) {
    const { tags } = row.agent;
    for (const tag of tags.length > 0 ? tags : ['']) {
      const group = groups.get(tag);
      if (group) group.push(row);
      else groups.set(tag, [row]);
    }
  }
  return [...groups]
    .sort(([a], [b]) => Number(a === '') - Number(b === '') || compare(a, b))
    .map(([tag, rows]) => ({ kind: 'group', key: `group ${tag}`, tag, rows, isClosed: closed.includes(tag) }));
}

/** Groups as one list, in which each head is followed by its rows unless it is closed. */
export function flatten(groups: readonly GroupItem[]): Item[] {
  return groups.flatMap((group): Item[] => [
    group,
    ...(group.isClosed ? [] : group.rows.map((row): Item => ({ kind: 'row', key: `${group.tag} ${row.id}`, row }))),
  ]);
}

/** Every tag with how many machines have it, the most frequent first. */
export function countTags(rows: Iterable<AgentRow>, compare: (a: string, b: string) => number): [string, number][] {
  const counts = new Map<string, number>();
  for (const row of rows) for (const tag of row.agent.tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort(([a, n], [b, m]) => m - n || compare(a, b));
}
