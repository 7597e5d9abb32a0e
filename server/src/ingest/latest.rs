//! Tracks the newest values of every agent as rows are stored, and saves them every few seconds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pika_shared::chain;
use tokio_util::sync::CancellationToken;

use crate::domain::latest::{AgentLatest, LatestValues};
use crate::domain::row::Rows;
use crate::store::Store;

/// How often changes are saved.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum agents in one statement.
const AGENTS_PER_STATEMENT: usize = 5_000;

/// The newest values of the agents that report to this server.
#[derive(Clone, Debug, Default)]
pub(super) struct Latest(Arc<Mutex<LatestValues>>);

impl Latest {
    /// Takes the newest values from rows that have been stored.
    pub(super) fn note(&self, rows: &Rows) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(rows);
    }

    /// Returns the newest values of all agents, whether saved or not.
    pub(super) fn all(&self) -> Vec<(i32, AgentLatest)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all()
    }

    /// Takes what has changed since the last call, for watchers.
    pub(super) fn take_unpublished(&self) -> Vec<(i32, AgentLatest)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take_unpublished()
    }

    /// Saves changes until told to stop, then once more.
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
                tracing::warn!(error = %chain(&error), "the agents' newest values could not be saved");
                return;
            }
        }
    }
}
