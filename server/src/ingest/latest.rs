//! Keeps the newest values of every agent on the way of the rows, and writes them down every few seconds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pika_shared::chain;
use tokio_util::sync::CancellationToken;

use crate::domain::latest::{AgentLatest, LatestValues};
use crate::domain::row::Rows;
use crate::store::Store;

/// How often what has changed is written down.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// Agents in one statement.
const AGENTS_PER_STATEMENT: usize = 5_000;

/// The newest values of the agents that report to this server.
#[derive(Clone, Debug, Default)]
pub(super) struct Latest(Arc<Mutex<LatestValues>>);

impl Latest {
    /// Looks at rows that have been stored.
    pub(super) fn note(&self, rows: &Rows) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(rows);
    }

    /// The newest values of the agents, whether they are written down or not.
    pub(super) fn all(&self) -> Vec<(i32, AgentLatest)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all()
    }

    /// What has changed since the last call, for those who watch.
    pub(super) fn take_unpublished(&self) -> Vec<(i32, AgentLatest)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take_unpublished()
    }

    /// Writes down what changes until it is told to stop, and then once more.
    pub(super) async fn run(self, store: Store, stopped: CancellationToken) {
        let mut ticks = tokio::time::interval(WRITE_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                () = stopped.cancelled() => true,
                _ = ticks.tick() => false,
            };
            self.write(&store).await;
            if is_last {
                return;
            }
        }
    }

    async fn write(&self, store: &Store) {
        let changed = self.0.lock().unwrap_or_else(PoisonError::into_inner).take_changed();
        for changed in changed.chunks(AGENTS_PER_STATEMENT) {
            if let Err(error) = store.write_latest(changed).await {
                // The next sample of each agent brings newer ones.
                tracing::warn!(error = %chain(&error), "the agents' newest values could not be written");
                return;
            }
        }
    }
}
