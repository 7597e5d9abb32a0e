//! How the database is reached: its URL and the options of connections.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use pika_shared::tls::TrustError;
use secrecy::ExposeSecret as _;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::config;

/// Half-dead connections are detected after this long while something is being sent,
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// and after this long while nothing is.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// The same for the database's end of a connection.
const DATABASE_KEEPALIVE_OPTIONS: &str = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 \
     -c tcp_keepalives_count=3 -c tcp_user_timeout=30000";
/// TCP timeout unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Planning options of connections that read: bounds are always visible to the planner, however often a statement is
/// executed, so that it never plans for chunks outside them.
pub const PLANNING_OPTIONS: &str = "-c plan_cache_mode=force_custom_plan -c jit=off";

/// How to reach the database, and how much of it to use.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Number of connections for reads and small writes.
    pub pool_size: u32,
    /// How long a request waits for a free connection, and for a new one to open.
    pub connect_timeout: Duration,
    /// How long one statement of a request may run.
    pub statement_timeout: Duration,
    /// PEM file with the certificate authorities trusted for the database's certificate; the system's if absent.
    pub root_certificates: Option<std::path::PathBuf>,
}

impl From<&config::DatabaseConfig> for StoreConfig {
    fn from(database: &config::DatabaseConfig) -> Self {
        Self {
            pool_size: database.pool_size,
            connect_timeout: Duration::from_millis(database.connect_timeout_ms),
            statement_timeout: Duration::from_millis(database.statement_timeout_ms),
            root_certificates: (!database.root_certificates.as_os_str().is_empty())
                .then(|| database.root_certificates.clone()),
        }
    }
}

/// Why the configured database cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Not of the form `postgres://user:password@host:port/database?options`. The URL is not repeated, because it holds
    /// a password.
    #[error("the database URL is invalid")]
    Invalid(#[source] tokio_postgres::Error),
    /// The URL names no host or no database.
    #[error("the database URL names no {0}")]
    Incomplete(&'static str),
    /// The certificate authorities to verify the database with cannot be read, or there are none.
    #[error("no certificate of the database could be verified")]
    Trust(#[from] TrustError),
}

/// Parses a database URL. It may name several hosts, of which the first that accepts writes is used, unless it sets
/// `target_session_attrs` itself. `sslmode` `require`, `verify-ca` and `verify-full` all mean a verified connection; anything
/// less means an unencrypted one.
pub(super) fn parse_url(url: &str) -> Result<Config, DatabaseUrlError> {
    let url =
        url.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
    let mut config: Config = url.parse().map_err(DatabaseUrlError::Invalid)?;
    if !url.contains("target_session_attrs=") {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if config.get_hosts().is_empty() {
        return Err(DatabaseUrlError::Incomplete("host"));
    }
    if config.get_dbname().is_none() {
        return Err(DatabaseUrlError::Incomplete("database"));
    }
    if config.get_ssl_mode() != SslMode::Require {
        config.ssl_mode(SslMode::Disable);
    }
    if config.get_application_name().is_none() {
        config.application_name("pika-server");
    }
    // On the database's side, too: transactions of a vanished server must not block its successor.
    let own = config.get_options().unwrap_or_default().to_owned();
    config
        .options(format!("{own} {DATABASE_KEEPALIVE_OPTIONS}").trim_start())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES);
    Ok(config)
}

/// Returns the environment variables by which PostgreSQL's programs connect as the server does.
///
/// # Errors
/// If the URL is invalid.
pub fn program_environment(
    database: &config::DatabaseConfig,
) -> Result<Vec<(&'static str, OsString)>, DatabaseUrlError> {
    let config = parse_url(database.url().expose_secret())?;
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.to_string_lossy().into_owned(),
        })
        .collect();
    let ports: Vec<String> = config.get_ports().iter().map(ToString::to_string).collect();
    let encrypted = config.get_ssl_mode() == SslMode::Require;
    let mut variables: Vec<(&'static str, OsString)> = vec![
        ("PGHOST", hosts.join(",").into()),
        ("PGPORT", ports.join(",").into()),
        ("PGSSLMODE", if encrypted { "verify-full" } else { "disable" }.into()),
        ("PGAPPNAME", "pika-server".into()),
    ];
    if encrypted {
        let authorities = &database.root_certificates;
        let is_system = authorities.as_os_str().is_empty();
        variables
            .push(("PGSSLROOTCERT", if is_system { "system".into() } else { authorities.clone().into() }));
    }
    if config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite {
        variables.push(("PGTARGETSESSIONATTRS", "read-write".into()));
    }
    variables.extend(config.get_user().map(|user| ("PGUSER", user.into())));
    variables.extend(config.get_dbname().map(|name| ("PGDATABASE", name.into())));
    variables
        .extend(config.get_password().map(|password| ("PGPASSWORD", OsString::from_vec(password.to_vec()))));
    Ok(variables)
}

