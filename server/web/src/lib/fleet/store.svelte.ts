// The fleet in memory: lists give what there is, events what changes. Nothing here asks the server or knows the page.
/* eslint-disable svelte/prefer-svelte-reactivity -- following thousands of rows one by one is what `arrangement` is for */
import type { Agent, AgentLatest, Sparklines } from '$lib/queries/fleet';
import type { FleetEvent } from '$lib/queries/live';
import { AgentRow } from './row.svelte';
import { summarize, type Summary } from './summary';

/** Events are applied so often at most: the eye does not follow more. */
export const APPLY_INTERVAL_MS = 250;
/** Rows change places so often at most. */
export const ARRANGE_INTERVAL_MS = 5000;
/** The summary is made so often at most: it looks at every machine. */
export const SUMMARY_INTERVAL_MS = 1000;

type Compare = (a: string, b: string) => number;
type Timer = ReturnType<typeof setTimeout>;

export class FleetStore {
  readonly rows = new Map<string, AgentRow>();
  /** Grows when rows may have to be filtered and sorted anew. Read it, and the rows without being told of their changes. */
  arrangement = $state.raw(0);
  summary: Summary = $state.raw(summarize([]));
  /** All machines by name, as the lists had them when they were read last. */
  agents: readonly Agent[] = $state.raw([]);
  /** Whether the lists were read once. */
  isKnown = $state.raw(false);
  /** Called when an event tells of a machine that no list had. */
  onstranger: () => void = () => undefined;

  readonly #compare: Compare;
  /** What has come and is not applied: of each machine the newest. */
  #latest = new Map<string, AgentLatest>();
  #online = new Map<string, boolean>();
  #isReading = false;
  #isHeld = false;
  #isDisarranged = false;
  #applyTimer: Timer | undefined;
  #arrangeTimer: Timer | undefined;
  #summaryTimer: Timer | undefined;

  constructor(compare: Compare) {
    this.#compare = compare;
  }

  /** The lists are being read: events wait until they are there. */
  beginReading(): void {
    this.#apply();
    this.#isReading = true;
  }

  /** They could not be read: what is known goes on. */
  giveUpReading(): void {
    this.#isReading = false;
    this.#apply();
  }

  /** Takes the lists as what there is. Newer values that came as events stay. */
  replace(agents: readonly Agent[], latest: readonly AgentLatest[]): void {
    const gone = new Set(this.rows.keys());
    for (const agent of agents) {
      gone.delete(agent.id);
      const row = this.rows.get(agent.id);
      if (row) row.describe(agent);
      else this.rows.set(agent.id, new AgentRow(agent));
    }
    for (const id of gone) this.rows.delete(id);
    // The two lists are not read at one moment: one may have an agent that the other has not.
    for (const values of latest) this.rows.get(values.agentId)?.report(values);
    this.#rank();
    this.#isReading = false;
    this.isKnown = true;
    this.#apply();
    // Who is still unknown is gone.
    this.#latest.clear();
    this.#online.clear();
    this.#arrange();
    this.#summarize();
  }

  /** Takes the past of all trends. They are on one grid then, those of machines without a past, too. */
  recall({ start, intervalMs, items }: Sparklines): void {
    const averages = new Map(items.map(({ agentId, avg }) => [agentId, avg]));
    for (const [id, row] of this.rows) row.recall(start, intervalMs, averages.get(id) ?? []);
  }

  /** Takes an event in; it shows a moment later. */
  receive(event: FleetEvent): void {
    if (event.type === 'metrics') {
      for (const latest of event.metrics) this.#latest.set(latest.agentId, latest);
    } else if (event.type === 'status' && event.agentId) {
      this.#online.set(event.agentId, event.status === 1);
    }
    this.#applyTimer ??= setTimeout(() => this.#apply(), APPLY_INTERVAL_MS);
  }

  /** While the pointer is over the rows they stay where they are. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    if (!isHeld && this.#isDisarranged) this.#arrangeLater();
  }

  /** Forgets everything, for the next who logs in. */
  clear(): void {
    for (const timer of [this.#applyTimer, this.#arrangeTimer, this.#summaryTimer]) clearTimeout(timer);
    this.#applyTimer = this.#arrangeTimer = this.#summaryTimer = undefined;
    this.rows.clear();
    this.#latest.clear();
    this.#online.clear();
    this.#isReading = this.#isHeld = this.#isDisarranged = this.isKnown = false;
    this.summary = summarize([]);
    this.agents = [];
    this.arrangement += 1;
  }

  #apply(): void {
    clearTimeout(this.#applyTimer);
    this.#applyTimer = undefined;
    if (this.#isReading) return;
    let isChanged = false;
    // What is said of strangers is kept until the lists have been asked for them.
    for (const [id, latest] of this.#latest) {
      const row = this.rows.get(id);
      if (!row) continue;
      isChanged = row.report(latest) || isChanged;
      this.#latest.delete(id);
    }
    for (const [id, isOnline] of this.#online) {
      const row = this.rows.get(id);
      if (!row) continue;
      isChanged ||= row.isOnline !== isOnline;
      row.isOnline = isOnline;
      this.#online.delete(id);
    }
    if (this.isKnown && this.#latest.size + this.#online.size > 0) this.onstranger();
    if (!isChanged) return;
    this.#isDisarranged = true;
    this.#arrangeLater();
    this.#summaryTimer ??= setTimeout(() => this.#summarize(), SUMMARY_INTERVAL_MS);
  }

  #rank(): void {
    const byName = [...this.rows.values()].sort(
      (a, b) => this.#compare(a.agent.name, b.agent.name) || (a.id < b.id ? -1 : 1),
    );
    byName.forEach((row, rank) => (row.rank = rank));
    this.agents = byName.map(({ agent }) => agent);
  }

  #arrangeLater(): void {
    this.#arrangeTimer ??= setTimeout(() => {
      this.#arrangeTimer = undefined;
      if (!this.#isHeld) this.#arrange();
    }, ARRANGE_INTERVAL_MS);
  }

  #arrange(): void {
    this.#isDisarranged = false;
    this.arrangement += 1;
  }

  #summarize(): void {
    clearTimeout(this.#summaryTimer);
    this.#summaryTimer = undefined;
    this.summary = summarize(this.rows.values());
  }
}
