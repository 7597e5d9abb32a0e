// All machines, and what each of them reported last.
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

/** Reads both lists. They are kept in the store of `$lib/fleet`, which follows them live, and not in the cache of answers. */
export async function readFleet(): Promise<{ agents: Agent[]; latest: AgentLatest[] }> {
  const [agents, latest] = await Promise.all([
    dataOf(api.GET('/api/agents')),
    dataOf(api.GET('/api/agents/metrics/latest')),
  ]);
  return { agents: agents.items, latest: latest.items };
}
