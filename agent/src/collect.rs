//! The collectors: one file a family, each reading what is honest on its platform. One that fails is logged when
//! that begins and when it ends, and the sample goes on without its family.

mod blocking;
mod cpu;
mod disk;
mod host;
mod load;
mod memory;
mod network;
mod number;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::Duration;

use pika_protocol::limits::{DISKS_PER_SAMPLE_MAX, NETWORKS_PER_SAMPLE_MAX};
use pika_protocol::{DiskMetrics, Sample};
use pika_shared::chain;
use tracing::{info, warn};

pub use self::host::Host;
pub use self::network::NetworkBaseline;

use self::blocking::Blocking;
use self::cpu::Cpu;
use self::disk::Disk;
use self::host::BootClock;
use self::memory::Memory;
use self::network::Network;
use crate::config::Config;

/// Why a family could not be read.
#[derive(Debug, thiserror::Error)]
enum CollectError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{0} has an unknown form")]
    Format(&'static str),
    #[error("sysinfo does not know this operating system")]
    Unsupported,
    #[error("{0}")]
    NoData(&'static str),
    #[error("a file system does not answer; remote ones can be left out with `disk.exclude_mount_points`")]
    Hung,
    #[error("the collector ended unexpectedly")]
    Ended,
}

/// All collectors that are enabled, with what they remember from one sample to the next.
pub struct Collectors {
    cpu: Option<Cpu>,
    memory: Option<Memory>,
    disk: Option<Blocking<Disk, Vec<DiskMetrics>>>,
    network: Option<Network>,
    has_load: bool,
    /// Families that failed last time, and limits that were hit.
    failing: BTreeSet<&'static str>,
}

/// A sample and what the next run needs to go on after it.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The metrics.
    pub sample: Sample,
    /// The counters behind the sample's network deltas.
    pub network: Option<NetworkBaseline>,
}

impl Collectors {
    /// `baseline` is the last network reading of a previous run. Takes a first reading of the processor.
    pub fn new(config: &Config, baseline: Option<NetworkBaseline>) -> Collectors {
        let enabled = &config.collectors;
        Collectors {
            cpu: enabled.cpu.enabled.then(Cpu::new),
            memory: enabled.memory.enabled.then(Memory::new),
            disk: enabled.disk.enabled.then(|| Blocking::Idle(Disk::new(config.disk.clone()))),
            network: enabled
                .network
                .enabled
                .then(|| Network::new(config.network.clone(), BootClock::new(), baseline)),
            has_load: enabled.load.enabled,
            failing: BTreeSet::new(),
        }
    }

    /// Takes a sample with the given timestamp (milliseconds since the Unix epoch). Only the disks can take long;
    /// they are left out when they take longer than `deadline`, and until they answer again.
    pub async fn collect(&mut self, timestamp: i64, deadline: Duration) -> Reading {
        // Everything but the disks first, so that those numbers are from one instant.
        let cpu = self.cpu.as_mut().map_or(Ok(None), Cpu::collect);
        let memory = self.memory.as_mut().map(Memory::collect).transpose();
        let network = self.network.as_mut().map(Network::collect).transpose();
        let load = if self.has_load { load::collect() } else { Ok(None) };
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
        };
        self.bound("disks", &mut sample.disks, DISKS_PER_SAMPLE_MAX);
        self.bound("interfaces", &mut sample.networks, NETWORKS_PER_SAMPLE_MAX);
        let network =
            self.network.as_ref().filter(|_| network_succeeded).map(|network| network.baseline().clone());
        Reading { sample, network }
    }

    /// Logs when a family begins to fail and when it works again, not every time in between.
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

/// A small file of the kernel that is read again and again, with the buffers for it.
struct ProcFile {
    path: PathBuf,
    bytes: Vec<u8>,
    text: String,
}

impl ProcFile {
    fn new(path: PathBuf) -> ProcFile {
        ProcFile { path, bytes: Vec::new(), text: String::new() }
    }

    /// The present contents. Bytes that are no text are replaced: one strange mount point must not hide the rest.
    fn read(&mut self) -> Result<&str, CollectError> {
        self.bytes.clear();
        File::open(&self.path)
            .and_then(|mut file| file.read_to_end(&mut self.bytes))
            .map_err(|source| CollectError::Read { path: self.path.clone(), source })?;
        self.text.clear();
        self.text.push_str(&String::from_utf8_lossy(&self.bytes));
        Ok(&self.text)
    }
}
