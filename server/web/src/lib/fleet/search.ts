// The fleet page's state in the address.
import { FLEET_METRICS } from '$lib/metrics/fleet-metrics';
import { preferences } from '$lib/preferences.svelte';
import { many, oneOf, text, type Param } from '$lib/router/params';
import { STATUSES } from './arrange';
import { COLUMN_NAMES, DEFAULT_COLUMNS, SORTS, type ColumnName, type Sort } from './columns';

const sorts: readonly Sort[] = SORTS.flatMap((name) => [name, `-${name}` as const]);

/** In the table's order, whatever theirs is; those that nobody knows are left out. */
const known = (names: readonly string[]) => COLUMN_NAMES.filter((name) => names.includes(name));

/** What the table shows where the address does not say. */
export const preferredColumns = (): readonly ColumnName[] =>
  preferences.columns === null ? DEFAULT_COLUMNS : known(preferences.columns);

/** Names of columns, separated by commas. */
function columnList(): Param<readonly ColumnName[]> {
  return {
    read: ([value]) => (value === undefined ? preferredColumns() : known(value.split(','))),
    write: (names) => (names.join() === preferredColumns().join() ? [] : [names.join()]),
  };
}

export const fleetSearch = {
  q: text(),
  status: oneOf(STATUSES, null),
  tag: many(),
  sort: oneOf(sorts, 'name'),
  view: oneOf(['table', 'tiles'], 'table'),
  group: oneOf(['tag'], null),
  /** Tags whose groups are closed. */
  closed: many(),
  cols: columnList(),
  /** The metric whose course over time is shown. */
  trend: oneOf(FLEET_METRICS, null),
  /** The machine that the panel at the side shows. */
  agent: text(),
};
