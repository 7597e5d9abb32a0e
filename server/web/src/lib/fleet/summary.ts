// The whole fleet in a few numbers.
import type { AgentRow } from './row.svelte';
import { isTrouble } from './trouble';

export interface Summary {
  readonly total: number;
  readonly online: number;
  readonly offline: number;
  /** Online, and short of something. */
  readonly hot: number;
  readonly conflict: number;
  readonly revoked: number;
  /** Machines that somebody has to look at. */
  readonly trouble: number;
  /** Of the processors of machines that are online, in percent; null where none has reported. */
  readonly cpuMedian: number | null;
  readonly cpuP95: number | null;
  readonly receivedBytesPerSecond: number;
  readonly sentBytesPerSecond: number;
}

/** The value below which this part of them lies, by the nearest rank. */
function percentile(sorted: Float64Array, part: number): number | null {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? null;
}

export function summarize(rows: Iterable<AgentRow>): Summary {
  const count = { total: 0, online: 0, offline: 0, hot: 0, conflict: 0, revoked: 0, trouble: 0 };
  const cpu: number[] = [];
  let received = 0;
  let sent = 0;
  for (const row of rows) {
    const { condition, isOnline, latest } = row;
    count.total += 1;
    count[isOnline ? 'online' : 'offline'] += 1;
    if (row.agent.revoked) count.revoked += 1;
    if (condition === 'conflict') count.conflict += 1;
    if (condition === 'warning' || condition === 'critical') count.hot += 1;
    if (isTrouble(condition)) count.trouble += 1;
    if (!isOnline || !latest) continue;
    if (typeof latest.cpuUsagePercent === 'number') cpu.push(latest.cpuUsagePercent);
    received += latest.receivedBytesPerSecond ?? 0;
    sent += latest.sentBytesPerSecond ?? 0;
  }
  const sorted = Float64Array.from(cpu).sort();
  return {
    ...count,
    cpuMedian: percentile(sorted, 0.5),
    cpuP95: percentile(sorted, 0.95),
    receivedBytesPerSecond: received,
    sentBytesPerSecond: sent,
  };
}
