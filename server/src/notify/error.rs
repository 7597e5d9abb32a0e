//! Why messages cannot be sent at all.

use super::channels::KindError;
use super::message::CatalogueError;
use super::outbound::DestinationError;
use crate::secrets::SecretKeyError;

/// Why messages cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// A key of the configuration.
    #[error("alerting.secret_keys")]
    SecretKey(#[from] SecretKeyError),
    /// The proxy of the configuration.
    #[error("alerting.http_proxy {0}; it is a URL such as http://proxy.example.org:3128")]
    Proxy(#[source] DestinationError),
    /// A mistake in Pika itself.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// A mistake in Pika itself.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}
