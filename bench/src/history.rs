//! The history of a simulated fleet: deterministic for agent and time, and independent of other samples, so that any
//! part can be generated on its own.
//!
//! The numbers are as irregular as real ones: samples are slightly late, some are missing, and a machine is down for
//! hours and returns with its counters at zero.

use pika_server::domain::row::{
    CpuNumbers, DiskNumbers, LoadNumbers, MemoryNumbers, NetworkNumbers, Rows, Stored,
};
use pika_server::domain::tier::{DAY_MS, HOUR_MS};

use crate::noise::{STEP, fraction, mixed};

/// Each agent is down once in this time…
const OUTAGE_EVERY_MS: i64 = 10 * DAY_MS;
/// …for at most this long.
const OUTAGE_MS_MAX: i64 = 6 * HOUR_MS;
/// One sample in so many is missing.
const MISSING_EVERY: u64 = 500;
/// Samples are late by up to this fraction of their interval.
const JITTER_PARTS: i64 = 50;

/// The purpose of random numbers.
#[derive(Clone, Copy)]
enum Noise {
    Missing = 1,
    Jitter,
    Outage,
    Character,
    Cpu,
    Spike,
    Memory,
    Received,
    Sent,
    Load,
}

/// An agent of the fleet with its keys in the database.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedAgent {
    pub(crate) key: i32,
    pub(crate) disk_keys: Vec<i32>,
    pub(crate) interface_keys: Vec<i32>,
}

/// The history of a fleet.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) agents: Vec<SimulatedAgent>,
    /// The time of the first samples.
    pub(crate) start: i64,
    pub(crate) interval_ms: i64,
}

impl History {
    /// Appends the rows of all agents at a tick, in the order of arrival.
    pub(crate) fn append_tick(&self, tick: i64, rows: &mut Rows) {
        for agent in &self.agents {
            if !self.is_missing(agent, tick) {
                self.append_sample(agent, tick, rows);
            }
        }
    }

    /// Appends a sample, even if it is one of the missing ones.
    pub(crate) fn append_sample(&self, agent: &SimulatedAgent, tick: i64, rows: &mut Rows) {
        let ts = self.timestamp(agent, tick);
        let character = random(agent.key, 0, Noise::Character);
        let spike = if random(agent.key, tick, Noise::Spike) < 0.002 { 45.0 } else { 0.0 };
        let busy = 8.0 + 40.0 * character + 15.0 * daily(ts, character) + spike;
        let usage = (busy + 12.0 * random(agent.key, tick, Noise::Cpu)).clamp(0.1, 100.0);
        let agent_key = agent.key;
        let core_count = 2 << (agent_key % 5);
        rows.cpu.push(Stored::new(
            ts,
            agent_key,
            CpuNumbers {
                core_count,
                usage_percent: float4(usage),
                user_percent: Some(float4(usage * 0.7)),
                system_percent: Some(float4(usage * 0.25)),
                iowait_percent: Some(float4(2.0 * random(agent_key, tick, Noise::Load))),
                steal_percent: Some(0.0),
                ..CpuNumbers::default()
            },
        ));
        rows.memory.push(memory(agent_key, ts, tick, character));
        for (position, disk_key) in (0_i64..).zip(&agent.disk_keys) {
            rows.disks.push(self.disk(agent_key, *disk_key, position, ts));
        }
        for interface_key in &agent.interface_keys {
            rows.networks.push(self.network(agent, *interface_key, ts, tick));
        }
        let load = f64::from(core_count) * usage / 100.0;
        rows.load.push(Stored::new(
            ts,
            agent_key,
            LoadNumbers {
                load1: hundredths(load * (0.8 + 0.4 * random(agent_key, tick, Noise::Load))),
                load5: hundredths(load * (0.9 + 0.2 * random(agent_key, tick / 4, Noise::Load))),
                load15: hundredths(load * (0.95 + 0.1 * random(agent_key, tick / 16, Noise::Load))),
                ..LoadNumbers::default()
            },
        ));
    }

    fn timestamp(&self, agent: &SimulatedAgent, tick: i64) -> i64 {
        // Each agent has a fixed phase within the interval.
        let offset = scaled(random(agent.key, 0, Noise::Jitter), self.interval_ms * 9 / 10);
        let jitter = scaled(random(agent.key, tick, Noise::Jitter), self.interval_ms / JITTER_PARTS);
        self.start + tick * self.interval_ms + offset + jitter
    }

