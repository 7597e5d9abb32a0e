//! The collectors, one per family, each with what its platform can report (`linux`, `portable`). Failures are logged
//! when they begin and end; meanwhile samples lack the family.
//!
//! Some families are read for every sample, the others for one sample in every `slow_interval_ms`: those that change
//! slowly or cost more. To add one: a file with its `Collector`, a field of [`Collectors`], and its lines in
//! `Collectors::below` and [`Collectors::collect`].

mod blocking;
mod delta;
mod disk;
mod error;
mod host;
mod link;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
mod network;
mod number;
#[cfg(any(test, not(target_os = "linux")))]
#[cfg_attr(target_os = "linux", expect(unused_imports, reason = "only its tests run on Linux"))]
mod portable;
#[cfg(target_os = "linux")]
mod proc_file;
mod roots;
mod round;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use pika_protocol::Sample;
use pika_protocol::limits::{DEVICES_PER_SAMPLE_MAX, DISKS_PER_SAMPLE_MAX, NETWORKS_PER_SAMPLE_MAX};
use pika_shared::Clock;

pub use self::host::Host;
pub use self::network::NetworkBaseline;

use self::blocking::Blocking;
use self::disk::Disk;
use self::error::CollectError;
use self::link::Link;
#[cfg(target_os = "linux")]
use self::linux as platform;
use self::memory::Memory;
use self::network::Network;
use self::platform::{Cpu, DiskIo, Load, Parts, Pressure, StatFile, System};
#[cfg(not(target_os = "linux"))]
use self::portable as platform;
use self::roots::Roots;
use self::round::Round;
use self::view::View;
use crate::boot_clock::BootClock;
use crate::config::{Config, ViewConfig};

/// Reads one family of metrics.
trait Collector {
    /// The family's part of a sample.
    type Output;

    /// Reads the current values. Values that the platform lacks are absent, never zero.
    fn collect(&mut self, tick: Tick) -> Result<Self::Output, CollectError>;
}

/// The instant of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tick {
    /// Milliseconds since boot, time asleep included.
    uptime_ms: i64,
}

/// What collectors are made from.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only the collectors for Linux need all of it")
)]
struct Setup<'a> {
    roots: &'a Roots,
    config: &'a Config,
    view: View,
    stat: StatFile,
    clock: Clock,
    /// The instant of the first readings.
    tick: Tick,
}

/// The enabled collectors, with their state between samples.
pub struct Collectors {
    boot: BootClock,
    cpu: Option<Cpu>,
    memory: Option<Memory>,
    network: Option<Network>,
    load: Option<Load>,
    pressure: Option<Pressure>,
    disk_io: Option<DiskIo>,
    link: Option<Link>,
    system: Option<Blocking<System>>,
    disk: Option<Blocking<Disk>>,
    /// Whether disks are read for every sample.
    is_disk_fast: bool,
    parts: Parts,
    /// Families that failed last time, and limits that were exceeded.
    failing: BTreeSet<&'static str>,
}

/// A sample and the state from which the next run continues.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The metrics.
    pub sample: Sample,
    /// The counters behind the sample's network deltas.
    pub network: Option<NetworkBaseline>,
}

impl Collectors {
    /// Creates the collectors and takes a first reading of the processor. `baseline` is the last network reading of a
    /// previous run.
    pub fn new(config: &Config, baseline: Option<NetworkBaseline>) -> Collectors {
        Collectors::below(&Roots::default(), config, baseline)
    }

    fn below(roots: &Roots, config: &Config, baseline: Option<NetworkBaseline>) -> Collectors {
        let enabled = &config.collectors;
        let boot = BootClock::new();
        let tick = Tick { uptime_ms: boot.uptime_ms() };
        let view = match config.view {
            ViewConfig::Auto => platform::view(roots),
            ViewConfig::Host => View::Host,
            ViewConfig::Container => View::Container,
        };
        let setup = Setup { roots, config, view, stat: StatFile::new(roots), clock: Clock::system(), tick };
        let has_disk_io = enabled.disk_io.enabled && view.shows_disk_io();
        let network = || Network::new(roots, config.network.clone(), boot.id(), baseline);
        Collectors {
            cpu: enabled.cpu.enabled.then(|| Cpu::new(setup.stat.clone(), tick)),
            memory: enabled.memory.enabled.then(|| Memory::new(roots)),
            network: enabled.network.enabled.then(network),
            load: enabled.load.enabled.then(|| Load::new(roots)),
            pressure: enabled.pressure.enabled.then(|| Pressure::new(&setup)),
            disk_io: has_disk_io.then(|| DiskIo::new(&setup)),
            link: enabled.link.enabled.then(|| Link::new(roots, config.network.clone())),
            system: enabled.system.enabled.then(|| Blocking::Idle(System::new(&setup))),
            disk: enabled.disk.enabled.then(|| Blocking::Idle(Disk::new(roots, config.disk.clone()))),
            is_disk_fast: config.disk.every_sample,
            parts: Parts::new(&setup),
            failing: BTreeSet::new(),
            boot,
        }
    }

    /// Takes a sample with the given timestamp (milliseconds since the Unix epoch), with the slow families if they are
    /// due. Some collectors can take long; they are left out if they take longer than `deadline`, and until they respond
    /// again.
    pub async fn collect(&mut self, timestamp: i64, is_slow_due: bool, deadline: Duration) -> Reading {
        let tick = Tick { uptime_ms: self.boot.uptime_ms() };
        self.collect_at(tick, timestamp, is_slow_due, deadline).await
    }

    async fn collect_at(
        &mut self,
        tick: Tick,
        timestamp: i64,
        is_slow_due: bool,
        deadline: Duration,
    ) -> Reading {
        let mut round = Round::new(tick, deadline, &mut self.failing);
        let mut sample = Sample { timestamp, ..Sample::default() };

        // Every sample.
        sample.cpu = round.read("cpu", self.cpu.as_mut()).flatten();
        sample.memory = round.read("memory", self.memory.as_mut());
        let networks = round.read("network", self.network.as_mut());
        sample.load = round.read("load", self.load.as_mut()).flatten();
        sample.pressure = round.read("pressure", self.pressure.as_mut()).flatten();
        sample.disk_io = round.read("disk_io", self.disk_io.as_mut()).unwrap_or_default();

        // Slow ones.
        let link = self.link.as_mut().filter(|_| is_slow_due);
        sample.links = round.read("link", link).unwrap_or_default();

        // Those that may block come last, so that all other values are from the same instant.
        let system = self.system.as_mut().filter(|_| is_slow_due);
        sample.system = round.read_blocking("system", system).await.flatten();
        let disk = self.disk.as_mut().filter(|_| is_slow_due || self.is_disk_fast);
        sample.disks = round.read_blocking("disk", disk).await.unwrap_or_default();

        self.parts.read(&mut round, is_slow_due, &mut sample).await;

        let baseline =
            self.network.as_ref().filter(|_| networks.is_some()).map(|network| network.baseline().clone());
        sample.networks = networks.unwrap_or_default();
        round.bound("disks", &mut sample.disks, DISKS_PER_SAMPLE_MAX);
        round.bound("interfaces", &mut sample.networks, NETWORKS_PER_SAMPLE_MAX);
        round.bound("block devices", &mut sample.disk_io, DEVICES_PER_SAMPLE_MAX);
        round.bound("links", &mut sample.links, NETWORKS_PER_SAMPLE_MAX);
        Reading { sample, network: baseline }
    }
}
