// Machines of one scenario alone, beside the made-up fleet.
import { test as base, type Api } from './fixtures';
import { MadeUpAgent, type Values } from './agents.js';

export const VALUES: Values = { cpu: 21, memory: 43, disk: 34, received: 1_200_000, sent: 310_000, load: 0.42 };

/** A name that no other project or attempt uses. */
export const nameOf = (name: string) => {
  const { project, retry } = base.info();
  return `${name}-${project.name}-${retry}`.toLowerCase();
};

interface Fixtures {
  /** Enrolls a machine and connects it; it is removed at the end. */
  enroll: (name: string, tags?: string[]) => Promise<MadeUpAgent>;
}

/** A token that lets one machine in. */
export async function enrollmentToken(api: Api, name: string): Promise<string> {
  const expiresAt = Date.now() + 600_000;
  return (await api.send<{ token: string }>('POST', '/api/enrollments', { name, expiresAt, maxUses: 1 })).token;
}

async function enrollWith(api: Api, url: string, name: string, tags: string[]): Promise<MadeUpAgent> {
  const agent = new MadeUpAgent(url, name, '198.51.100.7');
  await agent.connect(await enrollmentToken(api, name));
  await api.send('PUT', `/api/agents/${agent.id}`, { name, tags, note: '' });
  return agent;
}

export const test = base.extend<Fixtures>({
  enroll: async ({ api, baseURL, afterPage }, use) => {
    const agents: MadeUpAgent[] = [];
    await use(async (name, tags = []) => {
      const agent = await enrollWith(api, baseURL ?? '', name, tags);
      agents.push(agent);
      return agent;
    });
    // The page must not ask for a machine that is gone.
    for (const agent of agents) {
      afterPage.push(async () => {
        agent.close();
        await api.send('DELETE', `/api/agents/${agent.id}`);
      });
    }
  },
});
