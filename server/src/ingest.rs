//! Ingests samples: exactly once, bounded at every stage, acknowledged after the commit.
//!
//! ```text
//! socket (one task an agent: decode, validate) → queue → batcher → flush → writer → commit
//!    ↑ acknowledgement ←──────────────────────────────────────────────────────────────┘
//! ```
//!
//! | stage | bound | when full |
//! |---|---|---|
//! | one agent, over time | `ingest.samples_per_second_max`, `rows_per_second_max`, `bytes_per_second_max`, `rows_per_day_max` | no more is read from that agent for a while |
//! | frames of one agent | `ingest.unacknowledged_frames_max` | no more is read from that agent |
//! | frames read and waiting for room | 64, one an agent | no more is read; agents take turns |
//! | uncommitted rows: in sockets, queue, batcher and writer together | `ingest.pending_rows_max` | frames wait for room, first come, first served |
//! | queue | `ingest.queue_frames_max` frames | sockets wait, keeping their room |
//! | batcher | `ingest.flush_rows_max` rows, live and late each | takes nothing from the queue |
//! | writer | one flush waiting, one being written | the batcher keeps its rows |
//!
//! A slow or unavailable database therefore reaches agents as late acknowledgements: nothing is dropped, and the rows
//! waiting for the database take a bounded amount of memory however many agents there are. A connection that holds a
//! turn waits only for room, and one that holds room waits only for the database, so they cannot deadlock.

mod batcher;
mod clock_offset;
mod connection;
mod decode;
mod frames;
mod gaps;
mod intake;
mod latest;
mod live;
mod pace;
mod peer;
mod pending_rows;
mod presence;
mod presence_upkeep;
mod reading;
mod refusals;
mod register;
mod sequence;
mod series_resolution;
mod session;
mod shared;
mod socket;
mod takeovers;
mod writer;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use pika_shared::Clock;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;
use crate::domain::id::{AgentId, AgentKey};
use crate::domain::latest::AgentLatest;
use crate::store::Store;
use crate::telemetry::Instruments;

use batcher::Batcher;
use latest::Latest;
use live::Live;
use pace::Paces;
use pending_rows::PendingRows;
use presence::{Ending, Presence};
use shared::Shared;
use writer::{Audience, Writers};

pub use live::{AgentChange, LiveEvent};

pub use decode::{DecodeError, Decoded, Message, decode};
pub use peer::{Peer, Probation};

/// Maximum number of connections that hold a frame for which there is no room yet. More would not bring more rows to
/// the database, and each takes as much memory as its frame.
const TURNS: usize = 64;

/// Flushes waiting for a writer.
const FLUSH_QUEUE_CAPACITY: usize = 1;

/// The ingest path of one server.
#[derive(Clone, Debug)]
pub struct Ingest {
    shared: Arc<Shared>,
    /// No sockets are left: write what is pending, then end.
    draining: CancellationToken,
    /// The deadline has passed.
    aborting: CancellationToken,
    /// A stage ended unexpectedly.
    failed: CancellationToken,
    stages: TaskTracker,
}

/// Held by a stage while it runs. If the stage ends while the server is not stopping, even by a panic, ingestion has
/// failed.
struct StageGuard {
    name: &'static str,
    stopping: CancellationToken,
    failed: CancellationToken,
}

impl StageGuard {
    async fn watch(self, stage: impl Future<Output = ()>) {
        stage.await;
        drop(self);
    }
}

impl Drop for StageGuard {
    fn drop(&mut self) {
        if !self.stopping.is_cancelled() {
            tracing::error!(stage = self.name, "ended unexpectedly");
            self.failed.cancel();
        }
    }
}

impl Ingest {
    /// Starts the stages behind the sockets.
    pub fn start(
        config: config::IngestConfig,
        store: Store,
        clock: Clock,
        instruments: Arc<Instruments>,
    ) -> Self {
        let (queue, submissions) = mpsc::channel(config.queue_frames_max);
        let (flush_sender, flushes) = mpsc::channel(FLUSH_QUEUE_CAPACITY);
        let draining = CancellationToken::new();
        let aborting = CancellationToken::new();
        let stopping = CancellationToken::new();
        let stages = TaskTracker::new();
        let failed = CancellationToken::new();
        let guard = |name| StageGuard { name, stopping: stopping.clone(), failed: failed.clone() };

        let batcher = Batcher::new(&config, submissions, flush_sender, draining.clone());
        let latest = Latest::default();
        let presence = Arc::new(Presence::default());
        let live = Live::new(Arc::clone(&presence));
        let audience = Audience {
            latest: latest.clone(),
            live: live.clone(),
            presence: Arc::clone(&presence),
            instruments: Arc::clone(&instruments),
        };
        let writers = Writers::new(&config, &store, flushes, audience, aborting.clone());
        let written = writers.written();
        stages.spawn(guard("batcher").watch(batcher.run()));
        stages.spawn(guard("writers").watch(writers.run()));
        stages.spawn(guard("latest values").watch(latest.clone().run(store.clone(), written)));

        let admission = Semaphore::new(config.registrations_max);
        let shared = Arc::new(Shared {
            paces: Paces::new(config.clone()),
            turns: Arc::new(Semaphore::new(TURNS)),
            pending_rows: PendingRows::new(config.pending_rows_max),
            config,
            store,
            clock,
            instruments,
            presence,
            live,
            latest,
            admission,
            queue,
            stopping: stopping.clone(),
            sockets: TaskTracker::new(),
        });
        stages.spawn(guard("presence").watch(presence_upkeep::run(Arc::clone(&shared))));
        Self { shared, draining, aborting, failed, stages }
    }

