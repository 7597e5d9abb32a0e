// What lists of alerts are narrowed to, in the address.
import { SEVERITIES } from '$lib/queries/alerts';
import { integer, oneOf, text } from '$lib/router/params';
import { useSearch } from '$lib/router/router.svelte';

/** Call while a component is set up. */
export const alertSearch = () =>
  useSearch({
    q: text(),
    severity: oneOf(SEVERITIES, null),
    state: oneOf(['firing', 'resolved'], null),
    agent: text(),
    rule: text(),
    page: integer(1, { min: 1, max: 1_000_000 }),
  });

export type AlertSearch = ReturnType<typeof alertSearch>;

export const NO_FILTERS = { q: '', severity: null, state: null, agent: '', rule: '', page: 1 } as const;

export function isFiltered({ values: { q, severity, state, agent, rule } }: AlertSearch): boolean {
  return Boolean(q || severity || state || agent || rule);
}
