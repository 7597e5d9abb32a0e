// Questions to the audit log.
import { keepPreviousData, queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

type Schemas = components['schemas'];
export type AuditEntry = Schemas['AuditEntry'];

export const ENTRIES_PER_PAGE = 50;

export interface AuditAsked {
  page: number;
  actor: string;
  action: string;
  object: string;
  address: string;
  /** Milliseconds; null: without this end. */
  from: number | null;
  to: number | null;
}

export const auditQuery = (asked: AuditAsked) =>
  queryOptions({
    queryKey: ['audit', asked],
    queryFn: ({ signal }) => {
      const { page, ...filters } = asked;
      const given = Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== '' && value !== null));
      const query = { page, pageSize: ENTRIES_PER_PAGE, ...given };
      return dataOf(api.GET('/api/audit', { params: { query }, signal }));
    },
    placeholderData: keepPreviousData,
  });
