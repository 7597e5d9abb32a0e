//! Tracks which samples are unacknowledged, which are in flight, and which go next. Synchronous; [`super::Outbox`]
//! wraps it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use pika_protocol::message::{Gap, GapReason};
use tracing::{error, info, warn};

use super::done::Done;
use super::encoded::EncodedSample;
use super::gaps::{Dropped, Gaps};
use super::spool::Spool;
use super::store::{Absent, Held, Lost, Store};
use super::{Batch, Counts, FRAME_SAMPLES_BYTES_MAX};
use crate::collect::{NetworkBaseline, Reading};
use crate::config::OutboxConfig;
use crate::files::Dir;
use crate::state::{ClockOffset, State};
use crate::throttle::{LOG_INTERVAL_MIN, Throttle};

/// Maximum numbers examined in one search for older samples, so that it never holds the lock for long.
const SEARCH_MAX: usize = 2_000;

/// The unacknowledged samples, and the frames in flight.
pub(super) struct Queue {
    pub(super) config: OutboxConfig,
    pub(super) state: State,
    pub(super) gaps: Gaps,
    pub(super) store: Store,
    /// Whether the spool's numbers are known, so that this run's numbers follow them.
    has_spool: bool,
    next_id: u64,
    taken: u64,
    /// The newest sample, until it is sent.
    live: Option<(u64, EncodedSample)>,
    latest_timestamp: i64,
    /// The time of the last sample read from the spool: the approximate time of an unreadable one.
    read_timestamp: i64,
    done: Done,
    /// Where the search for older samples continues.
    search_id: u64,
    in_flight: BTreeMap<u64, InFlight>,
    dropped: u64,
    drop_log: Throttle,
}

/// A frame in flight; at most `frames_in_flight_max`.
struct InFlight {
    /// The numbers of its samples, ascending.
    ids: Vec<u64>,
    is_live: bool,
}

impl Queue {
    /// See [`Outbox::open`](super::Outbox::open).
    pub(super) fn open(
        state_dir: &Path,
        config: &OutboxConfig,
        now_ms: i64,
        booted_at_ms: Option<i64>,
    ) -> io::Result<(Queue, Option<NetworkBaseline>)> {
        let (store, held) = Store::open(state_dir, config)?;
        if let Err(error) = Dir::open(state_dir).and_then(|dir| dir.sweep(now_ms)) {
            warn!(%error, "cannot clean up the state directory");
        }
        let has_spool = held.is_some();
        // Without the spool its numbers are unknown, but all are smaller than the clock's microseconds unless the clock
        // was turned back.
        let above_all = || u64::try_from(now_ms).unwrap_or(0).saturating_mul(1_000).max(1);
        let held = held.unwrap_or_else(|| Held { below: above_all(), next_id: above_all(), baseline: None });
        let Held { below, next_id, baseline } = held;
        if below < next_id {
            info!(samples = next_id - below, "unacknowledged samples of the previous run were found");
        }
        let queue = Queue {
            config: config.clone(),
            state: State::open(state_dir, now_ms, booted_at_ms),
            gaps: Gaps::open(state_dir),
            store,
            has_spool,
            next_id,
            taken: 0,
            live: None,
            latest_timestamp: i64::MIN,
            read_timestamp: now_ms,
            done: Done::new(below),
            search_id: 0,
            in_flight: BTreeMap::new(),
            dropped: 0,
            drop_log: Throttle::new(LOG_INTERVAL_MIN),
        };
        Ok((queue, baseline))
    }

