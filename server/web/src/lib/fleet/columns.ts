// What the table of the fleet can show of a machine, and what it is sorted by.
import type { AgentRow } from './row.svelte';

interface Column {
  /** What sorts rows; null comes last in both directions. */
  readonly value: (row: AgentRow) => number | string | null;
  readonly isNumber: boolean;
  /** Shown where nobody has chosen. */
  readonly isDefault: boolean;
  /** In rem. */
  readonly width: number;
}

const number = (width: number, value: Column['value']): Column => ({ value, isNumber: true, isDefault: true, width });
const text = (width: number, value: Column['value']): Column => ({ value, isNumber: false, isDefault: false, width });

export const columns = {
  cpu: number(9.5, (row) => row.latest?.cpuUsagePercent ?? null),
  memory: number(8, (row) => row.latest?.memoryUsagePercent ?? null),
  disk: number(5, (row) => row.latest?.diskUsagePercent ?? null),
  received: number(6, (row) => row.latest?.receivedBytesPerSecond ?? null),
  sent: number(6, (row) => row.latest?.sentBytesPerSecond ?? null),
  load: number(4, (row) => row.latest?.load1 ?? null),
  // The longest ago is the largest age.
  seen: number(5, (row) => (row.seenAt === null ? null : -row.seenAt)),
  address: text(8, (row) => row.agent.ip || row.agent.remoteAddress || null),
  host: text(11, (row) => row.agent.hostname || null),
  system: text(7, (row) => `${row.agent.facts.osName || row.agent.os} ${row.agent.arch}`),
  version: text(5, (row) => row.agent.version || null),
} satisfies Record<string, Column>;

export type ColumnName = keyof typeof columns;
export const COLUMN_NAMES = Object.keys(columns) as ColumnName[];
export const DEFAULT_COLUMNS: readonly ColumnName[] = COLUMN_NAMES.filter((name) => columns[name].isDefault);

/** `status` puts the worst first; `name` is the order that every other one falls back to. */
export const SORTS = ['name', 'status', ...COLUMN_NAMES] as const;
export type SortName = (typeof SORTS)[number];
export type Sort = SortName | `-${SortName}`;

/** What a click on a column's head sorts by: numbers begin with the largest, and a second click turns them round. */
export function nextSort(name: SortName, sort: Sort): Sort {
  const isLargestFirst = name !== 'name' && name !== 'status' && columns[name].isNumber && name !== 'seen';
  const first: Sort = isLargestFirst ? `-${name}` : name;
  const second: Sort = isLargestFirst ? name : `-${name}`;
  return sort === first ? second : first;
}

/** What a row needs beside its columns, in rem: the name at its narrowest, and the space around and between. */
const NAME_WIDTH = 12;
const PADDING = 1.5;
const GAP = 1;
/** Columns that are given up last where there is no room for all. */
const PRIORITY: readonly ColumnName[] = ['cpu', 'memory', 'disk', 'seen', 'load', 'received', 'sent'];

/** Those of the columns that a table of this width has room for, so that it never scrolls sideways. */
export function fitColumns(shown: readonly ColumnName[], widthRem: number): ColumnName[] {
  const order = [...PRIORITY, ...COLUMN_NAMES.filter((name) => !PRIORITY.includes(name))];
  const fitting = new Set<ColumnName>();
  let room = widthRem - PADDING - NAME_WIDTH;
  for (const name of order.filter((name) => shown.includes(name))) {
    room -= GAP + columns[name].width;
    if (room < 0) break;
    fitting.add(name);
  }
  return shown.filter((name) => fitting.has(name));
}
