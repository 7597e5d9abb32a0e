//! Enrollment: an enrollment token for an identity, once.

use std::path::Path;

use pika_protocol::Register;
use pika_shared::{Clock, KeyPin};
use secrecy::{ExposeSecret as _, SecretString};

use super::connect::{Connector, TlsError};
use super::session::Session;
use super::{LinkError, Timing, register_message, warn_of_plain_text};
use crate::boot_clock::booted_at_ms;
use crate::collect::Host;
use crate::config::Endpoint;
use crate::identity::Identity;
use crate::state::ClockOffset;

/// What an enrollment needs to know.
pub struct Enrollment<'a> {
    /// The server, as the person wrote it; kept in the identity.
    pub server: &'a str,
    /// The same, understood.
    pub endpoint: Endpoint,
    /// Additional certificates to trust; an empty path for none.
    pub ca_file: &'a Path,
    /// The server's key, where it is known: trusted instead of the authorities.
    pub key_pin: Option<KeyPin>,
    /// The name shown to people; empty for the host name.
    pub name: &'a str,
    /// How often samples will come, in milliseconds.
    pub interval_ms: u64,
    /// What the machine is.
    pub host: &'a Host,
    /// Proves that somebody wants this agent.
    pub token: SecretString,
    /// The agent's own secret from now on. The same at every try, so that one whose answer was lost makes no second
    /// agent.
    pub secret: SecretString,
}

/// Why an enrollment failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sources say it")]
pub enum EnrollError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// What an enrollment brought.
#[derive(Debug)]
pub struct Enrolled {
    /// Who the agent is from now on.
    pub identity: Identity,
    /// How far off the machine's clock is.
    pub clock_offset: ClockOffset,
}

/// Registers with an enrollment token; the server answers with the agent's id. Does not try again.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub async fn enroll(
    enrollment: Enrollment<'_>,
    clock: Clock,
    timing: Timing,
) -> Result<Enrolled, EnrollError> {
    warn_of_plain_text(&enrollment.endpoint);
    let connector =
        Connector::new(enrollment.endpoint, enrollment.ca_file, enrollment.key_pin, timing.connect_timeout)?;
    let (socket, local_address) = connector.connect(None).await?;
    let booted_at_ms = booted_at_ms(clock.now());
    let mut session = Session::new(socket, clock, timing, timing.register_timeout);
    let register = Register {
        ip: local_address.to_string(),
        token: Some(enrollment.token.expose_secret().to_owned()),
        secret: Some(enrollment.secret.expose_secret().to_owned()),
        ..register_message(enrollment.host, enrollment.name, enrollment.interval_ms)
    };
    let ack = session.register(register).await?;
    session.close().await;
    // A server that does not know of secrets of the agent's making has made one itself.
    let made_by_server = ack.secret.filter(|secret| !secret.is_empty()).map(SecretString::from);
    let secret = made_by_server.unwrap_or(enrollment.secret);
    let identity = Identity {
        id: ack.agent_id,
        secret,
        next_secret: None,
        server: enrollment.server.to_owned(),
        key_pin: enrollment.key_pin,
    };
    Ok(Enrolled { identity, clock_offset: ClockOffset { ms: ack.clock_offset_ms, booted_at_ms } })
}
