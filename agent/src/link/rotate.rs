//! Replaces the secret of an enrolled agent.

use pika_protocol::Register;
use pika_shared::Clock;
use secrecy::ExposeSecret as _;

use super::connect::{Connector, TlsError};
use super::session::Session;
use super::{LinkError, Timing, register_message, warn_of_plain_text};
use crate::collect::Host;
use crate::config::{Config, Endpoint};
use crate::identity::Identity;

/// Why the server has not, or may not have, replaced the secret.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sources say it")]
pub enum RotateError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("the server does not support replacing secrets; the old one stays valid")]
    NotConfirmed,
}

/// Registers with the current secret and the next one, which replaces it. Does not retry. On success `identity` has
/// only the new secret, otherwise both.
///
/// # Errors
/// If the server cannot be reached, refuses, or does not confirm.
pub async fn rotate(
    config: &Config,
    endpoint: Endpoint,
    identity: &mut Identity,
    host: &Host,
    clock: Clock,
    timing: Timing,
) -> Result<(), RotateError> {
    warn_of_plain_text(&endpoint);
    let connector = Connector::new(endpoint, &config.tls.ca_file, identity.key_pin, timing.connect_timeout)?;
    let (socket, local_address) = connector.connect(Some(&identity.secret)).await?;
    let mut session = Session::new(socket, clock, timing, timing.register_timeout);
    let register = Register {
        ip: local_address.to_string(),
        secret: identity.next_secret.as_ref().map(|secret| secret.expose_secret().to_owned()),
        ..register_message(host, &config.name, config.interval_ms)
    };
    let ack = session.register(register).await?;
    session.close().await;
    if identity.confirm(ack.secret.as_deref()) { Ok(()) } else { Err(RotateError::NotConfirmed) }
}
