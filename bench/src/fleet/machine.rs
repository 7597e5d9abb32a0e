//! The metrics of simulated machines: deterministic for seed, machine and time, and as irregular as real ones.

use std::f64::consts::TAU;

use pika_protocol::{CpuMetrics, DiskMetrics, LoadMetrics, MemoryMetrics, NetworkMetrics, Sample};
use pika_server::domain::tier::{DAY_MS, HOUR_MS, MINUTE_MS};

use crate::noise::{self, fraction};

const SECOND_MS: i64 = 1_000;
const GIB: i64 = 1 << 30;
/// Boot time of long-running machines, in milliseconds since the Unix epoch.
const STARTED_AT_MS: i64 = 1_760_000_000_000;
/// How often a machine with this trouble restarts, and how long that takes.
const RESTART_EVERY_MS: i64 = 6 * HOUR_MS;
const RESTART_MS: i64 = 4 * MINUTE_MS;
/// Period of the faster of the two waves of traffic.
const BURST_MS: i64 = 11 * MINUTE_MS;
const SITES: [(&str, i64); 3] = [("fra", 1), ("nyc", -5), ("sgp", 8)];
/// One of so many machines has each of the troubles.
const TROUBLE_EVERY: u32 = 40;

/// The role of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Web,
    Database,
    Cache,
    Worker,
    Storage,
}

const ROLES: [Role; 8] =
    [Role::Web, Role::Database, Role::Web, Role::Worker, Role::Web, Role::Cache, Role::Worker, Role::Storage];

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Web => "web",
            Role::Database => "db",
            Role::Cache => "cache",
            Role::Worker => "worker",
            Role::Storage => "storage",
        }
    }

    /// Returns the usual load in percent, cores, memory in GiB, and traffic in bytes per second.
    fn size(self) -> (f64, i32, i64, f64) {
        match self {
            Role::Web => (22.0, 8, 16, 3.0e6),
            Role::Database => (35.0, 32, 256, 9.0e6),
            Role::Cache => (12.0, 8, 128, 2.2e7),
            Role::Worker => (48.0, 16, 32, 6.0e5),
            Role::Storage => (9.0, 4, 16, 4.1e7),
        }
    }

    /// Returns mount points with devices, sizes in GiB, and fill levels.
    fn disks(self) -> &'static [(&'static str, &'static str, i64, f64)] {
        match self {
            Role::Web | Role::Cache => &[("/", "/dev/vda1", 80, 0.35)],
            Role::Worker => &[("/", "/dev/vda1", 80, 0.4), ("/scratch", "/dev/vdb", 500, 0.3)],
            Role::Database => {
                &[("/", "/dev/vda1", 80, 0.3), ("/var/lib/postgresql", "/dev/nvme1n1", 2_000, 0.62)]
            }
            Role::Storage => &[
                ("/", "/dev/vda1", 80, 0.25),
                ("/srv/a", "/dev/sda", 8_000, 0.71),
                ("/srv/b", "/dev/sdb", 8_000, 0.55),
            ],
        }
    }
}

/// What is wrong with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing.
    None,
    /// Its processors are always busy.
    Hot,
    /// Its first disk fills up, and is cleaned up once a day.
    FillingDisk,
    /// Its memory is nearly exhausted, and it swaps.
    LowMemory,
    /// It restarts every few hours.
    Restarts,
    /// It dropped samples.
    Gap,
    /// It is offline.
    Offline,
    /// Another machine has its identity.
    Clone,
}

/// A machine of the fleet.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) trouble: Trouble,
    seed: u64,
    role: Role,
    /// Offset of its time zone from UTC, in hours.
    time_zone_hours: i64,
    /// How busy it is among those of its role, from 0 to 1.
    character: f64,
}

