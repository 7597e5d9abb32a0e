//! Where samples lie until they are acknowledged: in the spool, and in memory where that cannot be written to.
//!
//! A spool that fails is not given up: what is in it may be intact. It is opened anew from time to time, and meanwhile
//! nobody is told that its samples are lost.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pika_protocol::message::GapReason;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::{error, info, warn};

use super::FRAME_SAMPLES_BYTES_MAX;
use super::encoded::EncodedSample;
use super::spool::{Evicted, Found, Opened, Spool, Unavailable};
use crate::collect::NetworkBaseline;
use crate::config::OutboxConfig;
use crate::throttle::{COMPLAINT_INTERVAL, Throttle};

/// Name of the spool within the state directory.
const SPOOL_NAME: &str = "spool";

/// How long a spool that has failed is left alone.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// A failure that comes this long after the last one is another.
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// The samples that are kept.
pub(super) struct Store {
    path: PathBuf,
    spool_bytes_max: u64,
    memory_samples_max: usize,
    pub(super) spool: Option<Spool>,
    /// Samples that could not be written to the spool. At most `memory_samples_max`; the oldest is dropped.
    overflow: BTreeMap<u64, EncodedSample>,
    lost: VecDeque<Lost>,
    /// The number behind the newest sample.
    end_id: u64,
    failure: Option<Failure>,
    /// The spool is not to be opened in this run.
    is_given_up: bool,
    is_writing_failing: bool,
    read_log: Throttle,
    forget_log: Throttle,
}

/// The spool fails.
#[derive(Clone, Copy, Debug)]
struct Failure {
    since: Instant,
    /// The number behind the newest sample at that time.
    end_id: u64,
    last: Instant,
    /// When it is opened anew; `None` when it was and has not failed again.
    retry_at: Option<Instant>,
}

/// Samples that had to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    /// The number of the first.
    pub(super) start_id: u64,
    /// The number behind the last.
    pub(super) end_id: u64,
    /// The time of the first, where it is known.
    pub(super) start: Option<i64>,
    /// The time of the last, where it is known.
    pub(super) end: Option<i64>,
    /// Why.
    pub(super) reason: GapReason,
}

/// What the spool holds that was opened.
#[derive(Debug)]
pub(super) struct Held {
    /// The number of the oldest sample that is not acknowledged.
    pub(super) below: u64,
    /// The number behind the last sample.
    pub(super) next_id: u64,
    /// The network counters of the last sample.
    pub(super) baseline: Option<NetworkBaseline>,
}

/// There is no sample under a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Absent {
    /// Neither under the numbers up to this one (exclusive), and there never will be.
    Lost(u64),
    /// The spool cannot be read now; what is known of this number is so of all up to this one (exclusive).
    Unavailable(u64),
}

/// A record of the spool, to be written.
#[derive(Serialize)]
struct NewRecord<'a> {
    sample: &'a EncodedSample,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a NetworkBaseline>,
}

/// A record of the spool, but for the network counters. Its sample is sent as it was written.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    sample: &'a RawValue,
}

/// The network counters of a record.
#[derive(Deserialize)]
struct RecordCounters {
    #[serde(default)]
    network: Option<NetworkBaseline>,
}