    pub(super) fn push(&mut self, mut reading: Reading) {
        self.retry_spool();
        reading.sample.clock_offset_ms = self.state.clock_offset_ms();
        let id = self.next_id;
        self.next_id += 1;
        self.taken += 1;
        self.latest_timestamp = reading.sample.timestamp;
        let encoded = EncodedSample::new(&reading.sample).map_err(io::Error::from);
        let kept = encoded.and_then(|sample| {
            self.store.keep(id, &sample, reading.network.as_ref())?;
            Ok(sample)
        });
        let sample = match kept {
            Ok(sample) => sample,
            Err(error) => {
                error!(%error, "a sample cannot be sent");
                let at = self.latest_timestamp;
                return self.lose(id, id + 1, (at, at), GapReason::Unreadable);
            }
        };
        while let Some(Lost { start_id, end_id, start, end, reason }) = self.store.take_lost() {
            let [start, end] = [start, end].map(|time| time.unwrap_or(self.read_timestamp));
            self.lose(start_id, end_id, (start, end), reason);
        }
        self.live = Some((id, sample));
        // The search may have skipped the previously newest sample.
        self.search_id = self.search_id.min(id.saturating_sub(1));
    }

    /// Reopens a failed spool when a retry is due.
    fn retry_spool(&mut self) {
        if !self.store.is_retry_due() {
            return;
        }
        // Search again for what could not be read.
        self.search_id = 0;
        let Some(Held { below, next_id, .. }) = self.store.retry().filter(|_| !self.has_spool) else {
            return;
        };
        if self.done.below() < next_id {
            error!(
                "the spool has newer samples than this run has taken, so it stays unused until the next start; was the clock set back?"
            );
            return self.store.give_up();
        }
        self.has_spool = true;
        if below < next_id {
            info!(samples = next_id - below, "unacknowledged samples of the previous run were found");
            self.done.reopen(below, next_id);
        }
    }

    pub(super) fn take_live(&mut self) -> Option<Batch> {
        if self.config.frames_in_flight_max <= self.in_flight.len() || self.state.clock_offset_ms().is_none()
        {
            return None;
        }
        let (id, sample) = self.live.take()?;
        if self.done.next_open(id) != id {
            return None;
        }
        Some(self.launch(vec![id], vec![sample], true))
    }

    pub(super) fn take_backlog(&mut self) -> Option<Batch> {
        let n_backlog = self.in_flight.values().filter(|frame| !frame.is_live).count();
        if self.config.frames_in_flight_max / 2 <= n_backlog || self.state.clock_offset_ms().is_none() {
            return None;
        }
        self.retry_spool();
        let mut ids = Vec::new();
        let mut samples = Vec::new();
        let mut n_bytes = 0;
        let mut id = self.search_id;
        for _ in 0..SEARCH_MAX {
            id = self.done.next_open(id);
            if self.next_id <= id || self.config.samples_per_frame_max <= samples.len() {
                break;
            }
            if self.is_live_or_in_flight(id) {
                id += 1;
                continue;
            }
            match self.store.read(id) {
                Ok(sample) if sample.timestamp < self.oldest_timestamp() => {
                    let at = sample.timestamp;
                    self.lose(id, id + 1, (at, at), GapReason::Expired);
                    id += 1;
                }
                Ok(sample) if 0 < n_bytes && FRAME_SAMPLES_BYTES_MAX < n_bytes + frame_bytes(&sample) => {
                    break;
                }
                Ok(sample) => {
                    self.read_timestamp = sample.timestamp;
                    n_bytes += frame_bytes(&sample);
                    ids.push(id);
                    samples.push(sample);
                    id += 1;
                }
                Err(absent) => id = self.skip(id, absent),
            }
        }
        self.search_id = id;
        if ids.is_empty() { None } else { Some(self.launch(ids, samples, false)) }
    }

    /// Skips a number without a sample, and returns where to continue. Unavailable samples are searched again when the
    /// spool is back, until they are too old.
    fn skip(&mut self, id: u64, absent: Absent) -> u64 {
        let lost_end = match absent {
            Absent::Lost(end) => end,
            Absent::Unavailable(end) => {
                let age = Duration::from_millis(u64::try_from(self.config.age_ms_max).unwrap_or(0));
                let given_up_end = end.min(self.store.given_up_below(age));
                if given_up_end <= id {
                    return end;
                }
                given_up_end
            }
        };
        let lost_end = lost_end.min(self.next_id);
        let at = self.read_timestamp;
        self.lose(id, lost_end, (at, at), GapReason::Unreadable);
        lost_end
    }