    /// Completes when samples can no longer be ingested although no stop was requested.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Returns a handle to the agents' sockets.
    pub fn sockets(&self) -> Sockets {
        Sockets { shared: Arc::clone(&self.shared) }
    }

    /// Stops reading from agents, stores and acknowledges what is in flight, and closes the connections. Whatever is
    /// not stored by `deadline` stays unacknowledged, so the agents send it again.
    pub async fn stop(self, deadline: Duration) {
        self.shared.stopping.cancel();
        self.shared.sockets.close();
        self.stages.close();
        let drained = async {
            self.shared.sockets.wait().await;
            self.draining.cancel();
            self.stages.wait().await;
        };
        if tokio::time::timeout(deadline, drained).await.is_err() {
            tracing::warn!("not everything in flight could be stored in time; the agents will send it again");
            self.draining.cancel();
            self.aborting.cancel();
        }
    }
}

/// Serves the agents' sockets.
#[derive(Clone, Debug)]
pub struct Sockets {
    shared: Arc<Shared>,
}

impl Sockets {
    /// Subscribes to changes in the fleet.
    pub fn watch(&self) -> broadcast::Receiver<LiveEvent> {
        self.shared.live.watch()
    }

    /// Returns the newest values of the agents connected to this server. They include everything that
    /// [`Sockets::watch`] has announced.
    pub fn latest(&self) -> Vec<(AgentId, AgentLatest)> {
        self.shared.presence.with_ids(self.shared.latest.all())
    }

    /// Announces to watchers that an agent was changed or deleted.
    pub fn announce_agent(&self, agent: AgentId, change: AgentChange) {
        self.shared.live.announce_agent(agent, change);
    }

    /// Completes when the server begins to stop.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.stopping.clone().cancelled_owned()
    }

    /// Number of agents registered with this server.
    pub fn agents_connected(&self) -> usize {
        self.shared.presence.count()
    }

    /// Number of watchers of changes in the fleet.
    pub fn watchers(&self) -> usize {
        self.shared.live.watchers()
    }

    /// Number of frames waiting for the batcher.
    pub fn queue_frames(&self) -> usize {
        let queue = &self.shared.queue;
        queue.max_capacity() - queue.capacity()
    }

    /// Number of rows of all agents that are ingested but not committed yet.
    pub fn pending_rows(&self) -> usize {
        self.shared.pending_rows.count()
    }

    /// Maximum bytes a connection may receive before its agent is registered.
    pub fn register_bytes_max(&self) -> usize {
        self.shared.config.register_bytes_max
    }

    /// Maximum size of an agent's frame, in bytes.
    pub fn frame_bytes_max(&self) -> usize {
        self.shared.config.frame_bytes_max
    }

    /// Maximum bytes of answers queued for one agent.
    pub fn outbound_bytes_max(&self) -> usize {
        self.shared.config.outbound_bytes_max
    }

    /// Ends the connection of a deleted agent.
    pub fn end_deleted(&self, agent: AgentKey) {
        self.shared.presence.end(agent, Ending::Deleted);
    }

    /// Ends the connection of an agent whose secret was revoked.
    pub fn end_revoked(&self, agent: AgentKey) {
        self.shared.presence.end(agent, Ending::Revoked);
    }

    /// Serves one upgraded connection until it ends. The task is tracked, so a stop waits for it.
    pub async fn serve(
        &self,
        stream: poem::web::websocket::WebSocketStream,
        peer: Peer,
        probation: Probation,
    ) {
        let shared = Arc::clone(&self.shared);
        // The calling task is not known to the tracker, so this needs a task of its own.
        let task = self.shared.sockets.spawn(socket::serve(shared, stream, peer, probation));
        if let Err(error) = task.await {
            tracing::error!(%error, "an agent's socket task failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stage_that_panics_is_noticed() {
        let (stopping, failed) = (CancellationToken::new(), CancellationToken::new());
        let guard = || StageGuard { name: "test", stopping: stopping.clone(), failed: failed.clone() };
        let panicking = tokio::spawn(guard().watch(async { panic!("on purpose") }));
        assert!(panicking.await.unwrap_err().is_panic());
        assert!(failed.is_cancelled());
    }

    #[tokio::test]
    async fn a_stage_that_ends_when_told_to_has_not_failed() {
        let (stopping, failed) = (CancellationToken::new(), CancellationToken::new());
        let guard = StageGuard { name: "test", stopping: stopping.clone(), failed: failed.clone() };
        stopping.cancel();
        guard.watch(async {}).await;
        assert!(!failed.is_cancelled());
    }
}
