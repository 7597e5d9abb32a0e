// One machine of the fleet: what it is, and what it reported last. A change touches only what shows it.
import type { Agent, AgentLatest } from '$lib/queries/fleet';
import { conditionOf, levelOf, type Condition, type Level } from './trouble';
import { Trend } from './trend';
import { href } from '../../routes';

/** Values are old after three times the usual distance of samples, and never before. */
const STALE_MIN_MS = 30_000;
/** Until two samples have shown how often they come. */
const INTERVAL_MS = 10_000;

const LEVELS: readonly Level[] = ['ok', 'warning', 'critical'];
const worst = (...levels: Level[]) => levels.reduce((a, b) => (LEVELS.indexOf(b) > LEVELS.indexOf(a) ? b : a));

export class AgentRow {
  readonly id: string;
  agent: Agent = $state.raw() as Agent;
  latest: AgentLatest | null = $state.raw(null);
  isOnline = $state.raw(false);
  /** Of the processors, in percent. */
  readonly trend = new Trend();
  /** Grows when the trend may look otherwise: what draws it reads this. */
  trendVersion = $state.raw(0);
  /** Its place in the order of names. */
  rank = 0;
  /** What a search looks into, in lower case. */
  searchText = '';
  #intervalMs = INTERVAL_MS;

  constructor(agent: Agent) {
    this.id = agent.id;
    this.describe(agent);
  }

  /** Takes what the list of agents says. */
  describe(agent: Agent): void {
    this.agent = agent;
    this.isOnline = agent.status === 1;
    const { name, reportedName, hostname, ip, remoteAddress, tags } = agent;
    this.searchText = [name, reportedName, hostname, ip, remoteAddress, ...tags].join('\n').toLowerCase();
  }

  /** Takes newer values; returns whether they are. */
  report(latest: AgentLatest): boolean {
    const before = this.latest;
    if (before && latest.timestamp <= before.timestamp) return false;
    // An agent that comes back after a while, or sends what it kept, says nothing about how often it samples.
    if (before) this.#intervalMs = Math.min(latest.timestamp - before.timestamp, 2 * this.#intervalMs);
    const cpu = latest.cpuUsagePercent;
    if (cpu !== null && cpu !== undefined) this.trend.add(latest.timestamp, cpu);
    this.latest = latest;
    this.trendVersion += 1;
    return true;
  }

  /** Takes the past of its trend: averages of buckets, of which the first starts at `start`. */
  recall(start: number, intervalMs: number, averages: readonly (number | null)[]): void {
    this.trend.fill(start, intervalMs, averages);
    this.trendVersion += 1;
  }

  /** When the machine was last heard; null: never. */
  get seenAt(): number | null {
    const seen = Math.max(this.latest?.timestamp ?? 0, this.agent.lastSeenAt ?? 0);
    return seen > 0 ? seen : null;
  }

  /** Whether its values are older than they should be. */
  isStale(now: number): boolean {
    if (!this.isOnline || !this.latest) return !this.isOnline;
    return now - this.latest.timestamp > Math.max(STALE_MIN_MS, 3 * this.#intervalMs);
  }

  /** The worst of what a machine can run out of. */
  get level(): Level {
    const latest = this.latest;
    return worst(
      levelOf(latest?.cpuUsagePercent),
      levelOf(latest?.memoryUsagePercent),
      levelOf(latest?.diskUsagePercent),
    );
  }

  get condition(): Condition {
    return conditionOf({
      isRevoked: this.agent.revoked,
      hasConflict: Boolean(this.agent.identityConflict),
      isOnline: this.isOnline,
      level: this.level,
    });
  }

  get href(): string {
    return href('agent', { id: this.id });
  }
}
