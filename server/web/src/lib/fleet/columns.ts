// What the table of the fleet can show of a machine, and what it is sorted by.
import type { Messages } from '$lib/i18n/en';
import type { AgentRow } from './row.svelte';

/** From which width of the table on there is room for a column: `always`, or from a tablet's or a desktop's on. */
type Room = 'always' | 'tablet' | 'desktop';

interface Column {
  readonly label: (t: Messages) => string;
  /** What sorts rows; null comes last in both directions. */
  readonly value: (row: AgentRow) => number | string | null;
  readonly isNumber: boolean;
  /** Shown where nobody has chosen. */
  readonly isDefault: boolean;
  readonly room: Room;
  /** Of the grid's track, in rem. */
  readonly width: number;
}

const number = (
  label: Column['label'],
  value: Column['value'],
  { width = 6, room = 'tablet' as Room, isDefault = true } = {},
): Column => ({ label, value, isNumber: true, isDefault, room, width });
const text = (label: Column['label'], value: Column['value'], width: number): Column => ({
  label,
  value,
  isNumber: false,
  isDefault: false,
  room: 'desktop',
  width,
});

export const columns = {
  cpu: number(
    (t) => t.fleet.columns.cpu,
    (row) => row.latest?.cpuUsagePercent ?? null,
    { width: 10.5, room: 'always' },
  ),
  memory: number(
    (t) => t.fleet.columns.memory,
    (row) => row.latest?.memoryUsagePercent ?? null,
    {
      width: 9,
      room: 'always',
    },
  ),
  disk: number(
    (t) => t.fleet.columns.disk,
    (row) => row.latest?.diskUsagePercent ?? null,
    {
      width: 6,
      room: 'always',
    },
  ),
  received: number(
    (t) => t.fleet.columns.received,
    (row) => row.latest?.receivedBytesPerSecond ?? null,
    {
      room: 'desktop',
    },
  ),
  sent: number(
    (t) => t.fleet.columns.sent,
    (row) => row.latest?.sentBytesPerSecond ?? null,
    { room: 'desktop' },
  ),
  load: number(
    (t) => t.fleet.columns.load,
    (row) => row.latest?.load1 ?? null,
    { width: 5 },
  ),
  // The longest ago is the largest age.
  seen: number(
    (t) => t.fleet.columns.seen,
    (row) => (row.seenAt === null ? null : -row.seenAt),
    { width: 6 },
  ),
  address: text(
    (t) => t.fleet.columns.address,
    (row) => row.agent.ip || row.agent.remoteAddress || null,
    9,
  ),
  host: text(
    (t) => t.fleet.columns.host,
    (row) => row.agent.hostname || null,
    11,
  ),
  system: text(
    (t) => t.fleet.columns.system,
    (row) => `${row.agent.os} ${row.agent.arch}`,
    8,
  ),
  version: text(
    (t) => t.fleet.columns.version,
    (row) => row.agent.version || null,
    6,
  ),
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
