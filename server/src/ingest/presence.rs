//! Who is online. The database holds the answer, so that it survives restarts and is shared by all servers; this
//! module keeps it true for the agents that are connected here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::domain::TimestampMs;
use crate::domain::id::{AgentId, AgentKey, ConnectionId};
use crate::store::{ConnectedAgent, Touch};
use crate::telemetry::chain;

/// How often signs of life are written down.
const TOUCH_INTERVAL: Duration = Duration::from_secs(10);
/// Signs of life in one statement.
const TOUCHES_PER_STATEMENT: usize = 5_000;

/// The agents that are connected to this server.
#[derive(Debug, Default)]
pub(super) struct Presence {
    connected: Mutex<HashMap<AgentKey, Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    connection_id: ConnectionId,
    last_seen_at: Arc<AtomicI64>,
    superseded: CancellationToken,
}

/// A connection's own view of its presence.
#[derive(Clone, Debug)]
pub(super) struct Present {
    agent: ConnectedAgent,
    connection_id: ConnectionId,
    last_seen_at: Arc<AtomicI64>,
    /// Another connection of the same agent has taken over.
    pub(super) superseded: CancellationToken,
}

impl Present {
    /// A sign of life.
    pub(super) fn seen(&self, now: TimestampMs) {
        self.last_seen_at.store(now, Ordering::Relaxed);
    }

    fn touch(&self) -> Touch {
        Touch {
            key: self.agent.key,
            connection_id: self.connection_id,
            at: self.last_seen_at.load(Ordering::Relaxed),
        }
    }
}

impl Presence {
    /// An agent has registered over a new connection, which takes over from an older one if there is any.
    pub(super) fn connect(
        &self,
        agent: ConnectedAgent,
        connection_id: ConnectionId,
        now: TimestampMs,
    ) -> Present {
        let entry = Entry {
            connection_id,
            last_seen_at: Arc::new(AtomicI64::new(now)),
            superseded: CancellationToken::new(),
        };
        let older = self.lock().insert(agent.key, entry.clone());
        if let Some(older) = older {
            older.superseded.cancel();
        }
        Present { agent, connection_id, last_seen_at: entry.last_seen_at, superseded: entry.superseded }
    }

    /// A connection has ended. Answers whether it was the agent's current one.
    fn disconnect(&self, present: &Present) -> bool {
        let mut connected = self.lock();
        let is_current = connected
            .get(&present.agent.key)
            .is_some_and(|entry| entry.connection_id == present.connection_id);
        if is_current {
            connected.remove(&present.agent.key);
        }
        is_current
    }

    fn is_connected(&self, key: AgentKey) -> bool {
        self.lock().contains_key(&key)
    }

    fn touches(&self) -> Vec<Touch> {
        let touch = |(key, entry): (&AgentKey, &Entry)| Touch {
            key: *key,
            connection_id: entry.connection_id,
            at: entry.last_seen_at.load(Ordering::Relaxed),
        };
        self.lock().iter().map(touch).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentKey, Entry>> {
        // A panic while the lock is held cannot leave the map half-changed.
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection has ended: the agent is offline if it does not come back within the grace. When the server itself is
/// stopping nobody is marked: the agents are well, and will be back.
pub(super) async fn leave(shared: Arc<Shared>, present: Present) {
    if !shared.presence.disconnect(&present) || shared.stopping.is_cancelled() {
        return;
    }
    let grace = Duration::from_millis(shared.config.reconnect_grace_ms);
    tokio::select! {
        () = shared.stopping.cancelled() => return,
        () = tokio::time::sleep(grace) => {}
    }
    if shared.presence.is_connected(present.agent.key) {
        return;
    }
    // Where the agent has reconnected to another server, the database knows and this changes nothing.
    match shared.store.disconnect_agent(present.touch()).await {
        Ok(true) => tracing::info!(agent = %present.agent.id, "agent is offline"),
        Ok(false) => {}
        // Expiry will find the agent once the database is back.
        Err(error) => tracing::warn!(error = %chain(&error), "an agent could not be marked offline"),
    }
}

/// Writes signs of life down, and marks agents offline that nobody has heard for too long: those whose server
/// has died, too.
pub(super) async fn run(shared: Arc<Shared>) {
    // While no server ran, nobody wrote signs of life: agents first get the time to come back.
    let silence_ms = i64::try_from(shared.config.idle_timeout_ms + shared.config.reconnect_grace_ms)
        .unwrap_or(i64::MAX)
        .saturating_add(i64::try_from(3 * TOUCH_INTERVAL.as_millis()).unwrap_or(i64::MAX));
    let started_at = shared.clock.now();
    let mut ticks = tokio::time::interval(TOUCH_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The database was away: signs of life that could not be written must not look like silence.
    let mut trusted_since = started_at;
    loop {
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = shared.clock.now();
        let touched = touch_all(&shared).await;
        let expired = match touched {
            Ok(()) if silence_ms <= now.saturating_sub(trusted_since) => {
                shared.store.expire_agents(now.saturating_sub(silence_ms)).await
            }
            Ok(()) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        match expired {
            Ok(agents) => log_expired(&agents),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "signs of life could not be written; trying again");
                trusted_since = now;
            }
        }
    }
}

async fn touch_all(shared: &Shared) -> Result<(), crate::store::Error> {
    for touches in shared.presence.touches().chunks(TOUCHES_PER_STATEMENT) {
        shared.store.touch_agents(touches).await?;
    }
    Ok(())
}

fn log_expired(agents: &[AgentId]) {
    for agent in agents {
        tracing::info!(%agent, "agent is offline: nothing was heard of it for too long");
    }
}
