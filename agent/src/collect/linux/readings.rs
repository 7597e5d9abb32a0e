//! Readings that other programs of this machine have made, because the agent loads no code and has no rights: of
//! SMART, of graphics processors, and of names of containers. Each is a JSON file in `readings_dir`.
//!
//! The files are checked before they are read (who could have written them, their size and number), and their contents
//! like what a server checks of an agent: limits, bounds and age. A file that fails is left out as a whole, and that is
//! logged once.

mod document;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pika_protocol::{GpuMetrics, SensorMetrics, VolumeMetrics};
use pika_shared::{Clock, chain};
use tracing::{info, warn};

use self::document::{Document, DocumentError};
use crate::collect::Tick;
use crate::files::{Dir, How};

/// Maximum number of files that are read.
const FILES_MAX: usize = 16;

/// Maximum size of a file, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// A reading is used until it is this many times as old as the time between two of them.
const INTERVALS_MAX: i64 = 3;

/// How far a reading may be ahead of the clock, in milliseconds.
const AHEAD_MS_MAX: i64 = 60_000;

/// Everything that current readings hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Given {
    pub(super) gpus: Vec<GpuMetrics>,
    pub(super) volumes: Vec<VolumeMetrics>,
    pub(super) sensors: Vec<SensorMetrics>,
    /// Names of containers, by id.
    pub(super) names: BTreeMap<String, String>,
}

/// The readings, shared by the collectors that report them.
#[derive(Clone, Debug)]
pub(in crate::collect) struct SharedReadings(Arc<Mutex<Readings>>);

impl SharedReadings {
    /// `owner_uid` is the user who, besides root, may have written the files.
    pub(in crate::collect) fn new(dir: PathBuf, owner_uid: u32, clock: Clock) -> SharedReadings {
        SharedReadings(Arc::new(Mutex::new(Readings::new(dir, owner_uid, clock))))
    }

    /// Returns the readings that are current at this tick. They are read once a tick.
    pub(super) fn at(&self, tick: Tick) -> Arc<Given> {
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if readings.read_at_ms != Some(tick.uptime_ms) {
            let now_ms = readings.clock.now();
            readings.given = Arc::new(readings.read(now_ms));
            readings.read_at_ms = Some(tick.uptime_ms);
        }
        Arc::clone(&readings.given)
    }
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
enum ReadingError {
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    #[error("it belongs to user {0}, not to root or `readings_owner_uid`")]
    Owner(u32),
    #[error("its group or others may write to it")]
    Writable,
    #[error("it has another hard link")]
    Linked,
    #[error("it has more than {BYTES_MAX} bytes")]
    TooLarge,
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("it is {0} ms old, more than {INTERVALS_MAX} intervals")]
    Stale(i64),
    #[error("it was taken {0} ms in the future")]
    Future(i64),
    #[error("there are more than {FILES_MAX} files")]
    TooMany,
}

/// A file whose contents have been checked, and what it was when it was read: device, inode, size, and time of
/// modification.
#[derive(Debug)]
struct Cached {
    stamp: (u64, u64, u64, i64, i64),
    document: Arc<Document>,
}

#[derive(Debug)]
struct Readings {
    dir: PathBuf,
    owner_uid: u32,
    clock: Clock,
    cached: BTreeMap<String, Cached>,
    /// The files that were left out last time.
    failing: BTreeSet<String>,
    /// The tick of the last reading, and its result.
    read_at_ms: Option<i64>,
    given: Arc<Given>,
}

impl Readings {
    fn new(dir: PathBuf, owner_uid: u32, clock: Clock) -> Readings {
        Readings {
            dir,
            owner_uid,
            clock,
            cached: BTreeMap::new(),
            failing: BTreeSet::new(),
            read_at_ms: None,
            given: Arc::default(),
        }
    }

