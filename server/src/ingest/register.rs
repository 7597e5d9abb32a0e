//! Registers agents: an enrollment token creates a new agent or gives a known one a new secret; an agent's secret
//! brings it back.

use std::time::Duration;

use pika_protocol::message::RegisterAck;
use pika_protocol::{ErrorCode, Register};
use pika_shared::chain;
use pika_shared::token::TokenKind;
use secrecy::ExposeSecret;
use tokio::time::timeout;

use super::clock_offset::ClockOffset;
use super::live::AgentChange;
use super::peer::Peer;
use super::presence::Present;
use super::shared::Shared;
use crate::domain::TimestampMs;
use crate::domain::agent::AgentDescription;
use crate::domain::id::ConnectionId;
use crate::domain::refused::Refused;
use crate::domain::text::clean;
use crate::domain::token::{NewToken, TokenHash};
use crate::store::{ConnectedAgent, Enrolled, Error, Registration};

/// An agent that was registered.
pub(super) struct Registered {
    pub(super) agent: ConnectedAgent,
    pub(super) clock: ClockOffset,
    pub(super) present: Present,
    pub(super) ack: RegisterAck,
}

/// Authenticates an agent and marks it online.
pub(super) async fn register(
    shared: &Shared,
    peer: &Peer,
    register: &Register,
    sent_at: Option<TimestampMs>,
) -> Result<Registered, Refused> {
    let now = shared.clock.now();
    let clock = ClockOffset::measured(now, sent_at);
    let header = peer.bearer_token.as_ref().map(ExposeSecret::expose_secret);
    let Some(token) = register.token.as_deref().or(header) else {
        return Err(unauthorized("data.token or the header Authorization: Bearer is missing"));
    };
    let description = match TokenKind::of(token) {
        Some(TokenKind::AgentSecret) => AgentDescription::reported_again(register)?,
        _ => AgentDescription::reported(register)?,
    };
    let registration = Registration {
        description,
        remote_address: peer.address.clone(),
        connection_id: ConnectionId::random(),
        clock_offset_ms: clock.ms(),
        now,
    };
    // A fleet that comes back all at once is admitted a few at a time.
    let wait_max = Duration::from_millis(shared.config.registration_wait_ms);
    let Ok(_admitted) = timeout(wait_max, shared.admission.acquire()).await else {
        return Err(Refused::new(
            ErrorCode::Unavailable,
            "too many agents register at the same time; try again later",
        ));
    };
    // Held until the map matches what was recorded in the database.
    let turn_of = register.secret.as_deref().unwrap_or(token);
    let _turn = shared.presence.turn(TokenHash::of(turn_of)).await;
    let admitted = match (TokenKind::of(token), register.secret.as_deref()) {
        (Some(TokenKind::Enrollment), Some(secret)) => {
            enroll_with_secret(shared, token, secret, &registration).await?
        }
        (Some(TokenKind::Enrollment), None) => enroll(shared, token, &registration).await?,
        (Some(TokenKind::AgentSecret), Some(secret)) => rotate(shared, token, secret, &registration).await?,
        (Some(TokenKind::AgentSecret), None) => connect(shared, token, &registration).await?,
        (Some(TokenKind::Session | TokenKind::Api) | None, _) => None,
    };
    // One message for unknown, expired and used up, so that strangers learn nothing from it.
    let Some(Admitted { agent, secret }) = admitted else {
        return Err(unauthorized("the token is unknown, expired or used up"));
    };
    let present = shared.presence.connect(agent, &registration);
    shared.live.announce_status(agent.id, true);
    let ack =
        RegisterAck { agent_id: agent.id.to_string(), secret, server_time: now, clock_offset_ms: clock.ms() };
    Ok(Registered { agent, clock, present, ack })
}

/// An agent that the database has admitted.
struct Admitted {
    agent: ConnectedAgent,
    /// The secret to tell it, if it has a new one.
    secret: Option<String>,
}

impl Admitted {
    fn as_it_is(agent: ConnectedAgent) -> Self {
        Self { agent, secret: None }
    }
}

/// Admits an agent by its secret.
async fn connect(
    shared: &Shared,
    secret: &str,
    registration: &Registration,
) -> Result<Option<Admitted>, Refused> {
    let agent = shared.store.connect_agent(TokenHash::of(secret), registration).await;
    let agent = agent.map_err(|error| unavailable(shared, registration, &error))?;
    Ok(agent.map(Admitted::as_it_is))
}

