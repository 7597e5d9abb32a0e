//! Samples that the server has not acknowledged yet.
//!
//! Every sample gets a number and is written to the spool on disk or, if that fails (for example because the disk is
//! full), to a bounded overflow in memory. The newest sample is sent first, in a frame of its own; older ones follow in
//! larger frames. A sample is deleted when its frame is acknowledged. When a connection ends, the samples of
//! unacknowledged frames are packed again for the next one, with new frame numbers but the same timestamps, so the
//! server stores none of them twice.
//!
//! When the outbox is full, the oldest samples are dropped; this is counted, logged, and reported to the server as a
//! gap.

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

/// Maximum bytes of samples in one frame, leaving room for the rest of the frame.
const FRAME_SAMPLES_BYTES_MAX: usize = FRAME_BYTES_MAX - 4 * 1024;

/// The outbox, shared by tasks. Its lock is held only for short, synchronous sections.
pub struct Outbox {
    queue: Mutex<Queue>,
    changed: Notify,
}

/// A frame of samples to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The frame's sequence number.
    pub seq: u64,
    /// The samples, in the order in which they were taken.
    pub samples: Vec<EncodedSample>,
}

/// Counters of the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Unacknowledged samples, including those in flight.
    pub open: u64,
    /// Frames in flight.
    pub frames_in_flight: usize,
    /// Samples taken since the start.
    pub taken: u64,
    /// Samples dropped since the start because there was no room, they were too old, or their file was damaged. Those
    /// in flight may still have arrived.
    pub dropped: u64,
}

impl Outbox {
    /// Opens the outbox in this state directory. Also returns the network counters of the last sample, from which the
    /// next one continues. If the spool cannot be used, this is logged and samples are kept in memory. `now_ms` is the
    /// wall clock, and `booted_at_ms` the boot time by that clock, if known.
    ///
    /// # Errors
    /// If another agent uses the directory.
    pub fn open(
        state_dir: &Path,
        config: &OutboxConfig,
        now_ms: i64,
        booted_at_ms: Option<i64>,
    ) -> io::Result<(Outbox, Option<NetworkBaseline>)> {
        let (queue, baseline) = Queue::open(state_dir, config, now_ms, booted_at_ms)?;
        Ok((Outbox { queue: Mutex::new(queue), changed: Notify::new() }, baseline))
    }

    /// Adds a new sample, stamped with the current clock offset if known.
    pub fn push(&self, reading: Reading) {
        self.lock().push(reading);
        self.changed.notify_one();
    }

    /// Waits until [`push`](Outbox::push) has been called since the last wait.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Returns a frame with the newest sample, unless it was sent already or too many frames are in flight.
    pub fn take_live(&self) -> Option<Batch> {
        self.lock().take_live()
    }

    /// Returns a frame with older samples, oldest first, unless there are none or too many frames are in flight.
    pub fn take_backlog(&self) -> Option<Batch> {
        self.lock().take_backlog()
    }

    /// Returns a gap to report and its frame's number. Only one such frame is in flight at a time.
    pub fn take_gap(&self) -> Option<(u64, Gap)> {
        self.lock().take_gap()
    }

    /// Marks the frame with this number as stored by the server.
    pub fn acknowledge(&self, seq: u64) {
        self.lock().acknowledge(seq);
    }

    /// Makes the samples of frames in flight pending again, after the connection has ended.
    pub fn connection_lost(&self) {
        self.lock().connection_lost();
    }

    /// Stores the offset that the server sent for `clockOffsetMs`.
    pub fn set_clock_offset(&self, offset: ClockOffset) {
        self.lock().set_clock_offset(offset);
    }

    /// Records the boot time by the current wall clock, if known: a change means that the clock was set.
    pub fn observe_clock(&self, booted_at_ms: Option<i64>) {
        self.lock().state.observe_clock(booted_at_ms);
    }

    /// Returns whether the server has to send a clock offset before anything can be sent. A sample is always sent with
    /// the same offset: with another it would be stored at another time, and so twice.
    pub fn needs_clock_offset(&self) -> bool {
        self.lock().state.clock_offset_ms().is_none()
    }

    /// Returns the counters.
    pub fn counts(&self) -> Counts {
        self.lock().counts()
    }

    /// Returns the size of the spool, in bytes; `None` while it cannot be used.
    pub fn spool_bytes(&self) -> Option<u64> {
        self.lock().spool_bytes()
    }

    /// Periodically syncs unacknowledged samples and other changes to disk until `shutdown`, and once more then.
    /// Samples acknowledged in between cost nothing.
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
                    Ok(Err(error)) => warn!(%error, "cannot sync the spool"),
                    Err(error) => warn!(%error, "the spool was not synced"),
                }
            }
            if is_over {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Every critical section leaves the queue consistent even if it panics.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
