//! Checks before startup: files, addresses, and the cost of passwords. `pika-server check-config` runs only these.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::auth::{PasswordError, Passwords};
use crate::config::{Config, UnknownVariable, unknown_variables};
use crate::http::{Tls, TlsError};
use crate::notify::{Notifier, NotifyError};
use crate::store::{DatabaseUrlError, Store};
use crate::telemetry::{self, TelemetryError};

/// Why startup would fail.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// Logging cannot start.
    #[error(transparent)]
    Log(#[from] TelemetryError),
    /// The database's URL is invalid.
    #[error("the configured database cannot be used")]
    DatabaseUrl(#[from] DatabaseUrlError),
    /// Certificate or key cannot be used.
    #[error("TLS cannot be set up as configured")]
    Tls(#[from] TlsError),
    /// Passwords cannot be hashed.
    #[error("the configuration of passwords cannot be used")]
    Passwords(#[from] PasswordError),
    /// Messages cannot be sent, or secrets cannot be sealed.
    #[error("the configuration of alerting cannot be used")]
    Notify(#[from] NotifyError),
    /// An address is not this machine's.
    #[error("{key}: cannot listen on {address}")]
    Address {
        /// The path of the key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// Something that is allowed, but probably a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// An environment variable is unknown.
    UnknownVariable(UnknownVariable),
    /// Passwords and data are sent to the database unencrypted over a network.
    PlainDatabase {
        /// The database's host.
        host: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::UnknownVariable(unknown) => unknown.fmt(f),
            Warning::PlainDatabase { host } => write!(
                f,
                "the connection to the database on {host} is not encrypted; sslmode=require encrypts it and verifies \
                 the database's certificate"
            ),
        }
    }
}

/// Tries what startup needs, and leaves nothing behind. An address in use is not an error, since a running server may
/// use it.
///
/// # Errors
/// If the server could not start.
///
/// # Panics
/// If called outside a Tokio runtime, which the database's pool needs.
pub fn check(config: &Config, environment: &[(String, String)]) -> Result<Vec<Warning>, PreflightError> {
    telemetry::check(&config.log)?;
    let store = Store::of_config(&config.database)?;
    config.server.tls_files().map(Tls::load).transpose()?;
    Passwords::check(&config.auth)?;
    Notifier::check_config(&config.alerting)?;
    check_address("server.addr", config.server.addr)?;
    if let Some(address) = config.metrics.addr {
        check_address("metrics.addr", address)?;
    }
    let unknown = unknown_variables(environment).into_iter().map(Warning::UnknownVariable);
    let plain = store.plain_remote_hosts().into_iter().map(|host| Warning::PlainDatabase { host });
    Ok(unknown.chain(plain).collect())
}

/// Checks that this machine has the address.
fn check_address(key: &'static str, address: SocketAddr) -> Result<(), PreflightError> {
    match TcpListener::bind(SocketAddr::new(address.ip(), 0)) {
        Ok(_) => Ok(()),
        Err(source) => Err(PreflightError::Address { key, address, source }),
    }
}
