//! Who is at the other end of a connection, and how much it is trusted at first.

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address that the connection comes from.
    pub address: String,
    /// The credential of the upgrade request, where there was one.
    pub bearer_token: Option<SecretString>,
}

/// The time until an agent is registered, in which the transport below trusts the connection with little.
pub struct Probation {
    /// Cancelled when the connection has to give way to others.
    pub displaced: CancellationToken,
    /// Most bytes that may come before the agent is registered, for the message to those who send more.
    pub bytes_max: usize,
    /// To be called when the agent is registered.
    pub end: Box<dyn FnOnce() + Send + Sync>,
}