/// Enrolls an agent that generated its secret itself. If that secret is known already, the answer to an earlier attempt
/// was lost: it is the same agent, and the token is not used again.
async fn enroll_with_secret(
    shared: &Shared,
    token: &str,
    secret: &str,
    registration: &Registration,
) -> Result<Option<Admitted>, Refused> {
    check_form(secret)?;
    if let Some(known) = connect(shared, secret, registration).await? {
        return Ok(Some(known));
    }
    let agent = redeem(shared, token, TokenHash::of(secret), registration).await?;
    Ok(agent.map(Admitted::as_it_is))
}

async fn enroll(
    shared: &Shared,
    token: &str,
    registration: &Registration,
) -> Result<Option<Admitted>, Refused> {
    let secret = NewToken::random(TokenKind::AgentSecret).map_err(|error| {
        tracing::error!(%error, "the operating system provides no random numbers");
        Refused::new(ErrorCode::Unavailable, "the server cannot generate a secret now")
    })?;
    let agent = redeem(shared, token, secret.hash, registration).await?;
    let secret = secret.secret.expose_secret();
    Ok(agent.map(|agent| Admitted { agent, secret: Some(secret.to_owned()) }))
}

/// Redeems an enrollment token.
async fn redeem(
    shared: &Shared,
    token: &str,
    secret_hash: TokenHash,
    registration: &Registration,
) -> Result<Option<ConnectedAgent>, Refused> {
    let enrolled = shared.store.enroll_agent(TokenHash::of(token), secret_hash, registration).await;
    let enrolled = enrolled.map_err(|error| unavailable(shared, registration, &error))?;
    let name = clean(&registration.description.name);
    match enrolled {
        Some(Enrolled::New(agent)) => {
            tracing::info!(agent = %agent.id, name, "enrolled a new agent");
            shared.live.announce_agent(agent.id, AgentChange::Created);
        }
        Some(Enrolled::Again(agent)) => {
            shared.presence.forget_takeovers(agent.key);
            tracing::info!(agent = %agent.id, name, "enrolled an agent again; its old secret is invalid now");
        }
        None => {}
    }
    Ok(enrolled.map(Enrolled::agent))
}

/// Replaces an agent's secret by one it generated itself. If that one is known already, the answer to an earlier
/// attempt was lost. The answer repeats the new secret: a server without this feature would not, and the agent would
/// keep its old one.
async fn rotate(
    shared: &Shared,
    old: &str,
    new: &str,
    registration: &Registration,
) -> Result<Option<Admitted>, Refused> {
    check_form(new)?;
    let agent = match connect(shared, new, registration).await? {
        Some(known) => Some(known.agent),
        None => {
            let (old, new) = (TokenHash::of(old), TokenHash::of(new));
            let agent = shared.store.rotate_secret(old, new, registration).await;
            let agent = agent.map_err(|error| unavailable(shared, registration, &error))?;
            if let Some(agent) = agent {
                shared.presence.forget_takeovers(agent.key);
                if let Some(count) = shared.instruments.agents().note("rotated", &agent.id.to_string()) {
                    tracing::info!(agent = %agent.id, count, "an agent has replaced its secret");
                }
            }
            agent
        }
    };
    Ok(agent.map(|agent| Admitted { agent, secret: Some(new.to_owned()) }))
}

fn check_form(secret: &str) -> Result<(), Refused> {
    if TokenKind::AgentSecret.is_well_formed(secret) {
        return Ok(());
    }
    Err(Refused::new(ErrorCode::InvalidField, "register: secret has the wrong form"))
}

fn unauthorized(message: &str) -> Refused {
    Refused::new(ErrorCode::Unauthorized, message)
}

/// Refuses an agent because the database is unavailable. Every attempt is answered; not every one is logged.
fn unavailable(shared: &Shared, registration: &Registration, error: &Error) -> Refused {
    let address = registration.remote_address.as_str();
    if let Some(count) = shared.instruments.strangers().note("registration failed", address) {
        tracing::warn!(error = %chain(error), %address, count, "an agent could not be registered");
    }
    Refused::new(ErrorCode::Unavailable, "the server cannot reach its database now; try again later")
}
