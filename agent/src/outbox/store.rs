//! Stores samples until they are acknowledged: in the spool, or in memory if the spool cannot be written to.
//!
//! A failed spool is not given up, since its contents may be intact. It is reopened from time to time, and meanwhile
//! its samples are not reported as lost.

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
use crate::throttle::{LOG_INTERVAL_MIN, Throttle};

/// Name of the spool within the state directory.
const SPOOL_NAME: &str = "spool";

/// Delay before a failed spool is reopened.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// A failure this long after the last one is a new one.
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// The stored samples.
pub(super) struct Store {
    path: PathBuf,
    spool_bytes_max: u64,
    memory_samples_max: usize,
    pub(super) spool: Option<Spool>,
    /// Samples that could not be written to the spool. At most `memory_samples_max`; beyond that, the oldest is
    /// dropped.
    overflow: BTreeMap<u64, EncodedSample>,
    lost: VecDeque<Lost>,
    /// The number after the newest sample.
    end_id: u64,
    failure: Option<Failure>,
    /// Whether the spool stays unused in this run.
    is_given_up: bool,
    is_writing_failing: bool,
    read_log: Throttle,
    forget_log: Throttle,
}

/// A failure of the spool.
#[derive(Clone, Copy, Debug)]
struct Failure {
    since: Instant,
    /// The number after the newest sample at that time.
    end_id: u64,
    last: Instant,
    /// When to reopen the spool; `None` if it was reopened and has not failed again.
    retry_at: Option<Instant>,
}

/// A range of dropped samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    /// The number of the first sample.
    pub(super) start_id: u64,
    /// The number after the last sample.
    pub(super) end_id: u64,
    /// The time of the first sample, if known.
    pub(super) start: Option<i64>,
    /// The time of the last sample, if known.
    pub(super) end: Option<i64>,
    /// The reason.
    pub(super) reason: GapReason,
}

/// The contents of an opened spool.
#[derive(Debug)]
pub(super) struct Held {
    /// The number of the oldest unacknowledged sample.
    pub(super) below: u64,
    /// The number behind the last sample.
    pub(super) next_id: u64,
    /// The network counters of the last sample, if known.
    pub(super) baseline: Option<NetworkBaseline>,
}

/// Why there is no sample with a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Absent {
    /// The samples up to this number (exclusive) are lost.
    Lost(u64),
    /// The samples up to this number (exclusive) cannot be read from the spool at the moment.
    Unavailable(u64),
}

/// A record to be written to the spool.
#[derive(Serialize)]
struct NewRecord<'a> {
    sample: &'a EncodedSample,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a NetworkBaseline>,
}

/// A record read from the spool, without its network counters. Its sample is sent as it was written.
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
    /// Opens the spool in this state directory, and returns its contents if it is usable.
    ///
    /// # Errors
    /// If another agent uses the directory.
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
            read_log: Throttle::new(LOG_INTERVAL_MIN),
            forget_log: Throttle::new(LOG_INTERVAL_MIN),
        };
        match store.open_spool() {
            Ok(held) => Ok((store, Some(held))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                error!(%error, "the spool cannot be used; unacknowledged samples are kept in memory for now");
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

    /// Returns whether it is time to reopen a failed spool.
    pub(super) fn is_retry_due(&self) -> bool {
        let retry_at = self.failure.and_then(|failure| failure.retry_at);
        !self.is_given_up && retry_at.is_some_and(|retry_at| retry_at <= Instant::now())
    }

    /// Reopens the spool, and returns its contents if that succeeds.
    pub(super) fn retry(&mut self) -> Option<Held> {
        if let Some(failure) = &mut self.failure {
            failure.retry_at = None;
        }
        // Release the lock first.
        self.spool = None;
        match self.open_spool() {
            Ok(held) => Some(held),
            Err(error) => {
                self.log_read_failure(&error);
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

    /// Returns the number below which samples are given up, because they have been in a failed spool for `age`.
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

    fn log_read_failure(&mut self, error: &io::Error) {
        if let Some(count) = self.read_log.note(1) {
            warn!(%error, count, "cannot read the spool; it will be retried");
        }
    }

    /// Stores a sample with a number larger than all before. Samples dropped for it are returned by
    /// [`Store::take_lost`].
    ///
    /// # Errors
    /// If the sample can never be sent.
    pub(super) fn keep(
        &mut self,
        id: u64,
        sample: &EncodedSample,
        network: Option<&NetworkBaseline>,
    ) -> io::Result<()> {
        self.end_id = id + 1;
        let payload = serde_json::to_vec(&NewRecord { sample, network })?;
        if FRAME_SAMPLES_BYTES_MAX < payload.len() {
            return Err(io::Error::other(format!("{} bytes do not fit into a frame", payload.len())));
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

    /// A file dropped to make room may have contained unacknowledged samples.
    fn note_evicted(&mut self) {
        let time_of = |payload: Option<Vec<u8>>| Some(sample_of(&payload?).ok()?.timestamp);
        while let Some(evicted) = self.spool.as_mut().and_then(Spool::take_evicted) {
            let Evicted { start_id, end_id, first, last } = evicted;
            let (start, end) = (time_of(first), time_of(last));
            self.lost.push_back(Lost { start_id, end_id, start, end, reason: GapReason::SpoolFull });
        }
    }

    /// Returns and removes the oldest range of dropped samples.
    pub(super) fn take_lost(&mut self) -> Option<Lost> {
        self.lost.pop_front()
    }

    /// A sample.
    pub(super) fn read(&mut self, id: u64) -> Result<EncodedSample, Absent> {
        if let Some(sample) = self.overflow.get(&id) {
            return Ok(sample.clone());
        }
        // Samples in memory are not in the spool.
        let next_in_memory = self.overflow.range(id..).next().map_or(u64::MAX, |(&id, _)| id);
        match self.spool.as_mut().map(|spool| spool.read(id)) {
            // An unreadable record was written by another version with other fields.
            Some(Ok(Found::Record(payload))) => sample_of(payload).map_err(|_| Absent::Lost(id + 1)),
            Some(Ok(Found::Lost(end))) => Err(Absent::Lost(end.min(next_in_memory))),
            Some(Err(Unavailable { end, source })) => {
                self.log_read_failure(&source);
                self.note_failure();
                Err(Absent::Unavailable(end.min(next_in_memory)))
            }
            None => Err(Absent::Unavailable(next_in_memory)),
        }
    }

    /// Removes a sample from memory.
    pub(super) fn forget(&mut self, id: u64) {
        self.overflow.remove(&id);
    }

    /// Removes all samples below `id`.
    pub(super) fn forget_below(&mut self, id: u64) {
        if let Some(Err(error)) = self.spool.as_mut().map(|spool| spool.forget_below(id))
            && let Some(count) = self.forget_log.note(1)
        {
            // Harmless: after a restart some samples are sent again.
            warn!(%error, count, "cannot record acknowledgements in the spool");
        }
    }

    /// Makes the failure older by this duration, and a retry due.
    #[cfg(test)]
    pub(super) fn age_failure(&mut self, by: Duration) {
        let failure = self.failure.as_mut().unwrap();
        failure.since = failure.since.checked_sub(by).unwrap();
        failure.retry_at = Some(Instant::now());
    }

    /// Returns the files with unsynced samples.
    pub(super) fn take_unsynced(&mut self) -> Vec<File> {
        self.spool.as_mut().map_or_else(Vec::new, Spool::take_unsynced)
    }
}
