//! What changes in the fleet, as it happens, for those who watch. Watching costs nothing where nobody does, and who
//! watches too slowly is told so instead of holding anybody up.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use super::latest::Latest;
use super::presence::Presence;
use crate::domain::id::AgentId;
use crate::domain::latest::AgentLatest;

/// Events that wait for the slowest watcher. One who falls further behind misses some.
const EVENTS_MAX: usize = 256;

/// Something that has changed.
#[derive(Clone, Debug)]
pub enum LiveEvent {
    /// New samples of these agents are stored: their newest values.
    Metrics(Arc<[(AgentId, AgentLatest)]>),
    /// An agent is online from now on, or offline.
    Status {
        /// Which.
        agent: AgentId,
        /// Whether it is online.
        online: bool,
    },
    /// There is an agent more or less, or something else is known about one.
    Agent {
        /// Which.
        agent: AgentId,
        /// What has become of it.
        change: AgentChange,
    },
}

/// What has become of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentChange {
    /// It was enrolled.
    Created,
    /// An administrator has changed it.
    Updated,
    /// It was deleted.
    Deleted,
}

impl AgentChange {
    /// The change's name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            AgentChange::Created => "created",
            AgentChange::Updated => "updated",
            AgentChange::Deleted => "deleted",
        }
    }
}

/// Tells watchers what changes among the agents that are connected to this server.
#[derive(Clone, Debug)]
pub(super) struct Live {
    presence: Arc<Presence>,
    events: broadcast::Sender<LiveEvent>,
    /// Held while newest values are told, so that of two writers the one that took the newer ones tells them later.
    telling: Arc<Mutex<()>>,
}

impl Live {
    pub(super) fn new(presence: Arc<Presence>) -> Self {
        Self { presence, events: broadcast::Sender::new(EVENTS_MAX), telling: Arc::default() }
    }

    /// What happens from now on.
    pub(super) fn watch(&self) -> broadcast::Receiver<LiveEvent> {
        self.events.subscribe()
    }

    /// A flush is stored.
    pub(super) fn tell_latest(&self, latest: &Latest) {
        if self.events.receiver_count() == 0 {
            return;
        }
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = self.presence.with_ids(latest.take_unpublished());
        if !latest.is_empty() {
            self.tell(LiveEvent::Metrics(latest.into()));
        }
    }

    /// An agent has come or gone.
    pub(super) fn tell_status(&self, agent: AgentId, online: bool) {
        self.tell(LiveEvent::Status { agent, online });
    }

    /// An agent was enrolled, changed or deleted through this server.
    pub(super) fn tell_agent(&self, agent: AgentId, change: AgentChange) {
        self.tell(LiveEvent::Agent { agent, change });
    }

    fn tell(&self, event: LiveEvent) {
        // Fails where nobody watches.
        drop(self.events.send(event));
    }
}