/// Returns the hosts to which connections go unencrypted over a network.
pub(super) fn plain_remote_hosts(config: &Config) -> Vec<String> {
    if config.get_ssl_mode() == SslMode::Require {
        return Vec::new();
    }
    let hosts = config.get_hosts().iter().filter_map(|host| match host {
        Host::Tcp(name) => Some(name),
        Host::Unix(_) => None,
    });
    hosts.filter(|name| !is_loopback(name)).cloned().collect()
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Adds the limits on the statements of requests. They are enforced by the database, because a query whose caller is
/// gone would otherwise run on.
pub(super) fn with_limits(config: &Config, options: &StoreConfig) -> Config {
    let mut limited = config.clone();
    let own = config.get_options().unwrap_or_default();
    limited.options(format!(
        "{own} -c statement_timeout={statement_ms} -c lock_timeout={statement_ms} \
         -c idle_in_transaction_session_timeout={idle_ms} {planning}",
        planning = PLANNING_OPTIONS,
        statement_ms = options.statement_timeout.as_millis(),
        idle_ms = 2 * options.statement_timeout.as_millis(),
    ));
    limited.connect_timeout(options.connect_timeout);
    limited
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_a_verified_connection_is_unencrypted() {
        let mode = |query: &str| parse_url(&format!("postgres://u:p@h/d{query}")).unwrap().get_ssl_mode();
        assert_eq!(mode(""), SslMode::Disable);
        assert_eq!(mode("?sslmode=prefer"), SslMode::Disable);
        for verified in ["require", "verify-ca", "verify-full"] {
            assert_eq!(mode(&format!("?sslmode={verified}")), SslMode::Require);
        }
    }

    #[test]
    fn a_host_that_accepts_writes_is_looked_for() {
        let attributes = |query: &str| {
            let config = parse_url(&format!("postgres://u:p@one:1,two/d{query}")).unwrap();
            (config.get_hosts().len(), config.get_target_session_attrs())
        };
        assert_eq!(attributes(""), (2, TargetSessionAttrs::ReadWrite));
        assert_eq!(attributes("?target_session_attrs=any"), (2, TargetSessionAttrs::Any));
    }

    #[test]
    fn a_bad_url_is_refused_without_repeating_it() {
        let error = parse_url("postgres://pika:hunter2@host:port/pika").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
        assert!(matches!(parse_url("postgres:///pika"), Err(DatabaseUrlError::Incomplete("host"))));
        assert!(matches!(parse_url("postgres://host"), Err(DatabaseUrlError::Incomplete("database"))));
    }

    #[test]
    fn a_connection_that_is_silently_gone_is_noticed() {
        let config = parse_url("postgres://u:p@h/d").unwrap();
        assert!(config.get_keepalives());
        assert_eq!(config.get_keepalives_idle(), KEEPALIVE_IDLE);
        assert_eq!(config.get_keepalives_retries(), Some(KEEPALIVE_RETRIES));
    }
}