    fn read(&mut self, now_ms: i64) -> Given {
        let mut given = Given::default();
        let dir = match Dir::open(&self.dir) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.cached.clear();
                return given;
            }
            Err(error) => {
                self.note("", &Err(error.into()));
                return given;
            }
        };
        let names = match dir.entries() {
            Ok(entries) => {
                let names = entries.into_iter().map(|(name, _)| name);
                let mut names: Vec<String> = names.filter(|name| name.ends_with(".json")).collect();
                names.sort_unstable();
                names
            }
            Err(error) => {
                self.note("", &Err(error.into()));
                return given;
            }
        };
        self.note("", &if FILES_MAX < names.len() { Err(ReadingError::TooMany) } else { Ok(()) });
        self.cached.retain(|name, _| names.binary_search(name).is_ok());
        self.failing.retain(|name| name.is_empty() || names.binary_search(name).is_ok());
        for name in names.iter().take(FILES_MAX) {
            let document = self.file(&dir, name, now_ms);
            if let Ok(document) = &document {
                given.add(document);
            }
            self.note(name, &document.map(|_| ()));
        }
        given
    }

    /// Returns the contents of a file that is in order.
    fn file(&mut self, dir: &Dir, name: &str, now_ms: i64) -> Result<Arc<Document>, ReadingError> {
        // A link is not followed, and a pipe is no file.
        let file = dir.open_file(name, How::Read)?;
        let metadata = file.metadata()?;
        if ![0, self.owner_uid].contains(&metadata.uid()) {
            return Err(ReadingError::Owner(metadata.uid()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(ReadingError::Writable);
        }
        if metadata.nlink() != 1 {
            return Err(ReadingError::Linked);
        }
        if BYTES_MAX < metadata.len() {
            return Err(ReadingError::TooLarge);
        }
        let stamp = (metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        let cached = self.cached.get(name).filter(|cached| cached.stamp == stamp);
        let document = match cached {
            Some(cached) => Arc::clone(&cached.document),
            None => {
                self.cached.remove(name);
                let document = Arc::new(Document::parse(&bounded(file)?)?);
                self.cached.insert(name.to_owned(), Cached { stamp, document: Arc::clone(&document) });
                document
            }
        };
        let age_ms = now_ms.saturating_sub(document.taken_at);
        if age_ms < -AHEAD_MS_MAX {
            return Err(ReadingError::Future(age_ms.saturating_neg()));
        }
        if document.interval_ms.saturating_mul(INTERVALS_MAX) < age_ms {
            return Err(ReadingError::Stale(age_ms));
        }
        Ok(document)
    }

    /// Logs when a file begins to be left out, and when it is used again. The directory itself has no name.
    fn note(&mut self, name: &str, result: &Result<(), ReadingError>) {
        let path = self.dir.join(name);
        match result {
            Ok(()) => {
                if self.failing.remove(name) {
                    info!(path = %path.display(), "the reading is used again");
                }
            }
            Err(error) => {
                if self.failing.insert(name.to_owned()) {
                    warn!(path = %path.display(), error = %chain(error), "a reading is left out");
                }
            }
        }
    }
}

/// Reads a file that may grow meanwhile.
fn bounded(file: File) -> Result<Vec<u8>, ReadingError> {
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= BYTES_MAX) {
        Ok(bytes)
    } else {
        Err(ReadingError::TooLarge)
    }
}

impl Given {
    /// Adds what no earlier reading has told.
    fn add(&mut self, document: &Document) {
        let Document { gpus, volumes, sensors, names, .. } = document;
        for gpu in gpus {
            if self.gpus.iter().all(|other| other.bus != gpu.bus) {
                self.gpus.push(gpu.clone());
            }
        }
        for volume in volumes {
            if self.volumes.iter().all(|other| other.volume != volume.volume) {
                self.volumes.push(volume.clone());
            }
        }
        for sensor in sensors {
            if self.sensors.iter().all(|other| other.sensor != sensor.sensor) {
                self.sensors.push(sensor.clone());
            }
        }
        for (id, name) in names {
            self.names.entry(id.clone()).or_insert_with(|| name.clone());
        }
    }
}

#[cfg(test)]
mod tests;
