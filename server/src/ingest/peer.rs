//! The remote end of a connection, and how much it is trusted at first.

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

/// The remote end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address the connection comes from.
    pub address: String,
    /// The credential of the upgrade request, if any.
    pub bearer_token: Option<SecretString>,
}

/// The time until an agent is registered, during which the transport gives the connection little.
pub struct Probation {
    /// Cancelled when the connection must make room for others.
    pub displaced: CancellationToken,
    /// Maximum bytes before the agent is registered, for the error message.
    pub bytes_max: usize,
    /// Called when the agent is registered.
    pub end: Box<dyn FnOnce() + Send + Sync>,
}
