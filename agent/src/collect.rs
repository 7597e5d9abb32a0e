//! The collectors, one per family, each with what its platform can report (`linux`, `portable`). Failures are logged
//! when they begin and end; meanwhile samples lack the family.

mod blocking;
mod disk;
mod host;
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

use std::collections::BTreeSet;
#[cfg(target_os = "linux")]
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use pika_protocol::limits::{DISKS_PER_SAMPLE_MAX, NETWORKS_PER_SAMPLE_MAX};
use pika_protocol::{DiskMetrics, Sample};
use pika_shared::chain;
use tracing::{info, warn};

pub use self::host::Host;
pub use self::network::NetworkBaseline;

use self::blocking::Blocking;
use self::disk::Disk;
#[cfg(target_os = "linux")]
use self::linux as platform;
use self::memory::Memory;
use self::network::Network;
use self::platform::{Cpu, Load};
#[cfg(not(target_os = "linux"))]
use self::portable as platform;
use crate::boot_clock::BootClock;
use crate::config::Config;

/// Reads one family of metrics.
trait Collector {
    /// The family's part of a sample.
    type Output;

    /// Reads the current values. Values that the platform lacks are absent, never zero.
    fn collect(&mut self) -> Result<Self::Output, CollectError>;
}

/// Roots of the kernel's files, which tests replace. Ignored on platforms without such files.
#[derive(Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has them"))]
struct Roots {
    proc: PathBuf,
    sys: PathBuf,
}

impl Default for Roots {
    fn default() -> Roots {
        Roots { proc: PathBuf::from("/proc"), sys: PathBuf::from("/sys") }
    }
}

/// Why a family could not be read.
#[derive(Debug, thiserror::Error)]
enum CollectError {
    #[cfg(target_os = "linux")]
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[cfg(target_os = "linux")]
    #[error("{0} has an unknown form")]
    Format(&'static str),
    #[cfg(any(test, not(target_os = "linux")))]
    #[error("sysinfo does not know this operating system")]
    Unsupported,
    #[error("{0}")]
    NoData(&'static str),
    #[error("a file system does not respond; remote ones can be excluded with `disk.exclude_mount_points`")]
    Hung,
    #[error("the collector ended unexpectedly")]
    Ended,
}

/// The enabled collectors, with their state between samples.
pub struct Collectors {
    cpu: Option<Cpu>,
    memory: Option<Memory>,
    disk: Option<Blocking<Disk, Vec<DiskMetrics>>>,
    network: Option<Network>,
    load: Option<Load>,
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
        let (enabled, roots) = (&config.collectors, Roots::default());
        let network = || Network::new(&roots, config.network.clone(), BootClock::new(), baseline);
        Collectors {
            cpu: enabled.cpu.enabled.then(|| Cpu::new(&roots)),
            memory: enabled.memory.enabled.then(|| Memory::new(&roots)),
            disk: enabled.disks.enabled.then(|| Blocking::Idle(Disk::new(&roots, config.disk.clone()))),
            network: enabled.networks.enabled.then(network),
            load: enabled.load.enabled.then(|| Load::new(&roots)),
            failing: BTreeSet::new(),
        }
    }

    /// Takes a sample with the given timestamp (milliseconds since the Unix epoch). Only disks can take long; they are
    /// left out if they take longer than `deadline`, and until they respond again.
    pub async fn collect(&mut self, timestamp: i64, deadline: Duration) -> Reading {
        // Disks come last, so that all other values are from the same instant.
        let cpu = self.cpu.as_mut().map_or(Ok(None), Cpu::collect);
        let memory = self.memory.as_mut().map(Memory::collect).transpose();
        let network = self.network.as_mut().map(Network::collect).transpose();
        let load = self.load.as_mut().map_or(Ok(None), Load::collect);
        let disks = match &mut self.disk {
            Some(disk) => disk.run(deadline, Disk::collect).await,
            None => Ok(Vec::new()),
        };

        let network_succeeded = matches!(network, Ok(Some(_)));
        let mut sample = Sample {
            timestamp,
            clock_offset_ms: None,
            cpu: self.note("cpu", cpu).flatten(),
            memory: self.note("memory", memory).flatten(),
            disks: self.note("disk", disks).unwrap_or_default(),
            networks: self.note("network", network).flatten().unwrap_or_default(),
            load: self.note("load", load).flatten(),
            ..Sample::default()
        };
        self.bound("disks", &mut sample.disks, DISKS_PER_SAMPLE_MAX);
        self.bound("interfaces", &mut sample.networks, NETWORKS_PER_SAMPLE_MAX);
        let network =
            self.network.as_ref().filter(|_| network_succeeded).map(|network| network.baseline().clone());
        Reading { sample, network }
    }

    /// Logs when a family begins to fail and when it works again.
    fn note<T>(&mut self, family: &'static str, result: Result<T, CollectError>) -> Option<T> {
        match result {
            Ok(value) => {
                if self.failing.remove(family) {
                    info!(family, "the {family} collector works again");
                }
                Some(value)
            }
            Err(error) => {
                if self.failing.insert(family) {
                    warn!(family, error = %chain(&error), "the {family} collector fails; samples go on without it");
                }
                None
            }
        }
    }

    fn bound<T>(&mut self, what: &'static str, items: &mut Vec<T>, items_max: usize) {
        if items.len() <= items_max {
            self.failing.remove(what);
            return;
        }
        if self.failing.insert(what) {
            warn!(found = items.len(), reported = items_max, "too many {what}; the last ones are left out");
        }
        items.truncate(items_max);
    }
}