fn sample_of(payload: &[u8]) -> serde_json::Result<EncodedSample> {
    EncodedSample::from_json(serde_json::from_slice::<Record<'_>>(payload)?.sample)
}

impl Store {
    /// Opens the spool of the agent with this state directory, where it can be used, and answers what it holds.
    ///
    /// # Errors
    /// When another agent uses the directory.
    pub(super) fn open(state_dir: &Path, config: &OutboxConfig) -> io::Result<(Store, Option<Held>)> {
        let mut store = Store {
            path: state_dir.join(SPOOL_NAME),
            spool_bytes_max: config.spool_bytes_max,
            memory_samples_max: config.memory_samples_max,
            spool: None,
            overflow: BTreeMap::new(),
            lost: VecDeque::new(),
            end_id: 0,
            failure: None,
            is_given_up: false,
            is_writing_failing: false,
            read_log: Throttle::new(COMPLAINT_INTERVAL),
            forget_log: Throttle::new(COMPLAINT_INTERVAL),
        };
        match store.open_spool() {
            Ok(held) => Ok((store, Some(held))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                error!(%error, "the spool cannot be used; unacknowledged samples are kept in memory until it can");
                store.is_writing_failing = true;
                store.note_failure();
                Ok((store, None))
            }
        }
    }

    fn open_spool(&mut self) -> io::Result<Held> {
        let Opened { spool, cursor, next_id, last } = Spool::open(&self.path, self.spool_bytes_max)?;
        let below = spool.first_id().unwrap_or(next_id).max(cursor);
        self.spool = Some(spool);
        self.end_id = self.end_id.max(next_id);
        let last = last.and_then(|payload| serde_json::from_slice::<RecordCounters>(&payload).ok());
        Ok(Held { below, next_id, baseline: last.and_then(|record| record.network) })
    }

    /// Whether it is time to open a spool that has failed anew.
    pub(super) fn is_retry_due(&self) -> bool {
        let retry_at = self.failure.and_then(|failure| failure.retry_at);
        !self.is_given_up && retry_at.is_some_and(|retry_at| retry_at <= Instant::now())
    }

    /// Opens the spool anew. Answers what it holds where that succeeded.
    pub(super) fn retry(&mut self) -> Option<Held> {
        if let Some(failure) = &mut self.failure {
            failure.retry_at = None;
        }
        // First of all the lock is let go.
        self.spool = None;
        match self.open_spool() {
            Ok(held) => Some(held),
            Err(error) => {
                self.complain(&error);
                self.note_failure();
                None
            }
        }
    }

    /// Leaves the spool to the next run.
    pub(super) fn give_up(&mut self) {
        self.spool = None;
        self.is_given_up = true;
    }

    /// Samples below this number are not waited for any longer: a spool that fails has kept them for `age` by now.
    pub(super) fn given_up_below(&self, age: Duration) -> u64 {
        self.failure.filter(|failure| age <= failure.since.elapsed()).map_or(0, |failure| failure.end_id)
    }

    fn note_failure(&mut self) {
        let now = Instant::now();
        let failure = self.failure.filter(|before| now.duration_since(before.last) < FAILURE_PAUSE_MAX);
        let mut failure =
            failure.unwrap_or(Failure { since: now, end_id: self.end_id, last: now, retry_at: None });
        failure.last = now;
        failure.retry_at.get_or_insert(now + RETRY_INTERVAL);
        self.failure = Some(failure);
    }

    fn complain(&mut self, error: &io::Error) {
        if let Some(count) = self.read_log.note(1) {
            warn!(%error, count, "cannot read the spool; what is in it waits");
        }
    }

    /// Keeps a sample under a number that is larger than every one before. What had to go for it is told by
    /// [`Store::take_lost`].
    ///
    /// # Errors
    /// When the sample can never be sent.
    pub(super) fn keep(
        &mut self,
        id: u64,
        sample: &EncodedSample,
        network: Option<&NetworkBaseline>,
    ) -> io::Result<()> {
        self.end_id = id + 1;
        let payload = serde_json::to_vec(&NewRecord { sample, network })?;
        if FRAME_SAMPLES_BYTES_MAX < payload.len() {
            return Err(io::Error::other(format!("{} bytes fit into no frame", payload.len())));
        }
        let written = match &mut self.spool {
            Some(spool) => spool.append(id, &payload),
            None => Err(io::Error::other("there is no spool")),
        };
        match written {
            Ok(()) => {
                if std::mem::take(&mut self.is_writing_failing) {
                    info!("the spool can be written to again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_writing_failing, true) {
                    error!(%error, "cannot write to the spool; samples are kept in memory");
                }
                self.note_failure();
                self.overflow.insert(id, sample.clone());
                self.shrink_overflow();
            }
        }
        self.note_evicted();
        Ok(())
    }

    fn shrink_overflow(&mut self) {
        while self.memory_samples_max < self.overflow.len() {
            let Some((id, sample)) = self.overflow.pop_first() else {
                return;
            };
            let at = Some(sample.timestamp);
            let reason = GapReason::SpoolFull;
            self.lost.push_back(Lost { start_id: id, end_id: id + 1, start: at, end: at, reason });
        }
    }

    /// A file that was dropped to make room may have held samples that are still open.
    fn note_evicted(&mut self) {
        let time_of = |payload: Option<Vec<u8>>| Some(sample_of(&payload?).ok()?.timestamp);
        while let Some(evicted) = self.spool.as_mut().and_then(Spool::take_evicted) {
            let Evicted { start_id, end_id, first, last } = evicted;
            let (start, end) = (time_of(first), time_of(last));
            self.lost.push_back(Lost { start_id, end_id, start, end, reason: GapReason::SpoolFull });
        }
    }

    /// What had to go, oldest first; each is told once.
    pub(super) fn take_lost(&mut self) -> Option<Lost> {
        self.lost.pop_front()
    }

    /// A sample.
    pub(super) fn read(&mut self, id: u64) -> Result<EncodedSample, Absent> {
        if let Some(sample) = self.overflow.get(&id) {
            return Ok(sample.clone());
        }
        // What is in memory is not in the spool.
        let next_in_memory = self.overflow.range(id..).next().map_or(u64::MAX, |(&id, _)| id);
        match self.spool.as_mut().map(|spool| spool.read(id)) {
            // What cannot be read was written by another version that knew other fields.
            Some(Ok(Found::Record(payload))) => sample_of(payload).map_err(|_| Absent::Lost(id + 1)),
            Some(Ok(Found::Lost(end))) => Err(Absent::Lost(end.min(next_in_memory))),
            Some(Err(Unavailable { end, source })) => {
                self.complain(&source);
                self.note_failure();
                Err(Absent::Unavailable(end.min(next_in_memory)))
            }
            None => Err(Absent::Unavailable(next_in_memory)),
        }
    }

    /// The sample is not needed any more.
    pub(super) fn forget(&mut self, id: u64) {
        self.overflow.remove(&id);
    }

    /// No sample below is needed any more.
    pub(super) fn forget_below(&mut self, id: u64) {
        if let Some(Err(error)) = self.spool.as_mut().map(|spool| spool.forget_below(id))
            && let Some(count) = self.forget_log.note(1)
        {
            // Harmless: after a restart some samples are sent once more than needed.
            warn!(%error, count, "cannot note down what the server has acknowledged");
        }
    }

    /// As if the spool had been failing for as long, and it were time to open it anew.
    #[cfg(test)]
    pub(super) fn age_failure(&mut self, by: Duration) {
        let failure = self.failure.as_mut().unwrap();
        failure.since = failure.since.checked_sub(by).unwrap();
        failure.retry_at = Some(Instant::now());
    }

    /// The files whose samples a power cut could still undo.
    pub(super) fn take_unsynced(&mut self) -> Vec<File> {
        self.spool.as_mut().map_or_else(Vec::new, Spool::take_unsynced)
    }
}
