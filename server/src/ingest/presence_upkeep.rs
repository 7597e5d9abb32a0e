//! Keeps the database's word on who is online true: signs of life, departures, and identities that two machines use.

use std::sync::Arc;
use std::time::Duration;

use pika_shared::chain;
use tokio::time::Instant;

use super::presence::Present;
use super::shared::Shared;
use super::takeovers::Takeover;
use crate::config;
use crate::domain::TimestampMs;

/// Signs of life are written down at least this often.
const TOUCH_INTERVAL_MS_MAX: u64 = 10_000;
/// Signs of life in one statement.
const TOUCHES_PER_STATEMENT: usize = 5_000;

/// A connection has ended: the agent is offline if it does not come back within the grace. When the server itself is
/// stopping nobody is marked: the agents are well, and will be back.
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
    // Where the agent has reconnected to another server, the database knows and this changes nothing.
    match shared.store.disconnect_agent(present.touch()).await {
        Ok(true) => {
            tracing::info!(agent = %agent.id, "agent is offline");
            shared.live.tell_status(agent.id, false);
        }
        Ok(false) => {}
        // Expiry will find the agent once the database is back.
        Err(error) => tracing::warn!(error = %chain(&error), "an agent could not be marked offline"),
    }
}

/// A connection that was alive has been taken over by another. Where that goes on and on, two machines use one identity.
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
        tracing::warn!(error = %chain(&error), "a conflict of identities could not be written down");
    }
}

/// How often signs of life are written down: several times before anybody counts as silent.
fn touch_interval_ms(config: &config::IngestConfig) -> u64 {
    (config.idle_timeout_ms / 9).clamp(1, TOUCH_INTERVAL_MS_MAX)
}

/// Who was not heard for this long is offline.
fn silence_ms(config: &config::IngestConfig) -> i64 {
    let silence_ms = config
        .idle_timeout_ms
        .saturating_add(config.reconnect_grace_ms)
        .saturating_add(3 * touch_interval_ms(config));
    i64::try_from(silence_ms).unwrap_or(i64::MAX)
}

/// Writes signs of life down, and marks agents offline that nobody has heard for too long: those whose server
/// has died, too.
pub(super) async fn run(shared: Arc<Shared>) {
    let silence_ms = silence_ms(&shared.config);
    let mut ticks = tokio::time::interval(Duration::from_millis(touch_interval_ms(&shared.config)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // While no server ran, or the database was away, nobody wrote signs of life: that must not look like silence, so
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
                    tracing::info!(%agent, "agent is offline: nothing was heard of it for too long");
                    shared.live.tell_status(agent, false);
                }
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "signs of life could not be written; trying again");
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