    fn is_missing(&self, agent: &SimulatedAgent, tick: i64) -> bool {
        let is_lost = hash(agent.key, tick, Noise::Missing).is_multiple_of(MISSING_EVERY);
        let at_ms = tick * self.interval_ms;
        let (down_ms, up_ms) = outage(agent.key, at_ms.div_euclid(OUTAGE_EVERY_MS));
        is_lost || (down_ms <= at_ms && at_ms < up_ms)
    }

    /// Returns when the machine was last booted, in milliseconds since the start.
    fn booted_at_ms(agent_key: i32, at_ms: i64) -> i64 {
        let period = at_ms.div_euclid(OUTAGE_EVERY_MS);
        let (_, up_ms) = outage(agent_key, period);
        if up_ms <= at_ms { up_ms } else { outage(agent_key, period - 1).1 }
    }

    fn disk(&self, agent_key: i32, disk_key: i32, position: i64, ts: i64) -> Stored<DiskNumbers> {
        const TOTAL_BYTES: i64 = 512 << 30;
        let character = random(disk_key, position, Noise::Character);
        // Fills up over two weeks, then is cleaned up.
        let fill = wrapped(ts, 14 * DAY_MS, character);
        let used = scaled(0.2 + 0.4 * character + 0.2 * fill, TOTAL_BYTES / 4096) * 4096;
        Stored::of_series(
            ts,
            agent_key,
            disk_key,
            DiskNumbers {
                total_bytes: TOTAL_BYTES,
                used_bytes: used,
                free_bytes: TOTAL_BYTES - used,
                usage_percent: percent_of(used, TOTAL_BYTES),
                inodes_usage_percent: Some(hundredths(10.0 + 5.0 * fill)),
                ..DiskNumbers::default()
            },
        )
    }

    fn network(
        &self,
        agent: &SimulatedAgent,
        interface_key: i32,
        ts: i64,
        tick: i64,
    ) -> Stored<NetworkNumbers> {
        let booted_ms = Self::booted_at_ms(agent.key, tick * self.interval_ms);
        let before = (1..=3).map(|back| tick - back).find(|before| !self.is_missing(agent, *before));
        let before = before.filter(|before| booted_ms <= before * self.interval_ms);
        let moved = |noise| {
            let counter = |tick| self.counter(agent.key, tick, noise);
            let since_boot = counter(tick) - counter(booted_ms / self.interval_ms);
            (since_boot.max(0), before.map(|before| (counter(tick) - counter(before)).max(0)))
        };
        let (received_bytes_total, received_bytes) = moved(Noise::Received);
        let (sent_bytes_total, sent_bytes) = moved(Noise::Sent);
        Stored::of_series(
            ts,
            agent.key,
            interface_key,
            NetworkNumbers {
                received_bytes_total,
                sent_bytes_total,
                received_bytes,
                sent_bytes,
                interval_ms: before.map(|before| ts - self.timestamp(agent, before)),
                receive_errors: before.map(|_| i64::from(random(agent.key, tick, Noise::Spike) < 0.001)),
                send_errors: before.map(|_| 0),
                ..NetworkNumbers::default()
            },
        )
    }

    /// Returns the bytes transferred until a tick, which never decrease.
    #[expect(clippy::cast_precision_loss, reason = "plausible numbers")]
    fn counter(&self, agent_key: i32, tick: i64, noise: Noise) -> i64 {
        let bytes_per_tick = 200_000.0 + 20_000_000.0 * random(agent_key, 0, noise);
        let position = tick as f64 + 0.9 * random(agent_key, tick, noise);
        #[expect(clippy::cast_possible_truncation, reason = "plausible numbers")]
        let bytes = (bytes_per_tick * position) as i64;
        bytes
    }
}

fn memory(agent_key: i32, ts: i64, tick: i64, character: f64) -> Stored<MemoryNumbers> {
    let total_bytes = 16 << 30;
    let share = 0.3 + 0.4 * character + 0.1 * daily(ts, character);
    // Memory in use changes less often than it is sampled.
    let share = share + 0.05 * random(agent_key, tick / 2, Noise::Memory);
    let used_bytes = scaled(share, total_bytes / 4096) * 4096;
    Stored::new(
        ts,
        agent_key,
        MemoryNumbers {
            total_bytes,
            used_bytes,
            free_bytes: (total_bytes - used_bytes) / 3,
            available_bytes: Some(total_bytes - used_bytes),
            swap_total_bytes: Some(2 << 30),
            swap_used_bytes: Some(0),
            usage_percent: percent_of(used_bytes, total_bytes),
            ..MemoryNumbers::default()
        },
    )
}

