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
    /// The database's URL is invalid.
    #[error("the configured database cannot be used")]
    DatabaseUrl(#[from] DatabaseUrlError),
    /// The database is available, but cannot be used.
    #[error("the database cannot be used")]
    Migrate(#[source] MigrateError),
    /// The address is in use or not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("TLS cannot be set up as configured")]
    Tls(#[from] TlsError),
    /// The parameters of scrypt cannot be used.
    #[error("the configuration of passwords cannot be used")]
    Passwords(#[from] PasswordError),
    /// The first user could not be created.
    #[error("the first administrator could not be created")]
    FirstAdmin(#[source] AuthError),
    /// The built-in alert rules could not be stored.
    #[error("the built-in alert rules could not be stored")]
    AlertRules(#[source] store::Error),
    /// The settings for notifications cannot be used.
    #[error("the configuration of alerting cannot be used")]
    Notify(#[from] NotifyError),
    /// A task of the ingest path has ended.
    #[error("ingest of samples has failed; see the log")]
    Ingest,
    /// The metrics cannot be set up.
    #[error("the server's own metrics cannot be set up")]
    Metrics(#[from] prometheus::Error),
    /// The HTTP server failed.
    #[error("the HTTP server failed")]
    Http(#[source] io::Error),
}
