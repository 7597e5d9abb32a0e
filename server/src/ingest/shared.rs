//! The state shared by all sockets.

use std::sync::Arc;

use pika_shared::Clock;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batcher::Submission;
use super::latest::Latest;
use super::live::Live;
use super::pace::Paces;
use super::pending_rows::PendingRows;
use super::presence::Presence;
use crate::config;
use crate::store::Store;
use crate::telemetry::Instruments;

/// The state shared by all sockets.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: config::IngestConfig,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) instruments: Arc<Instruments>,
    pub(super) presence: Arc<Presence>,
    pub(super) live: Live,
    pub(super) latest: Latest,
    /// Permits to query the database on behalf of agents that have just connected.
    pub(super) admission: Semaphore,
    pub(super) paces: Paces,
    /// Permits to read a frame.
    pub(super) turns: Arc<Semaphore>,
    pub(super) pending_rows: PendingRows,
    pub(super) queue: mpsc::Sender<Submission>,
    /// No more is read from agents; what is in flight is still acknowledged.
    pub(super) stopping: CancellationToken,
    pub(super) sockets: TaskTracker,
}
