// Rules of one scenario alone that fire for its machines.
import { expect } from './fixtures';
import type { MadeUpAgent } from './agents.js';
import { test as base, VALUES } from './machines';

interface Fixtures {
  /** Reports again and again; a call later changes what. */
  report: (machine: MadeUpAgent, cpu: number) => void;
  fire: (agentId: string, name: string) => Promise<string>;
}

const REPORT_EVERY_MS = 1000;

export const test = base.extend<Fixtures>({
  // eslint-disable-next-line no-empty-pattern -- Playwright reads which fixtures are asked for
  report: async ({}, use) => {
    const reported = new Map<MadeUpAgent, number>();
    const timer = setInterval(() => {
      for (const [machine, cpu] of reported) machine.report({ ...VALUES, cpu });
    }, REPORT_EVERY_MS);
    await use((machine, cpu) => reported.set(machine, cpu));
    clearInterval(timer);
  },

  /** Makes a rule that fires for one machine, and waits until it does. Returns the alert's id. */
  fire: async ({ api }, use) => {
    const rules: string[] = [];
    await use(async (agentId, name) => {
      const rule = await api.send<{ id: string }>('POST', '/api/alert-rules', ruleOf(agentId, name));
      rules.push(rule.id);
      let id = '';
      await expect(async () => {
        const query = new URLSearchParams({ ruleId: rule.id, state: 'firing' });
        const { items } = await api.send<{ items: { id: string }[] }>('GET', `/api/alerts?${query}`);
        expect(items).toHaveLength(1);
        id = items[0]?.id ?? '';
      }).toPass({ timeout: 50_000 });
      return id;
    });
    for (const id of rules) await api.send('DELETE', `/api/alert-rules/${id}`);
  },
});

/** No channel is told: other scenarios have channels of their own. */
function ruleOf(agentId: string, name: string) {
  const severities = { warning: { threshold: 1, recoveryThreshold: 0.5 } };
  return {
    name,
    scope: { kind: 'agents', tags: [], agentIds: [agentId], exceptTags: [], exceptAgentIds: [] },
    conditions: [
      {
        kind: 'metric',
        family: 'cpu',
        metric: 'usagePercent',
        function: 'last',
        windowMs: 60_000,
        operator: 'above',
        severities,
      },
    ],
    forMs: 0,
    recoverForMs: 0,
    minCoveragePercent: 10,
    dependsOn: [],
    channelIds: [],
  };
}
