//! Why there was no answer.

use std::io;

use super::DestinationError;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The destination is invalid. Says what is wrong with the URL without repeating it.
    #[error("the URL {0}")]
    Destination(#[from] DestinationError),
    /// The address is neither public nor allowed.
    #[error(
        "{host} is not on the public internet; if Pika shall reach it, add its network to alerting.allowed_networks in \
         the server's configuration file"
    )]
    RefusedAddress {
        /// The host's name.
        host: String,
    },
    /// The address is public, but the connection would not be encrypted.
    #[error(
        "{host} would be reached without encryption, which is done only in networks of alerting.allowed_networks; take https \
         or another kind of TLS"
    )]
    NotEncrypted {
        /// The host's name.
        host: String,
    },
    /// The name has no address.
    #[error("{host} cannot be found")]
    NotFound {
        /// The host's name.
        host: String,
        /// The lookup error.
        source: io::Error,
    },
    /// Nothing listens there, or the network is down.
    #[error("cannot connect to {host}")]
    Connect {
        /// The host's name.
        host: String,
        /// The connection error.
        source: io::Error,
    },
    /// The TLS handshake failed, or the certificate has another name or is not trusted.
    #[error("no trusted TLS connection with {host}")]
    Tls {
        /// The host's name.
        host: String,
        /// The TLS error.
        source: io::Error,
    },
    /// This system has no trusted authorities.
    #[error("the system has no certificate authorities; install ca-certificates")]
    NoAuthorities,
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The proxy refused the connection.
    #[error("the proxy answered {0}")]
    Proxy(u16),
    /// The request cannot be built.
    #[error("the request cannot be sent: {0}")]
    Request(&'static str),
    /// The answer is not HTTP, or the connection broke.
    #[error("the answer is malformed")]
    Protocol(#[source] hyper::Error),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
}

impl OutboundError {
    /// Returns whether the destination itself is refused, which only the configuration or another destination changes.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            OutboundError::Destination(_)
                | OutboundError::RefusedAddress { .. }
                | OutboundError::NotEncrypted { .. }
                | OutboundError::Request(_)
        )
    }
}
