// The fleet page's state in the address.
import { many, oneOf, text, type Param } from '$lib/router/params';
import { STATUSES } from './arrange';
import { COLUMN_NAMES, DEFAULT_COLUMNS, SORTS, type ColumnName, type Sort } from './columns';

const sorts: readonly Sort[] = SORTS.flatMap((name) => [name, `-${name}` as const]);

/** Names of columns, separated by commas; those that nobody knows are left out. */
function columnList(): Param<readonly ColumnName[]> {
  const standard = DEFAULT_COLUMNS.join();
  return {
    read: ([value]) => {
      if (value === undefined) return DEFAULT_COLUMNS;
      const wanted = value.split(',');
      // In the table's order, whatever theirs is.
      return COLUMN_NAMES.filter((name) => wanted.includes(name));
    },
    write: (names) => (names.join() === standard ? [] : [names.join()]),
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
};
