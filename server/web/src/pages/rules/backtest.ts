// What a back-test found, as its page shows it.
import { isAbout } from '$lib/alerts/on-charts';
import type { Annotations } from '$lib/chart/annotations';
import { FAMILIES, type Family } from '$lib/metrics/families';
import type { Agent } from '$lib/queries/machines';
import type { BacktestItem, RuleRequest, Scope } from '$lib/queries/rules';

/** The family whose chart shows best what a rule is about. */
export function shownFamily({ conditions }: Pick<RuleRequest, 'conditions'>): Family {
  const [first] = conditions;
  if (first?.kind === 'fullWithin') return 'disk';
  return FAMILIES.find((family) => family === first?.family) ?? 'cpu';
}

export interface MachineFound {
  readonly id: string;
  readonly name: string;
  /** Number of its alerts. */
  readonly count: number;
}

/** The machines of a rule, those with the most alerts first. */
export function machinesOf(
  items: readonly BacktestItem[],
  agents: Iterable<Pick<Agent, 'id' | 'name' | 'tags'>>,
  scope: Scope | null,
): MachineFound[] {
  const machines = new Map<string, MachineFound>();
  for (const agent of agents) {
    if (!scope || isAbout(scope, agent)) machines.set(agent.id, { id: agent.id, name: agent.name, count: 0 });
  }
  for (const { agentId, agentName } of items) {
    const { name, count } = machines.get(agentId) ?? { name: agentName, count: 0 };
    machines.set(agentId, { id: agentId, name, count: count + 1 });
  }
  return [...machines.values()].sort((a, b) => b.count - a.count || a.name.localeCompare(b.name));
}

/** The alerts of one machine as its chart shows them. */
export const firedOn = (
  items: readonly BacktestItem[],
  id: string,
  textOf: (item: BacktestItem) => string,
): Annotations['alerts'] =>
  items
    .filter(({ agentId }) => agentId === id)
    .map((item) => ({ from: item.firedAt, to: item.endedAt ?? null, severity: item.severity, text: textOf(item) }));