/// Returns the start and end of a machine's outage in a period, in milliseconds since the start.
fn outage(agent_key: i32, period: i64) -> (i64, i64) {
    let down_ms = scaled(random(agent_key, period, Noise::Outage), OUTAGE_EVERY_MS - OUTAGE_MS_MAX);
    let lasts_ms = scaled(random(agent_key, !period, Noise::Outage), OUTAGE_MS_MAX);
    let start_ms = period * OUTAGE_EVERY_MS;
    (start_ms + down_ms, start_ms + down_ms + lasts_ms)
}

/// Returns a hash of an agent and tick.
fn hash(key: i32, tick: i64, noise: Noise) -> u64 {
    let seed = (u64::from(key.unsigned_abs()) << 40) ^ ((noise as u64) << 34);
    mixed(seed.wrapping_add(tick.cast_unsigned().wrapping_mul(STEP)))
}

/// Like [`hash`], as a number from 0 to 1.
fn random(key: i32, tick: i64, noise: Noise) -> f64 {
    fraction(hash(key, tick, noise))
}

/// Returns the position within a repeating span, from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "plausible numbers")]
fn wrapped(ts: i64, span_ms: i64, phase: f64) -> f64 {
    (ts.rem_euclid(span_ms) as f64 / span_ms as f64 + phase).fract()
}

/// Returns a daily wave from -1 to 1.
fn daily(ts: i64, phase: f64) -> f64 {
    (std::f64::consts::TAU * wrapped(ts, DAY_MS, phase / 4.0)).sin()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "plausible numbers")]
fn scaled(share: f64, whole: i64) -> i64 {
    (share * whole as f64) as i64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "plausible numbers")]
fn percent_of(part: i64, whole: i64) -> f32 {
    (100.0 * part as f64 / whole as f64) as f32
}

#[expect(clippy::cast_possible_truncation, reason = "plausible numbers")]
fn float4(value: f64) -> f32 {
    value as f32
}

fn hundredths(value: f64) -> f32 {
    float4((value * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let agents = (1..=3)
            .map(|key| SimulatedAgent {
                key,
                disk_keys: vec![2 * key, 2 * key + 1],
                interface_keys: vec![key],
            })
            .collect();
        History { agents, start: 1_800_000_000_000, interval_ms: 15_000 }
    }

    #[test]
    fn the_past_is_nearly_complete_and_the_same_every_time() {
        let ticks = 10 * DAY_MS / 15_000;
        let (mut rows, mut again) = (Rows::default(), Rows::default());
        for tick in 0..ticks {
            history().append_tick(tick, &mut rows);
            history().append_tick(tick, &mut again);
        }
        assert_eq!(rows, again);
        let share =
            f64::from(u32::try_from(rows.cpu.len()).unwrap()) / f64::from(i32::try_from(3 * ticks).unwrap());
        assert!(0.96 < share && share < 0.999, "{share}");
        assert_eq!(rows.disks.len(), 2 * rows.cpu.len());
        assert_eq!(rows.networks.len(), rows.cpu.len());
    }

    #[test]
    fn counters_start_anew_when_a_machine_does() {
        let mut rows = Rows::default();
        for tick in 0..20 * DAY_MS / 15_000 {
            history().append_tick(tick, &mut rows);
        }
        let of_first: Vec<_> = rows.networks.iter().filter(|row| row.agent_key == 1).collect();
        let resets = of_first
            .windows(2)
            .filter(|pair| pair[1].numbers.received_bytes_total < pair[0].numbers.received_bytes_total)
            .inspect(|pair| assert_eq!(pair[1].numbers.received_bytes, None))
            .count();
        assert!((1..=2).contains(&resets), "{resets}");
        for pair in of_first.windows(2) {
            if let Some(received) = pair[1].numbers.received_bytes {
                assert_eq!(
                    received,
                    pair[1].numbers.received_bytes_total - pair[0].numbers.received_bytes_total
                );
                assert_eq!(pair[1].numbers.interval_ms, Some(pair[1].ts - pair[0].ts));
            }
        }
    }

    #[test]
    fn values_are_within_their_limits() {
        let mut rows = Rows::default();
        for tick in 0..DAY_MS / 15_000 {
            history().append_tick(tick, &mut rows);
        }
        let is_percent = |value: f32| (0.0..=100.0).contains(&value);
        assert!(rows.cpu.iter().all(|row| is_percent(row.numbers.usage_percent)));
        assert!(
            rows.memory.iter().all(|row| is_percent(row.numbers.usage_percent) && 0 < row.numbers.free_bytes)
        );
        assert!(
            rows.disks.iter().all(|row| is_percent(row.numbers.usage_percent) && 0 < row.numbers.free_bytes)
        );
    }
}
