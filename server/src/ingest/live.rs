//! Live changes in the fleet, for watchers. Without watchers this costs nothing, and a watcher that is too slow is told
//! so instead of blocking anybody.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use super::latest::Latest;
use super::presence::Presence;
use crate::domain::id::AgentId;
use crate::domain::latest::AgentLatest;

/// Events buffered for the slowest watcher. A watcher that falls further behind misses some.
const EVENTS_MAX: usize = 256;

/// A change in the fleet.
#[derive(Clone, Debug)]
pub enum LiveEvent {
    /// New samples of these agents are stored: their newest values.
    Metrics(Arc<[(AgentId, AgentLatest)]>),
    /// An agent went online or offline.
    Status {
        /// The agent's id.
        agent: AgentId,
        /// Whether it is online.
        online: bool,
    },
    /// An agent was added, changed or removed.
    Agent {
        /// The agent's id.
        agent: AgentId,
        /// What happened to it.
        change: AgentChange,
    },
}

/// What happened to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentChange {
    /// It was enrolled.
    Created,
    /// An administrator changed it.
    Updated,
    /// It was deleted.
    Deleted,
}

impl AgentChange {
    /// Returns the change's name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            AgentChange::Created => "created",
            AgentChange::Updated => "updated",
            AgentChange::Deleted => "deleted",
        }
    }
}

/// Announces changes among the agents connected to this server.
#[derive(Clone, Debug)]
pub(super) struct Live {
    presence: Arc<Presence>,
    events: broadcast::Sender<LiveEvent>,
    /// Held while newest values are sent, so that of two writers the one with the newer values sends last.
    announcing: Arc<Mutex<()>>,
}

impl Live {
    pub(super) fn new(presence: Arc<Presence>) -> Self {
        Self { presence, events: broadcast::Sender::new(EVENTS_MAX), announcing: Arc::default() }
    }

    /// Subscribes to changes from now on.
    pub(super) fn watch(&self) -> broadcast::Receiver<LiveEvent> {
        self.events.subscribe()
    }

    /// Number of subscriptions.
    pub(super) fn watchers(&self) -> usize {
        self.events.receiver_count()
    }

    /// Announces the values of a stored flush.
    pub(super) fn announce_latest(&self, latest: &Latest) {
        if self.events.receiver_count() == 0 {
            return;
        }
        let _announcing = self.announcing.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = self.presence.with_ids(latest.take_unpublished());
        if !latest.is_empty() {
            self.send(LiveEvent::Metrics(latest.into()));
        }
    }

    /// Announces that an agent went online or offline.
    pub(super) fn announce_status(&self, agent: AgentId, online: bool) {
        self.send(LiveEvent::Status { agent, online });
    }

    /// Announces that an agent was enrolled, changed or deleted through this server.
    pub(super) fn announce_agent(&self, agent: AgentId, change: AgentChange) {
        self.send(LiveEvent::Agent { agent, change });
    }

    fn send(&self, event: LiveEvent) {
        // Fails if nobody watches.
        drop(self.events.send(event));
    }
}
