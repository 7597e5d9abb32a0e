//! Who is online. The database holds this, so that it survives restarts and is shared by all servers; this module keeps
//! it up to date for the agents connected here.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::takeovers::Takeovers;
use crate::domain::TimestampMs;
use crate::domain::id::{AgentId, AgentKey, ConnectionId};
use crate::domain::token::TokenHash;
use crate::store::{ConnectedAgent, Lapse, Registration, Speaker, Touch};

/// Maximum agents registering at the same time.
const TURNS: usize = 32;

/// The agents that are connected to this server.
#[derive(Debug, Default)]
pub(super) struct Presence {
    connected: Arc<Connected>,
    pub(super) takeovers: Takeovers,
    turns: [tokio::sync::Mutex<()>; TURNS],
}

#[derive(Debug, Default)]
struct Connected(Mutex<HashMap<AgentKey, Entry>>);

/// Why a connection is ended by something other than its agent or its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Another connection of the same agent took over, from this address; empty if unknown.
    Superseded(String),
    /// The agent was deleted.
    Deleted,
    /// The agent's secret was revoked.
    Revoked,
}

#[derive(Clone, Debug)]
struct Entry {
    id: AgentId,
    connection_id: ConnectionId,
    remote_address: String,
    signs: Arc<SignsOfLife>,
    ending: Arc<watch::Sender<Option<Ending>>>,
}

/// What is recorded about a connected agent periodically.
#[derive(Debug)]
struct SignsOfLife {
    last_seen_at: AtomicI64,
    clock_offset_ms: AtomicI64,
}

impl Entry {
    /// Tells the connection to end. The first reason counts.
    fn end(&self, ending: Ending) {
        self.ending.send_if_modified(|told| {
            let is_first = told.is_none();
            told.get_or_insert(ending);
            is_first
        });
    }

    fn touch(&self, agent: AgentKey) -> Touch {
        Touch {
            speaker: Speaker { agent, connection_id: self.connection_id },
            at: self.signs.last_seen_at.load(Ordering::Relaxed),
            clock_offset_ms: self.signs.clock_offset_ms.load(Ordering::Relaxed),
        }
    }
}

/// A connection's handle to its presence. Dropping it removes the agent, so a connection that panics leaves nothing
/// behind.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) agent: ConnectedAgent,
    entry: Entry,
    connected: Arc<Connected>,
}

impl Present {
    /// Records a sign of life.
    pub(super) fn seen(&self, now: TimestampMs) {
        self.entry.signs.last_seen_at.store(now, Ordering::Relaxed);
    }

    /// Records the measured offset of the agent's clock.
    pub(super) fn set_clock_offset_ms(&self, clock_offset_ms: i64) {
        self.entry.signs.clock_offset_ms.store(clock_offset_ms, Ordering::Relaxed);
    }

    /// Returns the connection as the database knows it.
    pub(super) fn speaker(&self) -> Speaker {
        Speaker { agent: self.agent.key, connection_id: self.entry.connection_id }
    }

    /// Completes when the connection has to end.
    pub(super) fn ended(&self) -> impl Future<Output = Ending> + Send + use<> {
        let mut ending = self.entry.ending.subscribe();
        async move {
            match ending.wait_for(Option::is_some).await.ok().and_then(|told| told.clone()) {
                Some(ending) => ending,
                None => std::future::pending().await,
            }
        }
    }

    /// Returns the address the connection comes from.
    pub(super) fn remote_address(&self) -> &str {
        &self.entry.remote_address
    }

    /// Returns the last sign of life.
    pub(super) fn touch(&self) -> Touch {
        self.entry.touch(self.agent.key)
    }

    /// Removes the connection. Returns whether it was the agent's current one.
    pub(super) fn disconnect(&self) -> bool {
        let mut connected = self.connected.lock();
        let is_current = connected
            .get(&self.agent.key)
            .is_some_and(|entry| entry.connection_id == self.entry.connection_id);
        if is_current {
            connected.remove(&self.agent.key);
        }
        is_current
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.disconnect();
    }
}

