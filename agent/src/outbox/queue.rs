//! Which samples are open, which are on their way, and which go next. Synchronous; see [`super::Outbox`] for what is
//! around it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use pika_protocol::Sample;
use pika_protocol::limits::FRAME_BYTES_MAX;
use pika_protocol::message::{Gap, GapReason};
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use super::done::Done;
use super::gaps::{Dropped, Gaps};
use super::spool::{Evicted, Found, Opened, Spool};
use super::{Batch, Counts};
use crate::collect::{NetworkBaseline, Reading};
use crate::config::OutboxConfig;
use crate::state::State;
use crate::throttle::Throttle;

/// Most bytes of samples in one frame; the rest is for what is around them.
const FRAME_SAMPLES_BYTES_MAX: usize = FRAME_BYTES_MAX - 4 * 1024;

/// Shortest time between two lines about dropped samples.
const DROP_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Most numbers that one search for older samples looks at, so that it never holds the lock for long.
const SEARCH_MAX: usize = 2_000;

/// The samples that are open, and the frames on their way.
pub(super) struct Queue {
    pub(super) config: OutboxConfig,
    pub(super) state: State,
    pub(super) gaps: Gaps,
    pub(super) spool: Option<Spool>,
    /// Samples that could not be written to the spool. At most `memory_samples_max`; the oldest is dropped.
    overflow: BTreeMap<u64, Sample>,
    next_id: u64,
    taken: u64,
    /// The newest sample, until it is sent.
    live: Option<(u64, Sample)>,
    latest_timestamp: i64,
    /// Of the last sample that was read back: about where an unreadable one belongs.
    read_timestamp: i64,
    done: Done,
    /// Where the search for older samples goes on.
    search_id: u64,
    in_flight: BTreeMap<u64, InFlight>,
    dropped: u64,
    drop_log: Throttle,
    is_spool_failing: bool,
}

/// A frame on its way; at most `frames_in_flight_max`.
struct InFlight {
    ids: Vec<u64>,
    is_live: bool,
}

/// A record of the spool.
#[derive(Serialize)]
struct RecordRef<'a> {
    sample: &'a Sample,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<&'a NetworkBaseline>,
}

/// A record of the spool.
#[derive(Deserialize)]
struct Record {
    sample: Sample,
    #[serde(default)]
    network: Option<NetworkBaseline>,
}

