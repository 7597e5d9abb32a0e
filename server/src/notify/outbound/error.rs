//! Why there was no answer.

use std::io;

use super::DestinationError;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The place makes no sense. Says what is wrong with the URL, and nothing of the URL.
    #[error("the URL {0}")]
    Destination(#[from] DestinationError),
    /// The address is not public, and not allowed either.
    #[error(
        "{host} is not on the public internet; if Pika shall reach it, add its network to alerting.allowed_networks in \
         the server's configuration file"
    )]
    RefusedAddress {
        /// The host's name.
        host: String,
    },
    /// The address is public, and would be reached without encryption.
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
        /// Why.
        source: io::Error,
    },
    /// Nobody listens there, or the network is down.
    #[error("cannot connect to {host}")]
    Connect {
        /// The host's name.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No TLS could be agreed upon, or the certificate is of another name or not trusted.
    #[error("no trusted TLS connection with {host}")]
    Tls {
        /// The host's name.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// This system trusts nobody.
    #[error("the system has no certificate authorities; install ca-certificates")]
    NoAuthorities,
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
    /// The proxy does not let it through.
    #[error("the proxy answered {0}")]
    Proxy(u16),
    /// The request cannot be made of what was given.
    #[error("the request cannot be sent: {0}")]
    Request(&'static str),
    /// The answer is none of HTTP, or the connection broke.
    #[error("the answer cannot be understood")]
    Protocol(#[source] hyper::Error),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
}

impl OutboundError {
    /// Whether the place itself is refused: waiting does not change that, only the configuration or another place.
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