impl Machine {
    /// Creates the machine with this number in the fleet of this seed.
    pub(super) fn new(seed: u64, number: u32, prefix: &str) -> Self {
        let role = ROLES[number as usize % ROLES.len()];
        let (site, time_zone_hours) = SITES[(number as usize / ROLES.len()) % SITES.len()];
        let seed = mixed(seed ^ u64::from(number).wrapping_mul(noise::STEP));
        let trouble = match number % TROUBLE_EVERY {
            5 => Trouble::Hot,
            9 => Trouble::FillingDisk,
            14 => Trouble::LowMemory,
            18 => Trouble::Restarts,
            22 => Trouble::Gap,
            27 => Trouble::Offline,
            31 if number < TROUBLE_EVERY => Trouble::Clone,
            _ => Trouble::None,
        };
        let [a, b] = [number / 250 % 250, number % 250 + 1];
        Self {
            name: format!("{prefix}{}-{site}-{:03}", role.name(), number),
            address: format!("10.20.{a}.{b}"),
            trouble,
            seed,
            role,
            time_zone_hours,
            character: fraction(seed),
        }
    }

    /// Returns whether the machine is up and takes samples at this time.
    pub(super) fn is_up(&self, at: i64) -> bool {
        self.trouble != Trouble::Restarts
            || RESTART_MS <= (at - self.restarts_at()).rem_euclid(RESTART_EVERY_MS)
    }

    /// Returns the sample at this time; `previous_at` is the time of the previous one.
    pub(super) fn sample(&self, at: i64, previous_at: Option<i64>) -> Sample {
        let usage = self.usage(at);
        Sample {
            timestamp: at,
            clock_offset_ms: Some(0),
            cpu: Some(self.cpu(at, usage)),
            memory: Some(self.memory(at)),
            disks: self
                .role
                .disks()
                .iter()
                .enumerate()
                .map(|(index, disk)| self.disk(at, index, *disk))
                .collect(),
            networks: vec![
                self.network(at, previous_at, "eth0", 1.0),
                self.network(at, previous_at, "lo", 0.01),
            ],
            load: Some(self.load(at, usage)),
            ..Sample::default()
        }
    }

    fn restarts_at(&self) -> i64 {
        part(fraction(self.seed ^ 1), RESTART_EVERY_MS)
    }

    fn booted_at(&self, at: i64) -> i64 {
        if self.trouble == Trouble::Restarts {
            return at - (at - self.restarts_at()).rem_euclid(RESTART_EVERY_MS);
        }
        STARTED_AT_MS + part(self.character, 30 * DAY_MS)
    }

    /// Returns a value from −1 at night to 1 by day.
    fn daytime(&self, at: i64) -> f64 {
        -(TAU * part_of(at + self.time_zone_hours * HOUR_MS, DAY_MS)).cos()
    }

    /// Returns the CPU usage in percent.
    fn usage(&self, at: i64) -> f64 {
        let (usual, ..) = self.role.size();
        if self.trouble == Trouble::Hot {
            return (95.0 + 6.0 * self.noise(at, 10 * SECOND_MS, 2)).clamp(0.0, 100.0);
        }
        let busy = usual * (0.6 + 0.8 * self.character) * (1.0 + 0.55 * self.daytime(at));
        let slow = 0.25 * busy * self.noise(at, 7 * MINUTE_MS, 3);
        let fast = 4.0 * self.noise(at, 10 * SECOND_MS, 4);
        // A job that runs for two minutes, a few times a day.
        let has_job = fraction(mixed(self.seed ^ whole(at, 2 * MINUTE_MS) ^ 5)) < 0.006;
        (busy + slow + fast + if has_job { 40.0 } else { 0.0 }).clamp(0.3, 100.0)
    }

    fn cpu(&self, at: i64, usage: f64) -> CpuMetrics {
        let (_, core_count, ..) = self.role.size();
        let waits = if self.role == Role::Database || self.role == Role::Storage { 0.12 } else { 0.02 };
        CpuMetrics {
            usage_percent: tenths(usage),
            core_count,
            user_percent: Some(tenths(usage * 0.72)),
            system_percent: Some(tenths(usage * 0.2)),
            iowait_percent: Some(tenths(usage * waits * (1.0 + self.noise(at, MINUTE_MS, 6)))),
            steal_percent: Some(0.0),
            ..CpuMetrics::default()
        }
    }

    fn load(&self, at: i64, usage: f64) -> LoadMetrics {
        let (_, core_count, ..) = self.role.size();
        let load = f64::from(core_count) * usage / 100.0;
        let over = |window_ms| f64::from(core_count) * self.usage(whole_ms(at, window_ms)) / 100.0;
        LoadMetrics {
            load1: hundredths(load.max(0.02)),
            load5: hundredths(f64::midpoint(load, over(5 * MINUTE_MS)).max(0.02)),
            load15: hundredths(f64::midpoint(over(5 * MINUTE_MS), over(15 * MINUTE_MS)).max(0.02)),
            ..LoadMetrics::default()
        }
    }

