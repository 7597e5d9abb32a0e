//! What a start needs of its surroundings, tried before anything is started: files, addresses, and what passwords cost.
//! `pika-server check-config` does this and no more.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::auth::{PasswordError, Passwords};
use crate::config::{Config, UnknownVariable, unknown_variables};
use crate::http::{Tls, TlsError};
use crate::notify::{Notifier, NotifyError};
use crate::store::{DatabaseUrlError, Store};
use crate::telemetry::{self, TelemetryError};

/// Why a start would fail.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// Nothing could be logged.
    #[error(transparent)]
    Log(#[from] TelemetryError),
    /// The configured database cannot be tried.
    #[error("the configured database cannot be used")]
    DatabaseUrl(#[from] DatabaseUrlError),
    /// Certificate or key.
    #[error("the server cannot speak TLS as it is configured to")]
    Tls(#[from] TlsError),
    /// No password could be hashed.
    #[error("the configuration of passwords cannot be used")]
    Passwords(#[from] PasswordError),
    /// No message could be sent, or no secret sealed.
    #[error("the configuration of alerting cannot be used")]
    Notify(#[from] NotifyError),
    /// An address is not this machine's.
    #[error("{key}: cannot listen on {address}")]
    Address {
        /// The path of the key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Something that is allowed, but hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A variable of the environment means nothing.
    UnknownVariable(UnknownVariable),
    /// Passwords and data go to the database as plain text, over a network.
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

/// Tries what a start would need, and leaves nothing behind. That an address is taken is no error: a running server may
/// have it.
///
/// # Errors
/// Says what would keep the server from starting.
///
/// # Panics
/// Outside of a Tokio runtime, which the database's pool needs.
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

/// Whether this machine has the address.
fn check_address(key: &'static str, address: SocketAddr) -> Result<(), PreflightError> {
    match TcpListener::bind(SocketAddr::new(address.ip(), 0)) {
        Ok(_) => Ok(()),
        Err(source) => Err(PreflightError::Address { key, address, source }),
    }
}