impl Presence {
    /// Waits for an agent's turn to register. The database and the map must see the connections of one agent in the
    /// same order, or each would end the other's. Turns give that order without numbering connections in the database;
    /// between servers no order is needed, because each asks the database which of its agents have left.
    pub(super) async fn turn(&self, token: TokenHash) -> tokio::sync::MutexGuard<'_, ()> {
        let [first, ..] = token.0;
        self.turns[usize::from(first) % TURNS].lock().await
    }

    /// Registers an agent's new connection, which takes over from an older one, if any.
    pub(super) fn connect(&self, agent: ConnectedAgent, registration: &Registration) -> Present {
        let entry = Entry {
            id: agent.id,
            connection_id: registration.connection_id,
            remote_address: registration.remote_address.clone(),
            signs: Arc::new(SignsOfLife {
                last_seen_at: AtomicI64::new(registration.now),
                clock_offset_ms: AtomicI64::new(registration.clock_offset_ms),
            }),
            ending: Arc::default(),
        };
        let older = self.connected.lock().insert(agent.key, entry.clone());
        if let Some(older) = older {
            older.end(Ending::Superseded(registration.remote_address.clone()));
        }
        Present { agent, entry, connected: Arc::clone(&self.connected) }
    }

    /// Ends the connection of an agent that no longer exists, if it is connected here. Other servers notice when they
    /// store its next sample or record its next sign of life.
    pub(super) fn end(&self, agent: AgentKey, ending: Ending) {
        if let Some(entry) = self.connected.lock().get(&agent) {
            entry.end(ending);
        }
        self.takeovers.forget(agent);
    }

    /// Forgets the takeovers of an agent that has a new secret: the other machine used the old one.
    pub(super) fn forget_takeovers(&self, agent: AgentKey) {
        self.takeovers.forget(agent);
    }

    /// Ends a connection that, according to the database, no longer speaks for its agent.
    pub(super) fn end_lapsed(&self, speaker: Speaker, lapse: Lapse) {
        let connected = self.connected.lock();
        // The agent may be back already, over a connection that was not recorded yet when this one was checked.
        if let Some(entry) = connected.get(&speaker.agent)
            && entry.connection_id == speaker.connection_id
        {
            entry.end(match lapse {
                Lapse::Superseded => Ending::Superseded(String::new()),
                Lapse::Revoked => Ending::Revoked,
                Lapse::Deleted => Ending::Deleted,
            });
        }
    }

    /// Replaces the keys of agents connected here by their ids, dropping the others.
    pub(super) fn with_ids<T>(&self, of_agents: Vec<(i32, T)>) -> Vec<(AgentId, T)> {
        let connected = self.connected.lock();
        let with_id = |(key, value)| Some((connected.get(&AgentKey(key))?.id, value));
        of_agents.into_iter().filter_map(with_id).collect()
    }

    /// Number of agents connected here.
    pub(super) fn count(&self) -> usize {
        self.connected.lock().len()
    }

    pub(super) fn is_connected(&self, key: AgentKey) -> bool {
        self.connected.lock().contains_key(&key)
    }

    pub(super) fn touches(&self) -> Vec<Touch> {
        self.connected.lock().iter().map(|(key, entry)| entry.touch(*key)).collect()
    }
}

impl Connected {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AgentKey, Entry>> {
        // A panic while the lock is held cannot leave the map half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pika_protocol::MachineFacts;

    use crate::domain::agent::AgentDescription;

    fn connect(presence: &Presence) -> Present {
        let text = String::new;
        let registration = Registration {
            description: AgentDescription {
                name: text(),
                hostname: text(),
                ip: text(),
                os: text(),
                arch: text(),
                version: text(),
                facts: MachineFacts::default(),
            },
            remote_address: text(),
            connection_id: ConnectionId::random(),
            clock_offset_ms: 0,
            now: 1,
        };
        presence.connect(ConnectedAgent { key: AgentKey(1), id: AgentId::random() }, &registration)
    }

    fn is_ended(present: &Present) -> bool {
        present.entry.ending.borrow().is_some()
    }

    #[test]
    fn a_connection_that_is_dropped_is_gone_and_takes_no_newer_one_with_it() {
        let presence = Presence::default();
        let old = connect(&presence);
        let new = connect(&presence);
        assert!(is_ended(&old));
        drop(old);
        assert!(presence.is_connected(AgentKey(1)));
        drop(new);
        assert!(!presence.is_connected(AgentKey(1)));
    }

    #[test]
    fn only_the_connection_that_the_database_does_not_know_is_ended() {
        let presence = Presence::default();
        let _old = connect(&presence);
        let [touch] = presence.touches()[..] else { panic!() };
        let new = connect(&presence);
        presence.end_lapsed(touch.speaker, Lapse::Superseded);
        assert!(!is_ended(&new), "it came after the touch");
        let [touch] = presence.touches()[..] else { panic!() };
        presence.end_lapsed(touch.speaker, Lapse::Superseded);
        assert!(is_ended(&new));
    }
}
