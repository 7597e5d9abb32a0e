// All machines, and what each of them reported last.
import { queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

export type Agent = components['schemas']['Agent'];
export type AgentLatest = components['schemas']['AgentLatest'];

/** The fleet is kept in the store of `$lib/fleet`, which follows it live; this only reads it. */
export const fleetQuery = () =>
  queryOptions({
    queryKey: ['fleet'],
    queryFn: async ({ signal }) => {
      const [agents, latest] = await Promise.all([
        dataOf(api.GET('/api/agents', { signal })),
        dataOf(api.GET('/api/agents/metrics/latest', { signal })),
      ]);
      return { agents: agents.items, latest: latest.items };
    },
    staleTime: 0,
    gcTime: 0,
    structuralSharing: false,
  });