impl Queue {
    /// See [`Outbox::open`](super::Outbox::open).
    pub(super) fn open(
        state_dir: &Path,
        config: &OutboxConfig,
        now_ms: i64,
    ) -> io::Result<(Queue, Option<NetworkBaseline>)> {
        let state = State::open(state_dir, now_ms);
        let mut queue = Queue {
            config: config.clone(),
            state,
            gaps: Gaps::open(state_dir),
            spool: None,
            overflow: BTreeMap::new(),
            next_id: 1,
            taken: 0,
            live: None,
            latest_timestamp: i64::MIN,
            read_timestamp: now_ms,
            done: Done::new(1),
            search_id: 0,
            in_flight: BTreeMap::new(),
            dropped: 0,
            drop_log: Throttle::new(DROP_LOG_INTERVAL),
            is_spool_failing: false,
        };
        let mut baseline = None;
        match Spool::open(&state_dir.join("spool"), config.spool_bytes_max) {
            Ok(Opened { spool, cursor, next_id, last }) => {
                let below = spool.first_id().unwrap_or(next_id).max(cursor);
                queue.spool = Some(spool);
                queue.next_id = next_id;
                queue.done = Done::new(below);
                let last = last.and_then(|payload| serde_json::from_slice::<Record>(&payload).ok());
                baseline = last.and_then(|record| record.network);
                if below < next_id {
                    info!(samples = next_id - below, "samples of the previous run are waiting");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) => {
                error!(%error, "the spool cannot be used; unacknowledged samples are kept in memory only");
            }
        }
        Ok((queue, baseline))
    }

    pub(super) fn push(&mut self, mut reading: Reading) {
        reading.sample.clock_offset_ms = self.state.clock_offset_ms();
        let id = self.next_id;
        self.next_id += 1;
        self.taken += 1;
        self.latest_timestamp = reading.sample.timestamp;
        let payload = match encode(&reading) {
            Ok(payload) => payload,
            Err(error) => {
                error!(%error, "a sample cannot be sent");
                let at = self.latest_timestamp;
                return self.lose(id, id + 1, (at, at), GapReason::Unreadable);
            }
        };
        if let Err(error) = self.write(id, &payload) {
            if !std::mem::replace(&mut self.is_spool_failing, true) && self.spool.is_some() {
                error!(%error, "cannot write to the spool; samples are kept in memory");
            }
            self.overflow.insert(id, reading.sample.clone());
            while self.config.memory_samples_max < self.overflow.len() {
                if let Some((lost, sample)) = self.overflow.pop_first() {
                    let at = sample.timestamp;
                    self.lose(lost, lost + 1, (at, at), GapReason::SpoolFull);
                }
            }
        } else if std::mem::take(&mut self.is_spool_failing) {
            info!("the spool can be written to again");
        }
        // A file that was dropped to make room may have held samples that are still open.
        while let Some(evicted) = self.spool.as_mut().and_then(Spool::take_evicted) {
            let Evicted { start_id, end_id, first, last } = evicted;
            let time_of = |payload: Option<Vec<u8>>| {
                let record = payload.and_then(|payload| serde_json::from_slice::<Record>(&payload).ok());
                record.map_or(self.read_timestamp, |record| record.sample.timestamp)
            };
            let span = (time_of(first), time_of(last));
            self.lose(start_id, end_id, span, GapReason::SpoolFull);
        }
        self.live = Some((id, reading.sample));
        // The sample that was the newest until now may have been passed over by the search.
        self.search_id = self.search_id.min(id.saturating_sub(1));
    }

    fn write(&mut self, id: u64, payload: &[u8]) -> io::Result<()> {
        match &mut self.spool {
            Some(spool) => spool.append(id, payload),
            None => Err(io::Error::other("there is no spool")),
        }
    }

    pub(super) fn take_live(&mut self) -> Option<Batch> {
        if self.config.frames_in_flight_max <= self.in_flight.len() {
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
        if self.config.frames_in_flight_max / 2 <= n_backlog {
            return None;
        }
        let mut ids = Vec::new();
        let mut samples = Vec::new();
        let mut n_bytes = 0;
        let mut id = self.search_id;
        for _ in 0..SEARCH_MAX {
            id = self.done.next_open(id);
            if self.next_id <= id || self.config.samples_per_frame_max <= samples.len() {
                break;
            }
            if self.is_live(id) {
                id += 1;
                continue;
            }
            match self.read(id) {
                Ok((sample, _)) if sample.timestamp < self.oldest_timestamp() => {
                    let at = sample.timestamp;
                    self.lose(id, id + 1, (at, at), GapReason::Expired);
                }
                Ok((_, sample_bytes)) if 0 < n_bytes && FRAME_SAMPLES_BYTES_MAX < n_bytes + sample_bytes => {
                    break;
                }
                Ok((sample, sample_bytes)) => {
                    self.read_timestamp = sample.timestamp;
                    n_bytes += sample_bytes;
                    ids.push(id);
                    samples.push(sample);
                }
                Err(end) => {
                    let at = self.read_timestamp;
                    self.lose(id, end, (at, at), GapReason::Unreadable);
                }
            }
            id += 1;
        }
        self.search_id = id;
        if ids.is_empty() { None } else { Some(self.launch(ids, samples, false)) }
    }

    /// A sample and about how long it is in a frame. Otherwise the number up to which there is none (exclusive).
    fn read(&mut self, id: u64) -> Result<(Sample, usize), u64> {
        if let Some(sample) = self.overflow.get(&id) {
            let sample_bytes = serde_json::to_vec(sample).map_or(0, |text| text.len());
            return Ok((sample.clone(), sample_bytes));
        }
        let end = match self.spool.as_mut().map(|spool| spool.read(id)) {
            Some(Ok(Found::Record(payload))) => match serde_json::from_slice::<Record>(payload) {
                Ok(record) => return Ok((record.sample, payload.len())),
                // Written by another version that knew other fields.
                Err(_) => id + 1,
            },
            Some(Ok(Found::Lost(end))) => end,
            Some(Err(error)) => {
                warn!(%error, "cannot read the spool");
                id + 1
            }
            None => u64::MAX,
        };
        let next_in_memory = self.overflow.range(id..).next().map(|(&id, _)| id);
        Err(end.min(next_in_memory.unwrap_or(self.next_id)).min(self.next_id))
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
            self.overflow.remove(&id);
        }
        self.forget();
    }

    pub(super) fn connection_lost(&mut self) {
        self.in_flight.clear();
        self.gaps.connection_lost();
        self.search_id = 0;
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            open: self.done.count_open(self.next_id),
            frames_in_flight: self.in_flight.len(),
            taken: self.taken,
            dropped: self.dropped,
        }
    }

    fn launch(&mut self, ids: Vec<u64>, samples: Vec<Sample>, is_live: bool) -> Batch {
        let seq = self.state.next_seq();
        self.in_flight.insert(seq, InFlight { ids, is_live });
        Batch { seq, samples }
    }

    /// Whether the sample is the newest, which has a frame of its own.
    fn is_live(&self, id: u64) -> bool {
        self.live.as_ref().is_some_and(|(live, _)| *live == id)
            || self.in_flight.values().any(|frame| frame.is_live && frame.ids.contains(&id))
    }

    fn oldest_timestamp(&self) -> i64 {
        self.latest_timestamp.saturating_sub(self.config.age_ms_max)
    }

    /// Gives the samples numbered `start_id` to `end_id` (exclusive) up, counts those that were still open, and says so.
    /// `span` are the times of the first and the last of them.
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
        let below = self.done.below();
        if let Some(Err(error)) = self.spool.as_mut().map(|spool| spool.forget_below(below)) {
            // Harmless: after a restart some samples are sent once more than needed.
            warn!(%error, "cannot note down what the server has acknowledged");
        }
    }

    pub(super) fn take_unsynced(&mut self) -> Vec<std::fs::File> {
        if self.done.count_open(self.next_id) == 0 {
            return Vec::new();
        }
        self.spool.as_mut().map_or_else(Vec::new, Spool::take_unsynced)
    }
}

/// The bytes under which a sample is kept.
fn encode(reading: &Reading) -> io::Result<Vec<u8>> {
    let record = RecordRef { sample: &reading.sample, network: reading.network.as_ref() };
    let payload = serde_json::to_vec(&record)?;
    if FRAME_SAMPLES_BYTES_MAX < payload.len() {
        return Err(io::Error::other(format!("{} bytes fit into no frame", payload.len())));
    }
    Ok(payload)
}
