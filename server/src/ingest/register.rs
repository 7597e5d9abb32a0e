//! Lets agents in: an enrollment token makes a new agent, an agent's secret brings a known one back.

use std::time::Duration;

use pika_protocol::message::RegisterAck;
use pika_protocol::{ErrorCode, Register};
use secrecy::ExposeSecret;
use tokio::time::timeout;

use super::Shared;
use super::clock_offset::ClockOffset;
use super::presence::Present;
use super::socket::Peer;
use crate::domain::TimestampMs;
use crate::domain::id::ConnectionId;
use crate::domain::sample::{Refused, describe_agent};
use crate::domain::token::{NewToken, TokenHash, TokenKind};
use crate::store::{ConnectedAgent, Error, Registration};
use crate::telemetry::chain;

/// An agent that was let in.
pub(super) struct Registered {
    pub(super) agent: ConnectedAgent,
    pub(super) clock: ClockOffset,
    pub(super) present: Present,
    pub(super) ack: RegisterAck,
}

/// Checks who it is and marks it online.
pub(super) async fn register(
    shared: &Shared,
    peer: &Peer,
    register: &Register,
    sent_at: Option<TimestampMs>,
) -> Result<Registered, Refused> {
    let now = shared.clock.now();
    let clock = ClockOffset::measured(now, sent_at);
    let registration = Registration {
        description: describe_agent(register)?,
        remote_address: peer.address.clone(),
        connection_id: ConnectionId::random(),
        clock_offset_ms: clock.ms(),
        now,
    };
    let header = peer.bearer_token.as_ref().map(ExposeSecret::expose_secret);
    let Some(token) = register.token.as_deref().or(header) else {
        return Err(unauthorized("data.token or the header Authorization: Bearer is missing"));
    };
    // A fleet that comes back all at once is let in a few at a time.
    let patience = Duration::from_millis(shared.config.registration_wait_ms);
    let Ok(_admitted) = timeout(patience, shared.admission.acquire()).await else {
        return Err(Refused::new(
            ErrorCode::Unavailable,
            "too many agents register at the same time; try again later",
        ));
    };
    // Held until the map knows what the database was told.
    let turn_of = register.secret.as_deref().unwrap_or(token);
    let _turn = shared.presence.turn(TokenHash::of(turn_of)).await;
    let (agent, secret) = match TokenKind::of(token) {
        Some(TokenKind::Enrollment) => match register.secret.as_deref() {
            Some(secret) => (enroll_with_secret(shared, token, secret, &registration).await?, None),
            None => enroll(shared, token, &registration).await?,
        },
        Some(TokenKind::AgentSecret) => {
            let connected = shared.store.connect_agent(TokenHash::of(token), &registration).await;
            (connected.map_err(unavailable)?, None)
        }
        Some(TokenKind::Session | TokenKind::Api) | None => (None, None),
    };
    // One message for unknown, expired and used up: a stranger learns nothing from it.
    let agent = agent.ok_or_else(|| unauthorized("the token is unknown, expired or used up"))?;
    let present = shared.presence.connect(agent, &registration);
    let ack =
        RegisterAck { agent_id: agent.id.to_string(), secret, server_time: now, clock_offset_ms: clock.ms() };
    Ok(Registered { agent, clock, present, ack })
}

/// The agent has made its secret itself. Where that is known, the answer to an earlier try was lost: it is the same agent,
/// and the token is not used again.
async fn enroll_with_secret(
    shared: &Shared,
    token: &str,
    secret: &str,
    registration: &Registration,
) -> Result<Option<ConnectedAgent>, Refused> {
    if !TokenKind::AgentSecret.is_well_formed(secret) {
        return Err(Refused::new(ErrorCode::InvalidField, "register: secret has the wrong form"));
    }
    let hash = TokenHash::of(secret);
    let known = shared.store.connect_agent(hash, registration).await.map_err(unavailable)?;
    if known.is_some() {
        return Ok(known);
    }
    let agent = shared.store.enroll_agent(TokenHash::of(token), hash, registration).await;
    agent.map_err(unavailable)
}

async fn enroll(
    shared: &Shared,
    token: &str,
    registration: &Registration,
) -> Result<(Option<ConnectedAgent>, Option<String>), Refused> {
    let secret = NewToken::random(TokenKind::AgentSecret).map_err(|error| {
        tracing::error!(%error, "the operating system gives no random numbers");
        Refused::new(ErrorCode::Unavailable, "the server cannot make a secret now")
    })?;
    let agent = shared
        .store
        .enroll_agent(TokenHash::of(token), secret.hash, registration)
        .await
        .map_err(unavailable)?;
    if let Some(agent) = agent {
        tracing::info!(agent = %agent.id, name = %registration.description.name, "enrolled a new agent");
    }
    Ok((agent, Some(secret.secret.expose_secret().to_owned())))
}

fn unauthorized(message: &str) -> Refused {
    Refused::new(ErrorCode::Unauthorized, message)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: Error) -> Refused {
    tracing::warn!(error = %chain(&error), "an agent could not be let in");
    Refused::new(ErrorCode::Unavailable, "the server cannot reach its database now; try again later")
}
