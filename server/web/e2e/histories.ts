// Machines with a history, made for a scenario.
import { MadeUpAgent } from './agents.js';
import type { Api } from './fixtures';
import { enrollmentToken } from './machines';

const MINUTE = 60_000;
const SAMPLES_PER_FRAME = 200;
const GIB = 1024 ** 3;

interface Sample {
  timestamp: number;
  [family: string]: unknown;
}

export interface Plan {
  name: string;
  /** How long ago the first and the last sample were taken. */
  fromMs?: number;
  untilMs?: number;
  everyMs?: number;
  /** A stretch without samples, and what the agent says about it. */
  hole?: { fromMs: number; untilMs: number; reason?: 'spool_full' | 'expired' | 'unreadable' };
  interfaces?: readonly string[];
  mountPoints?: readonly string[];
  /** Moves its curves against those of others. */
  phase?: number;
}

export interface Machine {
  readonly id: string;
  readonly name: string;
  /** When its history ends, and the usual distance of its samples. */
  readonly now: number;
}

/** One sample: daily curves with a little noise that is the same every time. */
export function sampleAt(timestamp: number, plan: Plan): Sample {
  const wave = (periodMs: number, phase = 0) =>
    Math.sin((timestamp / periodMs) * 2 * Math.PI + phase + (plan.phase ?? 0));
  const noise = (seed: number) => ((Math.sin(timestamp / 977 + seed * 12.9898) * 43758.5453) % 1) ** 2;
  const usagePercent = Math.min(100, Math.max(0, 38 + 22 * wave(40 * MINUTE) + 26 * noise(1)));
  const used = Math.round((9 + 2 * wave(90 * MINUTE) + 0.4 * noise(2)) * GIB);
  const every = plan.everyMs ?? 5000;
  return {
    timestamp,
    cpu: {
      usagePercent,
      coreCount: 8,
      userPercent: usagePercent * 0.7,
      systemPercent: usagePercent * 0.2,
      iowaitPercent: 3 * noise(3),
      stealPercent: 0,
    },
    memory: {
      total: 16 * GIB,
      used,
      free: GIB,
      usagePercent: (used / (16 * GIB)) * 100,
      swapTotal: 2 * GIB,
      swapUsed: Math.round(0.3 * GIB),
    },
    disks: (plan.mountPoints ?? ['/', '/boot', '/var/lib/postgresql']).map((mountPoint, i) => {
      const percent = [41, 23, 78, 60, 12][i % 5] ?? 50;
      const share = percent + (i === 2 ? 4 * wave(200 * MINUTE) : 0);
      const total = 100 * GIB;
      const inUse = Math.round((total * share) / 100);
      return {
        mountPoint,
        device: `/dev/sda${i}`,
        fstype: 'ext4',
        total,
        used: inUse,
        free: total - inUse,
        usagePercent: share,
      };
    }),
    networks: (plan.interfaces ?? ['eth0', 'lo', 'docker0']).map((name, i) => ({
      interface: name,
      bytesRecvTotal: Math.round(timestamp / 10),
      bytesSentTotal: Math.round(timestamp / 20),
      bytesRecvDelta: Math.round(every * (900 / (i + 1)) * (1.4 + wave(25 * MINUTE, i) + noise(4 + i))),
      bytesSentDelta: Math.round(every * (300 / (i + 1)) * (1.3 + wave(35 * MINUTE, i) + noise(7 + i))),
      intervalMs: every,
    })),
    load: { load1: usagePercent / 14, load5: usagePercent / 16, load15: 2.6 + wave(60 * MINUTE) },
  };
}

function samplesOf(plan: Plan, now: number): Sample[] {
  const { fromMs = 30 * MINUTE, untilMs = 0, everyMs = 5000, hole } = plan;
  const samples: Sample[] = [];
  for (let at = now - fromMs; at <= now - untilMs; at += everyMs) {
    if (hole && at > now - hole.fromMs && at < now - hole.untilMs) continue;
    samples.push(sampleAt(at, plan));
  }
  return samples;
}

/** Gives a connected machine its history, which ends at `now`. Returns when all of it is committed. */
export async function deliverHistory(agent: MadeUpAgent, plan: Plan, now: number): Promise<void> {
  const frames: { type: string; data: unknown }[] = [];
  const samples = samplesOf(plan, now);
  for (let i = 0; i < samples.length; i += SAMPLES_PER_FRAME) {
    frames.push({ type: 'batch', data: { samples: samples.slice(i, i + SAMPLES_PER_FRAME) } });
  }
  if (plan.hole?.reason) {
    const { fromMs, untilMs, reason } = plan.hole;
    frames.push({ type: 'gap', data: { start: now - fromMs, end: now - untilMs, samples: 42, reason } });
  }
  await agent.deliver(frames);
}

/** Enrolls a machine with a history, which goes offline then. */
export async function makeMachine(baseURL: string, api: Api, plan: Plan): Promise<Machine> {
  const now = Math.floor(new Date().getTime() / 1000) * 1000;
  const agent = new MadeUpAgent(baseURL, plan.name, '192.0.2.7', plan.everyMs);
  await agent.connect(await enrollmentToken(api, plan.name));
  await deliverHistory(agent, plan, now);
  agent.close();
  return { id: agent.id, name: plan.name, now };
}
