//! The one frame of a connection that is being worked on, between its text and its place on the way to the database.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use pika_protocol::Sample;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Shared;
use super::batcher::Submission;
use super::gaps::record_gap;
use super::naming::{Named, name_series};
use super::session::UnknownSeries;
use crate::domain::gap::SampleGap;
use crate::domain::id::AgentKey;

/// The samples of one frame.
pub(super) struct SampleFrame {
    pub(super) samples: Vec<Sample>,
    pub(super) seq: Option<u64>,
    pub(super) stamped_by_server: bool,
    pub(super) received_at: Instant,
}

/// What is being done with the frame, if there is one.
#[derive(Default)]
pub(super) struct Intake {
    step: Option<Pin<Box<dyn Future<Output = Progress> + Send>>>,
    /// Whether it takes memory that is not counted.
    waits_for_room: bool,
}

/// A step was done.
pub(super) enum Progress {
    /// There is room for the frame's rows.
    Entered { frame: SampleFrame, room: OwnedSemaphorePermit },
    /// The frame's disks and interfaces have keys, as far as they get any.
    Named { frame: SampleFrame, room: OwnedSemaphorePermit, unknown: UnknownSeries, named: Named },
    /// The frame's rows are on their way to the database.
    Queued,
    /// The gap that the frame told of is written down.
    GapRecorded { seq: Option<u64> },
    /// Nothing is taken in any more.
    Closed,
}

impl Intake {
    /// Whether there is no frame, so that the next one may be read.
    pub(super) fn is_idle(&self) -> bool {
        self.step.is_none()
    }

    /// Whether there is a frame that takes memory which is not counted yet.
    pub(super) fn waits_for_room(&self) -> bool {
        self.waits_for_room
    }

    /// The frame waits for room.
    pub(super) fn enter(&mut self, frame: SampleFrame, n_rows: usize, shared: Arc<Shared>) {
        self.begin(async move {
            match shared.pending_rows.room(n_rows).await {
                Some(room) => Progress::Entered { frame, room },
                None => Progress::Closed,
            }
        });
        self.waits_for_room = true;
    }

    /// The frame's disks or interfaces are being given keys.
    pub(super) fn name(
        &mut self,
        frame: SampleFrame,
        room: OwnedSemaphorePermit,
        unknown: UnknownSeries,
        agent: AgentKey,
        shared: Arc<Shared>,
    ) {
        self.begin(async move {
            let named = name_series(&shared, agent, &unknown).await;
            Progress::Named { frame, room, unknown, named }
        });
    }

    /// The frame's rows go to the queue.
    pub(super) fn queue(&mut self, submission: Submission, shared: Arc<Shared>) {
        self.begin(async move {
            match shared.queue.send(submission).await {
                Ok(()) => Progress::Queued,
                Err(_) => Progress::Closed,
            }
        });
    }

    /// The frame told of a gap, which is being written down.
    pub(super) fn record_gap(
        &mut self,
        gap: SampleGap,
        seq: Option<u64>,
        agent: AgentKey,
        shared: Arc<Shared>,
    ) {
        self.begin(async move {
            record_gap(&shared, agent, gap).await;
            Progress::GapRecorded { seq }
        });
    }

    fn begin(&mut self, step: impl Future<Output = Progress> + Send + 'static) {
        *self = Self { step: Some(Box::pin(step)), waits_for_room: false };
    }

    /// Waits for the step that is being done; for good, where there is none. Nothing is lost when the future is dropped.
    pub(super) async fn progress(&mut self) -> Progress {
        let Some(step) = &mut self.step else {
            return pending().await;
        };
        let progress = step.await;
        *self = Self::default();
        progress
    }
}

/// The rows of all agents that are taken in and not committed yet: those of frames that are being worked on, and those in
/// queue, batcher and writer.
#[derive(Debug)]
pub(super) struct PendingRows {
    room: Arc<Semaphore>,
    rows_max: u32,
}

impl PendingRows {
    pub(super) fn new(rows_max: u32) -> Self {
        Self { room: Arc::new(Semaphore::new(rows_max.try_into().unwrap_or(usize::MAX))), rows_max }
    }

    /// Rows that are taken in and not committed yet.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.rows_max).unwrap_or(usize::MAX).saturating_sub(self.room.available_permits())
    }

    /// Waits for room for so many rows; first come, first served. It is given back when the answer is dropped. A frame with
    /// more rows than there may be takes all the room. `None` where nothing is taken in any more.
    async fn room(&self, n_rows: usize) -> Option<OwnedSemaphorePermit> {
        let n_rows = u32::try_from(n_rows).unwrap_or(u32::MAX).min(self.rows_max);
        Arc::clone(&self.room).acquire_many_owned(n_rows).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn room_goes_to_those_who_have_waited_longest_and_comes_back() {
        let pending_rows = PendingRows::new(100);
        let first = pending_rows.room(60).await.unwrap();
        assert_eq!(pending_rows.count(), 60);
        let mut large = pin!(pending_rows.room(60));
        let mut small = pin!(pending_rows.room(10));
        assert!(poll!(large.as_mut()).is_pending());
        assert!(poll!(small.as_mut()).is_pending(), "or the large one would wait for ever");
        drop(first);
        let large = large.await;
        drop((large, small.await));
        assert_eq!(pending_rows.count(), 0);

        let all = pending_rows.room(101).await;
        assert_eq!(
            pending_rows.count(),
            100,
            "one that is larger than all the room waits until it has all of it"
        );
        drop(all);
    }
}