    fn memory(&self, at: i64) -> MemoryMetrics {
        let (_, _, gib, _) = self.role.size();
        let total = gib * GIB;
        let is_low = self.trouble == Trouble::LowMemory;
        let share = if is_low { 0.96 } else { 0.38 + 0.3 * self.character + 0.05 * self.daytime(at) };
        let used = pages((share + 0.015 * self.noise(at, 3 * MINUTE_MS, 7)).min(0.985), total);
        let swap_total = 4 * GIB;
        MemoryMetrics {
            total,
            used,
            free: (total - used) / 4,
            usage_percent: share_percent(used, total),
            available: Some(total - used),
            swap_total: Some(swap_total),
            swap_used: Some(pages(
                if is_low { 0.8 + 0.1 * self.noise(at, 5 * MINUTE_MS, 8) } else { 0.01 },
                swap_total,
            )),
            ..MemoryMetrics::default()
        }
    }

    fn disk(
        &self,
        at: i64,
        index: usize,
        (mount_point, device, gib, fill): (&str, &str, i64, f64),
    ) -> DiskMetrics {
        let total = gib * GIB;
        let fill = if self.trouble == Trouble::FillingDisk && index == 0 {
            0.7 + 0.29 * part_of(at, DAY_MS)
        } else {
            // Logs grow and are rotated.
            fill * (0.8 + 0.3 * self.character) + 0.02 * part_of(at + self.restarts_at(), DAY_MS)
        };
        let used = pages(fill.min(0.995), total);
        DiskMetrics {
            mount_point: mount_point.to_owned(),
            device: device.to_owned(),
            fs_type: if self.role == Role::Storage && 0 < index { "xfs" } else { "ext4" }.to_owned(),
            total,
            used,
            free: total - used,
            usage_percent: share_percent(used, total),
            inodes_usage_percent: Some(tenths(100.0 * fill / 3.0)),
            ..DiskMetrics::default()
        }
    }

    fn network(&self, at: i64, previous_at: Option<i64>, interface: &str, share: f64) -> NetworkMetrics {
        let booted_at = self.booted_at(at);
        // Counters are reset when the machine boots.
        let previous_at = previous_at.filter(|previous_at| booted_at <= *previous_at);
        let moved = |share| {
            let total = self.moved(booted_at, at, share);
            (total, previous_at.map(|previous_at| total - self.moved(booted_at, previous_at, share)))
        };
        let (received_bytes_total, received_bytes_delta) = moved(share);
        let (sent_bytes_total, sent_bytes_delta) = moved(share * (0.2 + 1.6 * self.character));
        NetworkMetrics {
            interface: interface.to_owned(),
            received_bytes_total,
            sent_bytes_total,
            received_bytes_delta,
            sent_bytes_delta,
            interval_ms: previous_at.map(|previous_at| at - previous_at),
            receive_errors_delta: previous_at.map(|_| 0),
            send_errors_delta: previous_at.map(|_| 0),
            ..NetworkMetrics::default()
        }
    }

    /// Returns the bytes transferred between two times: the integral of a rate with a slow and a fast wave, so that it
    /// only grows.
    fn moved(&self, from: i64, until: i64, share: f64) -> i64 {
        let (.., usual) = self.role.size();
        let shift = self.time_zone_hours * HOUR_MS;
        let integral = |at: i64| {
            seconds(at) + swing(at + shift, DAY_MS, 0.6) + swing(at, BURST_MS, 0.3 * self.character)
        };
        whole_number(usual * share * (0.5 + self.character) * (integral(until) - integral(from)))
    }

    /// Returns a number from −1 to 1 that stays constant for a while.
    fn noise(&self, at: i64, lasts_ms: i64, kind: u64) -> f64 {
        2.0 * fraction(mixed(self.seed ^ whole(at, lasts_ms) ^ (kind << 56))) - 1.0
    }
}

fn mixed(number: u64) -> u64 {
    noise::mixed(number.wrapping_add(noise::STEP))
}

