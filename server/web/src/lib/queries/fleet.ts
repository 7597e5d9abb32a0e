// All machines, and what each of them reported last.
import { keepPreviousData, queryOptions } from '@tanstack/svelte-query';
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

export type Agent = components['schemas']['Agent'];
export type AgentLatest = components['schemas']['AgentLatest'];

/** One metric of the last hour of all machines, on one grid. */
export type Sparklines = components['schemas']['Sparklines'];

/** Reads how busy the processors of all machines were in the last hour. */
export async function readTrends(points: number): Promise<Sparklines> {
  return dataOf(
    api.GET('/api/agents/metrics/sparklines', { params: { query: { metric: 'cpuUsagePercent', points } } }),
  );
}

type FleetMetric = components['schemas']['FleetMetric'];

/** Answers are up to half a minute old anyway. */
const TOGETHER_STALE_MS = 30_000;

/** Of all machines, or of those with a tag. */
export interface AskedOfFleet {
  readonly metric: FleetMetric;
  readonly tag: string | undefined;
  readonly start: number;
  readonly end: number;
}

export const fleetMetricsQuery = ({ metric, tag, start, end }: AskedOfFleet, points: number) =>
  queryOptions({
    queryKey: ['fleet', 'metrics', metric, tag, start, end, points],
    queryFn: ({ signal }) => {
      const query = { metric, start, end, points, ...(tag && { tag }) };
      return dataOf(api.GET('/api/fleet/metrics', { params: { query }, signal }));
    },
    staleTime: TOGETHER_STALE_MS,
    structuralSharing: false,
    placeholderData: (previous, query) => (query?.queryKey[2] === metric ? keepPreviousData(previous) : undefined),
  });

export const fleetRankingQuery = (
  { metric, tag, start, end }: AskedOfFleet,
  by: components['schemas']['RankBy'],
  limit: number,
) =>
  queryOptions({
    queryKey: ['fleet', 'top', metric, tag, start, end, by, limit],
    queryFn: ({ signal }) => {
      const query = { metric, start, end, by, limit, ...(tag && { tag }) };
      return dataOf(api.GET('/api/fleet/top', { params: { query }, signal }));
    },
    staleTime: TOGETHER_STALE_MS,
    placeholderData: (previous, query) => (query?.queryKey[2] === metric ? keepPreviousData(previous) : undefined),
  });

/** Adds and removes tags of machines, of all of them or of none. */
export async function changeTags(body: components['schemas']['AgentsUpdate']): Promise<void> {
  await dataOf(api.POST('/api/agents/bulk', { body }));
}

/** Reads both lists. They are kept in the store of `$lib/fleet`, which follows them live, and not in the cache of answers. */
export async function readFleet(): Promise<{ agents: Agent[]; latest: AgentLatest[] }> {
  const [agents, latest] = await Promise.all([
    dataOf(api.GET('/api/agents')),
    dataOf(api.GET('/api/agents/metrics/latest')),
  ]);
  return { agents: agents.items, latest: latest.items };
}
