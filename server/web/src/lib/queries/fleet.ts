// All machines, and what each of them reported last.
import { api, dataOf } from '$lib/api/client';
import type { components } from '$lib/api/schema';

export type Agent = components['schemas']['Agent'];
export type AgentLatest = components['schemas']['AgentLatest'];

/** Reads both lists. They are kept in the store of `$lib/fleet`, which follows them live, and not in the cache of answers. */
export async function readFleet(): Promise<{ agents: Agent[]; latest: AgentLatest[] }> {
  const [agents, latest] = await Promise.all([
    dataOf(api.GET('/api/agents')),
    dataOf(api.GET('/api/agents/metrics/latest')),
  ]);
  return { agents: agents.items, latest: latest.items };
}
