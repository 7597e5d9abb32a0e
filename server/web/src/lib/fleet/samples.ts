// Machines for unit tests.
import type { Agent, AgentLatest } from '$lib/queries/fleet';

/** A machine that is online, with what a test is about. */
export function agent(changes: Partial<Agent> & { id: string }): Agent {
  return {
    name: changes.id,
    facts: {},
    reportedName: changes.id,
    tags: [],
    note: '',
    hostname: `${changes.id}.example.org`,
    ip: '192.0.2.1',
    remoteAddress: '192.0.2.2',
    os: 'linux',
    arch: 'amd64',
    version: '0.1.0',
    status: 1,
    revoked: false,
    clockOffsetMs: 0,
    createdAt: 0,
    updatedAt: 0,
    ...changes,
  };
}

export function latest(agentId: string, timestamp: number, cpuUsagePercent: number | null): AgentLatest {
  return { agentId, timestamp, cpuUsagePercent };
}
