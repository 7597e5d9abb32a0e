//! What the server has not acknowledged yet.
//!
//! Every sample gets a number and goes to the spool on disk; where that fails, for example because the disk is
//! full, to a bounded overflow in memory. The newest sample is sent first, in a frame of its own; older ones follow
//! in larger frames. A sample is forgotten when the frame that held it is acknowledged. When a connection ends,
//! the frames that were on their way are open again, and are packed anew on the next one: with new frame numbers,
//! but with the timestamps that the samples always had, so the server stores none of them twice.
//!
//! When it is full the oldest sample is dropped; that is counted, logged, and told to the server as a gap.

mod done;
mod encoded;
mod gaps;
mod queue;
mod segment;
mod spool;
mod store;

use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pika_protocol::limits::FRAME_BYTES_MAX;
use pika_protocol::message::Gap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use self::encoded::EncodedSample;
use self::queue::Queue;
use crate::collect::{NetworkBaseline, Reading};
use crate::config::OutboxConfig;
use crate::state::ClockOffset;

/// Most bytes of samples in one frame; the rest is for what is around them.
const FRAME_SAMPLES_BYTES_MAX: usize = FRAME_BYTES_MAX - 4 * 1024;

/// The outbox as tasks share it. Its lock is held for short, synchronous sections only.
pub struct Outbox {
    queue: Mutex<Queue>,
    changed: Notify,
}

/// A frame of samples to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The frame's number.
    pub seq: u64,
    /// In the order in which they were taken.
    pub samples: Vec<EncodedSample>,
}

/// How much is waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples that are not acknowledged, those on their way included.
    pub open: u64,
    /// Frames on their way.
    pub frames_in_flight: usize,
    /// Samples taken since the start.
    pub taken: u64,
    /// Samples dropped since the start because they found no room, were too old, or lay in a damaged file. Those
    /// that were on their way may have arrived all the same.
    pub dropped: u64,
}

impl Outbox {
    /// Opens the outbox of the agent with this state directory. Also returns the network counters of the last
    /// sample that was taken, for the next one to go on from. A spool that cannot be used is logged; samples are
    /// kept in memory then. `now_ms` is the wall clock, and `booted_at_ms` when by that the machine was booted, where that is
    /// known.
    ///
    /// # Errors
    /// When another agent uses the directory.
    pub fn open(
        state_dir: &Path,
        config: &OutboxConfig,
        now_ms: i64,
        booted_at_ms: Option<i64>,
    ) -> io::Result<(Outbox, Option<NetworkBaseline>)> {
        let (queue, baseline) = Queue::open(state_dir, config, now_ms, booted_at_ms)?;
        Ok((Outbox { queue: Mutex::new(queue), changed: Notify::new() }, baseline))
    }

    /// Adds a new sample, stamped with the present clock offset where that is known.
    pub fn push(&self, reading: Reading) {
        self.lock().push(reading);
        self.changed.notify_one();
    }

    /// Waits until [`push`](Outbox::push) has been called since the last wait.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A frame with the newest sample, unless that was sent already or too many frames are on their way.
    pub fn take_live(&self) -> Option<Batch> {
        self.lock().take_live()
    }

    /// A frame with older samples, oldest first, unless there are none or too many frames are on their way.
    pub fn take_backlog(&self) -> Option<Batch> {
        self.lock().take_backlog()
    }

    /// A frame's number and what it tells: samples that were dropped. One such frame is on its way at a time.
    pub fn take_gap(&self) -> Option<(u64, Gap)> {
        self.lock().take_gap()
    }

    /// The server has stored the frame with this number.
    pub fn acknowledge(&self, seq: u64) {
        self.lock().acknowledge(seq);
    }

    /// The connection has ended: what was on its way on it is open again.
    pub fn connection_lost(&self) {
        self.lock().connection_lost();
    }

    /// Remembers what the server told the agent to put into `clockOffsetMs`.
    pub fn set_clock_offset(&self, offset: ClockOffset) {
        self.lock().set_clock_offset(offset);
    }

    /// Notes when the machine was booted by the present wall clock, where that is known: another time than before means that
    /// the clock was set.
    pub fn observe_clock(&self, booted_at_ms: Option<i64>) {
        self.lock().state.observe_clock(booted_at_ms);
    }

    /// Whether the server has to tell the clock offset before anything can be sent. A sample is sent with one offset only, at
    /// every try: by another it would be stored at another time, and so twice.
    pub fn needs_clock_offset(&self) -> bool {
        self.lock().state.clock_offset_ms().is_none()
    }

    /// How much is waiting.
    pub fn counts(&self) -> Counts {
        self.lock().counts()
    }

    /// Forces what is not acknowledged, and what else changed, to the disk now and then until `shutdown` and once more then. Samples that the server
    /// has acknowledged meanwhile cost nothing.
    pub async fn sync_periodically(&self, shutdown: CancellationToken) {
        let interval = Duration::from_millis(self.lock().config.sync_interval_ms);
        loop {
            let is_over = tokio::time::timeout(interval, shutdown.cancelled()).await.is_ok();
            let files = {
                let mut queue = self.lock();
                queue.state.save_changes();
                queue.gaps.save_changes();
                queue.take_unsynced()
            };
            if !files.is_empty() {
                let sync = move || files.iter().try_for_each(std::fs::File::sync_data);
                match tokio::task::spawn_blocking(sync).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => warn!(%error, "cannot force the spool to the disk"),
                    Err(error) => warn!(%error, "the spool was not forced to the disk"),
                }
            }
            if is_over {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Every section leaves the values usable even if a later line of it panicked.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
