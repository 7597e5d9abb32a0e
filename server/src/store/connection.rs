//! Connections to the database: how they are made, what limits they carry, and their statement cache.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bb8_postgres::PostgresConnectionManager;
use pika_shared::tls::TrustError;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Row, Statement, Transaction};

use super::StoreConfig;
use super::error::{Error, ErrorCounts};
use super::tls::Tls;

/// Half-dead connections are noticed after this long: while something is being sent,
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// and while nothing is.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// The same, for the database's end of a connection.
const DATABASE_KEEPALIVE_OPTIONS: &str = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 \
     -c tcp_keepalives_count=3 -c tcp_user_timeout=30000";
/// How long TCP may take where nobody says otherwise,
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// and all of it, with TLS and login. A busy database takes its time; a request gives up waiting before that.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A parameter of a statement.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// Why the configured database cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Not of the form `postgres://user:password@host:port/database?options`. The URL itself is not repeated
    /// here, because it holds a password.
    #[error("the database URL cannot be understood")]
    Invalid(#[source] tokio_postgres::Error),
    /// The URL names no host or no database.
    #[error("the database URL names no {0}")]
    Incomplete(&'static str),
    /// The database's certificate could not be verified.
    #[error("no certificate of the database could be verified")]
    Trust(#[from] TrustError),
}

/// Understands a database URL. `sslmode` `require`, `verify-ca` and `verify-full` all mean a verified connection;
/// anything less means an unencrypted one.
pub(super) fn parse_url(url: &str) -> Result<Config, DatabaseUrlError> {
    let url =
        url.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
    let mut config: Config = url.parse().map_err(DatabaseUrlError::Invalid)?;
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
    // The database's side, too: what a vanished server has begun must not stay in its successor's way.
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

/// The hosts that the connection goes to as plain text, over a network.
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

/// The same database, with the limits that hold for the statements of requests. They are set by the server side,
/// because a query whose caller has gone away would otherwise run on.
pub(super) fn with_limits(config: &Config, options: &StoreConfig) -> Config {
    let mut limited = config.clone();
    let own = config.get_options().unwrap_or_default();
    limited.options(format!(
        "{own} -c statement_timeout={statement_ms} -c lock_timeout={statement_ms} \
         -c idle_in_transaction_session_timeout={idle_ms} {planning}",
        planning = super::statements::PLANNING_OPTIONS,
        statement_ms = options.statement_timeout.as_millis(),
        idle_ms = 2 * options.statement_timeout.as_millis(),
    ));
    limited.connect_timeout(options.connect_timeout);
    limited
}

/// Connects outside the pool. The connection's own task ends with the client.
pub(super) async fn connect(
    config: &Config,
    tls: &Tls,
    errors: &Arc<ErrorCounts>,
) -> Result<Connection, Error> {
    let (client, connection) = in_time(HANDSHAKE_TIMEOUT, config.connect(tls.clone())).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "database connection ended");
        }
    });
    Ok(Connection::new(client, Arc::clone(errors)))
}

/// The driver's own timeout covers TCP only; a database that accepts and then says nothing must not hold anybody up.
async fn in_time<T>(
    patience: Duration,
    connecting: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(patience, connecting).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(Error::Unavailable(None)),
    }
}

/// A connection with a cache of prepared statements, which tokio-postgres does not have.
pub(super) struct Connection {
    client: Client,
    statements: HashMap<Box<str>, Statement>,
    errors: Arc<ErrorCounts>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl Connection {
    fn new(client: Client, errors: Arc<ErrorCounts>) -> Self {
        Self { client, statements: HashMap::new(), errors }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The bare client, for what needs no prepared statement.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(super) fn into_client(self) -> Client {
        self.client
    }

    /// Prepares a statement once a connection.
    pub(super) async fn prepare(&mut self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        self.prepare_typed(sql, &[]).await
    }

    /// As [`Connection::prepare`], with the types of the first parameters given.
    pub(super) async fn prepare_typed(
        &mut self,
        sql: &str,
        types: &[Type],
    ) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.errors.count(self.client.prepare_typed(sql, types).await)?;
        self.statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }

    pub(super) async fn query(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.prepare(sql).await?;
        self.errors.count(self.client.query(&statement, parameters).await)
    }

    pub(super) async fn query_opt(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, tokio_postgres::Error> {
        let statement = self.prepare(sql).await?;
        self.errors.count(self.client.query_opt(&statement, parameters).await)
    }

    pub(super) async fn execute(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, tokio_postgres::Error> {
        let statement = self.prepare(sql).await?;
        self.errors.count(self.client.execute(&statement, parameters).await)
    }

    pub(super) async fn transaction(&mut self) -> Result<Transaction<'_>, tokio_postgres::Error> {
        self.errors.count(self.client.transaction().await)
    }
}

/// Makes pooled connections, with the statement cache around them.
#[derive(Clone)]
pub(super) struct Manager {
    inner: PostgresConnectionManager<Tls>,
    errors: Arc<ErrorCounts>,
}

impl Manager {
    pub(super) fn new(config: Config, tls: Tls, errors: Arc<ErrorCounts>) -> Self {
        Self { inner: PostgresConnectionManager::new(config, tls), errors }
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Manager")
    }
}

impl bb8::ManageConnection for Manager {
    type Connection = Connection;
    type Error = Error;

    async fn connect(&self) -> Result<Connection, Error> {
        let client = in_time(HANDSHAKE_TIMEOUT, self.inner.connect()).await?;
        Ok(Connection::new(client, Arc::clone(&self.errors)))
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), Error> {
        Ok(self.inner.is_valid(&mut connection.client).await?)
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        self.inner.has_broken(&mut connection.client)
    }
}

/// bb8 drops the errors of its background work unless told otherwise.
#[derive(Debug)]
pub(super) struct LogErrors;

impl bb8::ErrorSink<Error> for LogErrors {
    fn sink(&self, error: Error) {
        tracing::debug!(error = &error as &dyn std::error::Error, "pooled database connection failed");
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<Error>> {
        Box::new(Self)
    }
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
    fn a_bad_url_is_refused_without_repeating_it() {
        let error = parse_url("postgres://pika:hunter2@host:port/pika").unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
        assert!(matches!(parse_url("postgres:///pika"), Err(DatabaseUrlError::Incomplete("host"))));
        assert!(matches!(parse_url("postgres://host"), Err(DatabaseUrlError::Incomplete("database"))));
    }

    #[tokio::test]
    async fn a_database_that_says_nothing_is_not_waited_for() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let config = parse_url(&format!("postgres://u:p@127.0.0.1:{port}/d")).unwrap();
        let tls = super::super::tls::connector(false, None).unwrap();
        let connected = in_time(Duration::from_millis(50), config.connect(tls)).await;
        assert!(matches!(connected, Err(Error::Unavailable(None))));
    }

    #[test]
    fn a_connection_that_is_silently_gone_is_noticed() {
        let config = parse_url("postgres://u:p@h/d").unwrap();
        assert!(config.get_keepalives());
        assert_eq!(config.get_keepalives_idle(), KEEPALIVE_IDLE);
        assert_eq!(config.get_keepalives_retries(), Some(KEEPALIVE_RETRIES));
    }
}