    pub(super) fn take_gap(&mut self) -> Option<(u64, Gap)> {
        let gap = self.gaps.next()?;
        let seq = self.state.next_seq();
        self.gaps.launch(seq);
        Some((seq, gap))
    }

    pub(super) fn acknowledge(&mut self, seq: u64) {
        self.gaps.acknowledge(seq);
        let Some(frame) = self.in_flight.remove(&seq) else {
            return;
        };
        for id in frame.ids {
            self.done.insert(id, id + 1);
            self.store.forget(id);
        }
        self.forget();
    }

    pub(super) fn connection_lost(&mut self) {
        self.in_flight.clear();
        self.gaps.connection_lost();
        self.search_id = 0;
    }

    /// See [`Outbox::spool_bytes`](super::Outbox::spool_bytes).
    pub(super) fn spool_bytes(&self) -> Option<u64> {
        self.store.spool.as_ref().map(Spool::bytes)
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            open: self.done.count_open(self.next_id),
            frames_in_flight: self.in_flight.len(),
            taken: self.taken,
            dropped: self.dropped,
        }
    }

    pub(super) fn set_clock_offset(&mut self, offset: ClockOffset) {
        // Without the spool it is unknown where the unacknowledged samples begin.
        let start = if self.has_spool { self.done.below() } else { 0 };
        self.state.set_clock_offset(offset, start..self.next_id);
    }

    fn launch(&mut self, ids: Vec<u64>, samples: Vec<EncodedSample>, is_live: bool) -> Batch {
        let samples =
            ids.iter().zip(samples).map(|(id, sample)| self.with_clock_offset(*id, sample)).collect();
        let seq = self.state.next_seq();
        self.in_flight.insert(seq, InFlight { ids, is_live });
        Batch { seq, samples }
    }

    /// Returns the sample with the offset with which it is always sent.
    fn with_clock_offset(&self, id: u64, sample: EncodedSample) -> EncodedSample {
        match (sample.clock_offset_ms, self.state.clock_offset_ms_of(id)) {
            (None, Some(offset_ms)) => sample.clone().with_clock_offset_ms(offset_ms).unwrap_or(sample),
            _ => sample,
        }
    }

    /// Returns whether the sample is the newest, which has a frame of its own, or already in flight.
    fn is_live_or_in_flight(&self, id: u64) -> bool {
        self.live.as_ref().is_some_and(|(live, _)| *live == id)
            || self.in_flight.values().any(|frame| frame.ids.binary_search(&id).is_ok())
    }

    fn oldest_timestamp(&self) -> i64 {
        self.latest_timestamp.saturating_sub(self.config.age_ms_max)
    }

    /// Gives up the samples from `start_id` to `end_id` (exclusive); counts, logs and reports those that were
    /// unacknowledged. `span` are the times of the first and the last of them.
    fn lose(&mut self, start_id: u64, end_id: u64, span: (i64, i64), reason: GapReason) {
        let end_id = end_id.max(start_id);
        let lost = self.done.count_open(end_id) - self.done.count_open(start_id);
        if lost == 0 {
            return;
        }
        self.done.insert(start_id, end_id);
        self.forget();
        self.dropped += lost;
        let (start, end) = (span.0.min(span.1), span.0.max(span.1));
        self.gaps.note(Dropped { start_id, end_id, samples: lost, start, end, reason });
        if let Some(samples) = self.drop_log.note(lost) {
            warn!(
                samples,
                total = self.dropped,
                "dropped the oldest samples that the server has not acknowledged"
            );
        }
    }

    fn forget(&mut self) {
        self.store.forget_below(self.done.below());
    }

    pub(super) fn take_unsynced(&mut self) -> Vec<File> {
        if self.done.count_open(self.next_id) == 0 { Vec::new() } else { self.store.take_unsynced() }
    }
}

/// Returns the bytes that a sample takes in a frame, with a separator and the offset that may be added.
fn frame_bytes(sample: &EncodedSample) -> usize {
    const AROUND: usize = r#""clockOffsetMs":-9223372036854775808,,"#.len();
    sample.bytes() + AROUND
}
