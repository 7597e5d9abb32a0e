//! Errors that prevent sending any message.

use super::channels::KindError;
use super::message::CatalogueError;
use super::outbound::DestinationError;
use crate::secrets::SecretKeyError;

/// Why messages cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// A key in the configuration is invalid.
    #[error("alerting.secret_keys")]
    SecretKey(#[from] SecretKeyError),
    /// The proxy in the configuration is invalid.
    #[error("alerting.http_proxy {0}; it is a URL such as http://proxy.example.org:3128")]
    Proxy(#[source] DestinationError),
    /// A bug in Pika itself.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// A bug in Pika itself.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}
