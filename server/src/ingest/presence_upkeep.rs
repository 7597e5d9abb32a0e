//! Keeps the recorded presence up to date: signs of life, departures, and identities used by two machines.

use std::sync::Arc;
use std::time::Duration;

use pika_shared::chain;
use tokio::time::Instant;

use super::presence::Present;
use super::shared::Shared;
use super::takeovers::Takeover;
use crate::config;
use crate::domain::TimestampMs;

/// Signs of life are recorded at least this often.
const TOUCH_INTERVAL_MS_MAX: u64 = 10_000;
/// Maximum signs of life in one statement.
const TOUCHES_PER_STATEMENT: usize = 5_000;

/// Ends a connection's presence: the agent is offline unless it comes back within the grace period. When the server
/// itself is stopping nobody is marked offline: the agents are well and will be back.
pub(super) async fn leave(shared: Arc<Shared>, present: Present) {
    if !present.disconnect() || shared.stopping.is_cancelled() {
        return;
    }
    let grace = Duration::from_millis(shared.config.reconnect_grace_ms);
    tokio::select! {
        () = shared.stopping.cancelled() => return,
        () = tokio::time::sleep(grace) => {}
    }
    let agent = present.agent;
    if shared.presence.is_connected(agent.key) {
        return;
    }
    // If the agent has reconnected to another server, the database knows and this changes nothing.
    match shared.store.disconnect_agent(present.touch()).await {
        Ok(true) => {
            tracing::info!(agent = %agent.id, "agent is offline");
            shared.live.announce_status(agent.id, false);
        }
        Ok(false) => {}
        // Expiry finds the agent once the database is back.
        Err(error) => tracing::warn!(error = %chain(&error), "an agent could not be marked offline"),
    }
}

/// Notes that a live connection was taken over by another. If that keeps happening, two machines use one identity.
pub(super) async fn note_takeover(shared: &Shared, present: &Present, by: String) {
    let agent = present.agent;
    let now = shared.clock.now();
    let takeover = Takeover { at: now, addresses: [present.remote_address().to_owned(), by] };
    let Some(addresses) = shared.presence.takeovers.note(agent.key, takeover) else {
        return;
    };
    shared.instruments.add_identity_conflict();
    tracing::warn!(
        agent = %agent.id,
        ?addresses,
        "connections with this agent's identity keep taking over from each other: two machines use it. Enroll one of them \
         anew with `pika-agent enroll --replace`"
    );
    if let Err(error) = shared.store.note_identity_conflict(agent.key, &addresses, now).await {
        tracing::warn!(error = %chain(&error), "an identity conflict could not be recorded");
    }
}

/// How often signs of life are recorded: several times within the timeout for silence.
fn touch_interval_ms(config: &config::IngestConfig) -> u64 {
    (config.idle_timeout_ms / 9).clamp(1, TOUCH_INTERVAL_MS_MAX)
}

/// An agent not heard from for this long is offline.
fn silence_ms(config: &config::IngestConfig) -> i64 {
    let silence_ms = config
        .idle_timeout_ms
        .saturating_add(config.reconnect_grace_ms)
        .saturating_add(3 * touch_interval_ms(config));
    i64::try_from(silence_ms).unwrap_or(i64::MAX)
}

/// Records signs of life, and marks agents offline that were silent for too long, including those whose server has
/// died.
pub(super) async fn run(shared: Arc<Shared>) {
    let silence_ms = silence_ms(&shared.config);
    let mut ticks = tokio::time::interval(Duration::from_millis(touch_interval_ms(&shared.config)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // While no server ran, or the database was unavailable, no signs of life were recorded. That is not silence, so
    // agents first get the time to come back.
    let mut trusted_since = shared.clock.now();
    loop {
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        shared.paces.forget_idle(Instant::now());
        let now = shared.clock.now();
        let deadline = now.saturating_sub(silence_ms);
        let expired = match touch_all(&shared, deadline).await {
            Ok(()) if silence_ms <= now.saturating_sub(trusted_since) => {
                shared.store.expire_agents(deadline).await
            }
            Ok(()) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        match expired {
            Ok(agents) => {
                for agent in agents {
                    tracing::info!(%agent, "agent is offline: it was silent for too long");
                    shared.live.announce_status(agent, false);
                }
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "signs of life could not be recorded; retrying");
                trusted_since = now;
            }
        }
    }
}

async fn touch_all(shared: &Shared, recent: TimestampMs) -> Result<(), crate::store::Error> {
    for touches in shared.presence.touches().chunks(TOUCHES_PER_STATEMENT) {
        for (speaker, lapse) in shared.store.touch_agents(touches, recent).await? {
            shared.presence.end_lapsed(speaker, lapse);
        }
    }
    Ok(())
}
