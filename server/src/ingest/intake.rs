//! The one frame of a connection that is being processed, between its text and the queue to the database.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use pika_protocol::Sample;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::batcher::Submission;
use super::gaps::record_gap;
use super::series_resolution::{Resolution, resolve_series};
use super::shared::Shared;
use crate::domain::gap::SampleGap;
use crate::domain::id::AgentKey;
use crate::domain::series::ReportedSeries;

/// The samples of one frame.
pub(super) struct SampleFrame {
    pub(super) samples: Vec<Sample>,
    pub(super) seq: Option<u64>,
    pub(super) stamped_by_server: bool,
    pub(super) received_at: Instant,
}

/// The step being done with the frame, if there is one.
#[derive(Default)]
pub(super) struct Intake {
    step: Option<Pin<Box<dyn Future<Output = Progress> + Send>>>,
    /// Whether the frame holds memory that is not counted yet.
    waits_for_room: bool,
}

/// A completed step.
pub(super) enum Progress {
    /// There is room for the frame's rows.
    Entered { frame: SampleFrame, room: OwnedSemaphorePermit },
    /// The frame's disks and interfaces have keys, as far as they get any.
    Resolved {
        frame: SampleFrame,
        room: OwnedSemaphorePermit,
        unknown: Box<ReportedSeries>,
        resolution: Resolution,
    },
    /// The frame's rows are on their way to the database.
    Queued,
    /// The gap reported by the frame is recorded.
    GapRecorded { seq: Option<u64> },
    /// Ingestion has stopped.
    Closed,
}

impl Intake {
    /// Returns whether there is no frame, so the next one may be read.
    pub(super) fn is_idle(&self) -> bool {
        self.step.is_none()
    }

    /// Returns whether the frame holds memory that is not counted yet.
    pub(super) fn waits_for_room(&self) -> bool {
        self.waits_for_room
    }

    /// Starts waiting for room for the frame's rows.
    pub(super) fn enter(&mut self, frame: SampleFrame, n_rows: usize, shared: Arc<Shared>) {
        self.begin(async move {
            match shared.pending_rows.room(n_rows).await {
                Some(room) => Progress::Entered { frame, room },
                None => Progress::Closed,
            }
        });
        self.waits_for_room = true;
    }

    /// Starts resolving keys for the frame's disks or interfaces.
    pub(super) fn resolve(
        &mut self,
        frame: SampleFrame,
        room: OwnedSemaphorePermit,
        unknown: Box<ReportedSeries>,
        agent: AgentKey,
        shared: Arc<Shared>,
    ) {
        self.begin(async move {
            let resolution = resolve_series(&shared, agent, &unknown).await;
            Progress::Resolved { frame, room, unknown, resolution }
        });
    }

    /// Starts sending the frame's rows to the queue.
    pub(super) fn queue(&mut self, submission: Submission, shared: Arc<Shared>) {
        self.begin(async move {
            match shared.queue.send(submission).await {
                Ok(()) => Progress::Queued,
                Err(_) => Progress::Closed,
            }
        });
    }

    /// Starts recording the gap reported by the frame.
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

    /// Waits for the current step; never completes without one. Cancel safe.
    pub(super) async fn progress(&mut self) -> Progress {
        let Some(step) = &mut self.step else {
            return pending().await;
        };
        let progress = step.await;
        *self = Self::default();
        progress
    }
}
