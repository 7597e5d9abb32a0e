//! Why the server could not start or had to stop.

use std::io;
use std::net::SocketAddr;

use crate::auth::{AuthError, PasswordError};
use crate::http::TlsError;
use crate::notify::NotifyError;
use crate::store::{self, DatabaseUrlError, MigrateError};

/// Why the server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configured database cannot be tried.
    #[error("the configured database cannot be used")]
    DatabaseUrl(#[from] DatabaseUrlError),
    /// The database is there, but cannot be used.
    #[error("the database cannot be used")]
    Migrate(#[source] MigrateError),
    /// The address is taken or not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Certificate or key.
    #[error("the server cannot speak TLS as it is configured to")]
    Tls(#[from] TlsError),
    /// scrypt's parameters.
    #[error("the configuration of passwords cannot be used")]
    Passwords(#[from] PasswordError),
    /// The first user could not be made.
    #[error("the first administrator could not be created")]
    FirstAdmin(#[source] AuthError),
    /// The rules that Pika comes with could not be kept.
    #[error("the built-in alert rules could not be stored")]
    AlertRules(#[source] store::Error),
    /// What messages are sent with.
    #[error("the configuration of alerting cannot be used")]
    Notify(#[from] NotifyError),
    /// A task of the ingest path is gone.
    #[error("samples can no longer be taken in; the log says why")]
    Ingest,
    /// The metrics cannot be set up.
    #[error("the server's own metrics cannot be set up")]
    Metrics(#[from] prometheus::Error),
    /// The HTTP server failed.
    #[error("the HTTP server failed")]
    Http(#[source] io::Error),
}