fn whole(at: i64, length_ms: i64) -> u64 {
    at.div_euclid(length_ms).unsigned_abs()
}

fn whole_ms(at: i64, length_ms: i64) -> i64 {
    at - at.rem_euclid(length_ms)
}

#[expect(clippy::cast_precision_loss, reason = "plausible numbers")]
fn part_of(at: i64, length_ms: i64) -> f64 {
    at.rem_euclid(length_ms) as f64 / length_ms as f64
}

#[expect(clippy::cast_precision_loss, reason = "plausible numbers")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

/// Returns the integral of a rate's wave, in seconds.
fn swing(at: i64, period_ms: i64, amplitude: f64) -> f64 {
    amplitude * seconds(period_ms) / TAU * (TAU * part_of(at, period_ms)).cos()
}

#[expect(clippy::cast_possible_truncation, reason = "plausible numbers")]
fn whole_number(number: f64) -> i64 {
    number as i64
}

#[expect(clippy::cast_precision_loss, reason = "plausible numbers")]
fn part(share: f64, of: i64) -> i64 {
    whole_number(share * of as f64)
}

fn pages(share: f64, bytes: i64) -> i64 {
    part(share, bytes / 4_096) * 4_096
}

#[expect(clippy::cast_precision_loss, reason = "plausible numbers")]
fn share_percent(part: i64, of: i64) -> f32 {
    tenths(100.0 * part as f64 / of as f64)
}

#[expect(clippy::cast_possible_truncation, reason = "plausible numbers")]
fn tenths(number: f64) -> f32 {
    ((number * 10.0).round() / 10.0).clamp(0.0, 100.0) as f32
}

#[expect(clippy::cast_possible_truncation, reason = "plausible numbers")]
fn hundredths(number: f64) -> f32 {
    ((number * 100.0).round() / 100.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_790_000_000_000;

    fn fleet() -> Vec<Machine> {
        (0..TROUBLE_EVERY).map(|number| Machine::new(7, number, "")).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_fleet() {
        for (one, other) in fleet().iter().zip(fleet()) {
            assert_eq!(one.sample(NOON, Some(NOON - 5_000)), other.sample(NOON, Some(NOON - 5_000)));
        }
        assert_ne!(Machine::new(8, 3, "").sample(NOON, None), Machine::new(7, 3, "").sample(NOON, None));
    }

    #[test]
    fn numbers_are_possible_at_any_time() {
        for machine in fleet() {
            for at in (NOON..NOON + 2 * DAY_MS).step_by(7 * 60_000) {
                let sample = machine.sample(at, Some(at - 60_000));
                let cpu = sample.cpu.unwrap();
                assert!((0.0..=100.0).contains(&cpu.usage_percent), "{cpu:?}");
                let memory = sample.memory.unwrap();
                assert!(0 < memory.used && memory.used < memory.total, "{memory:?}");
                for disk in sample.disks {
                    assert!(0 < disk.used && disk.used < disk.total, "{disk:?}");
                }
                for network in sample.networks {
                    let delta = network.received_bytes_delta.unwrap_or(0);
                    assert!(0 <= delta && delta <= network.received_bytes_total, "{network:?}");
                }
            }
        }
    }

    #[test]
    fn each_trouble_shows() {
        let fleet = fleet();
        let with = |trouble| fleet.iter().find(|machine| machine.trouble == trouble).unwrap();
        assert!(85.0 < with(Trouble::Hot).sample(NOON, None).cpu.unwrap().usage_percent);
        assert!(90.0 < with(Trouble::LowMemory).sample(NOON, None).memory.unwrap().usage_percent);
        let disk = |at| with(Trouble::FillingDisk).sample(at, None).disks[0].used;
        let midnight = NOON - NOON % DAY_MS;
        assert!(disk(midnight) < disk(midnight + 12 * HOUR_MS));
        let restarts = with(Trouble::Restarts);
        let n_down =
            (0..DAY_MS / MINUTE_MS).filter(|minute| !restarts.is_up(NOON + minute * MINUTE_MS)).count();
        assert_eq!(n_down, 16, "four minutes, four times a day");
        with(Trouble::Offline);
        with(Trouble::Clone);
    }
}
