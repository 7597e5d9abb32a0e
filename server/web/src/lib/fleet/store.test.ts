// The fleet in memory is what the lists and the events say, in whatever order they come.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FleetEvent } from '$lib/queries/live';
import { agent, latest } from './samples';
import { APPLY_INTERVAL_MS, ARRANGE_INTERVAL_MS, FleetStore, SUMMARY_INTERVAL_MS } from './store.svelte';

const metrics = (...values: ReturnType<typeof latest>[]): FleetEvent => ({ type: 'metrics', metrics: values });
const status = (agentId: string, value: 0 | 1): FleetEvent => ({ type: 'status', metrics: [], agentId, status: value });

function storeOf(...ids: string[]) {
  const store = new FleetStore((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  store.replace(
    ids.map((id) => agent({ id })),
    [],
  );
  return store;
}
const cpu = (store: FleetStore, id: string) => store.rows.get(id)?.latest?.cpuUsagePercent;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('the fleet', () => {
  it('is what the lists say', () => {
    const store = storeOf('b', 'a');
    store.replace([agent({ id: 'a', name: 'renamed' }), agent({ id: 'c', name: 'c' })], [latest('c', 1, 30)]);
    expect([...store.rows.keys()]).toEqual(['a', 'c']);
    expect(store.rows.get('a')?.agent.name).toBe('renamed');
    expect(cpu(store, 'c')).toBe(30);
    expect([store.rows.get('c')?.rank, store.rows.get('a')?.rank]).toEqual([0, 1]);
    expect(store.agents.map(({ id }) => id)).toEqual(['c', 'a']);
  });

  it('recalls the past of every trend, on one grid', () => {
    const store = storeOf('a', 'b');
    const start = 60_000 * 1000;
    store.recall({
      metric: 'cpuUsagePercent',
      start,
      intervalMs: 60_000,
      tier: 'raw',
      items: [{ agentId: 'a', avg: [10, null, 30], max: [] }],
    });
    const values = (id: string) => [...(store.rows.get(id)?.trend.values(start + 2 * 60_000 + 1) ?? [])].slice(-3);
    expect([values('a'), values('b')]).toEqual([
      [10, NaN, 30],
      [NaN, NaN, NaN],
    ]);
    expect(store.rows.get('a')?.trendVersion).toBe(1);
  });

  it('keeps the row of a machine, so that only what has changed is drawn', () => {
    const store = storeOf('a');
    const row = store.rows.get('a');
    store.replace([agent({ id: 'a' })], []);
    expect(store.rows.get('a')).toBe(row);
  });

  it('applies events four times a second at most, of each machine the newest', () => {
    const store = storeOf('a', 'b');
    store.receive(metrics(latest('a', 1, 10)));
    store.receive(metrics(latest('a', 2, 20), latest('b', 1, 5)));
    expect(cpu(store, 'a')).toBeUndefined();
    vi.advanceTimersByTime(APPLY_INTERVAL_MS - 1);
    expect(cpu(store, 'a')).toBeUndefined();
    vi.advanceTimersByTime(1);
    expect([cpu(store, 'a'), cpu(store, 'b')]).toEqual([20, 5]);
  });

  it('does not go back to older values', () => {
    const store = storeOf('a');
    store.receive(metrics(latest('a', 9, 90)));
    vi.advanceTimersByTime(APPLY_INTERVAL_MS);
    store.replace([agent({ id: 'a' })], [latest('a', 8, 80)]);
    expect(cpu(store, 'a')).toBe(90);
    store.receive(metrics(latest('a', 7, 70)));
    vi.advanceTimersByTime(APPLY_INTERVAL_MS);
    expect(cpu(store, 'a')).toBe(90);
  });

  it('lets events wait while the lists are read', () => {
    const store = storeOf('a');
    store.beginReading();
    store.receive(metrics(latest('a', 5, 50)));
    store.receive(status('a', 0));
    vi.advanceTimersByTime(10 * APPLY_INTERVAL_MS);
    expect([cpu(store, 'a'), store.rows.get('a')?.isOnline]).toEqual([undefined, true]);
    store.replace([agent({ id: 'a' })], [latest('a', 4, 40)]);
    expect([cpu(store, 'a'), store.rows.get('a')?.isOnline]).toEqual([50, false]);
  });

  it('goes on with what it knows where the lists cannot be read', () => {
    const store = storeOf('a');
    store.beginReading();
    store.receive(metrics(latest('a', 5, 50)));
    store.giveUpReading();
    expect(cpu(store, 'a')).toBe(50);
  });

  it('says when a machine is one that it does not know', () => {
    const store = storeOf('a');
    let strangers = 0;
    store.onstranger = () => (strangers += 1);
    store.receive(metrics(latest('a', 1, 1)));
    vi.advanceTimersByTime(APPLY_INTERVAL_MS);
    expect(strangers).toBe(0);
    store.receive(status('x', 1));
    vi.advanceTimersByTime(APPLY_INTERVAL_MS);
    expect(strangers).toBe(1);
    store.receive(metrics(latest('x', 1, 7)));
    vi.advanceTimersByTime(APPLY_INTERVAL_MS);
    store.replace([agent({ id: 'x', status: 0 })], []);
    expect([store.rows.get('x')?.isOnline, cpu(store, 'x')], 'and keeps what was said of it').toEqual([true, 7]);
  });

  it('arranges its rows every 5 s at most, and not under the pointer', () => {
    const store = storeOf('a');
    const before = store.arrangement;
    const change = (at: number) => {
      store.receive(metrics(latest('a', at, at)));
      vi.advanceTimersByTime(APPLY_INTERVAL_MS);
    };
    change(1);
    change(2);
    expect(store.arrangement).toBe(before);
    vi.advanceTimersByTime(ARRANGE_INTERVAL_MS);
    expect(store.arrangement).toBe(before + 1);
    vi.advanceTimersByTime(10 * ARRANGE_INTERVAL_MS);
    expect(store.arrangement, 'nothing has changed').toBe(before + 1);
    store.hold(true);
    change(3);
    vi.advanceTimersByTime(10 * ARRANGE_INTERVAL_MS);
    expect(store.arrangement).toBe(before + 1);
    store.hold(false);
    vi.advanceTimersByTime(ARRANGE_INTERVAL_MS);
    expect(store.arrangement).toBe(before + 2);
  });

  it('is summed up once a second at most', () => {
    const store = storeOf('a', 'b', 'c');
    store.receive(metrics(latest('a', 1, 10), latest('b', 1, 97)));
    store.receive(status('c', 0));
    vi.advanceTimersByTime(APPLY_INTERVAL_MS);
    expect(store.summary.offline).toBe(0);
    vi.advanceTimersByTime(SUMMARY_INTERVAL_MS);
    expect(store.summary).toMatchObject({ total: 3, online: 2, offline: 1, hot: 1, trouble: 2 });
    expect(store.summary).toMatchObject({ cpuMedian: 10, cpuP95: 97 });
  });

  it('is forgotten when somebody logs out', () => {
    const store = storeOf('a');
    store.receive(metrics(latest('a', 1, 10)));
    store.clear();
    vi.advanceTimersByTime(10 * ARRANGE_INTERVAL_MS);
    expect([store.rows.size, store.agents.length, store.summary.total, store.isKnown]).toEqual([0, 0, 0, false]);
  });
});

describe('values', () => {
  it('are stale after three times their usual distance, and 30 s at least', () => {
    const store = storeOf('a', 'b');
    const report = (id: string, ...times: number[]) => {
      for (const at of times) store.rows.get(id)?.report(latest(id, at, 1));
    };
    report('a', 1000, 6000, 11_000);
    report('b', 1000, 16_000, 31_000, 46_000);
    const [a, b] = [store.rows.get('a'), store.rows.get('b')];
    expect([a?.isStale(41_000), a?.isStale(41_001)]).toEqual([false, true]);
    expect([b?.isStale(46_000 + 45_000), b?.isStale(46_000 + 45_001)]).toEqual([false, true]);
  });
});
