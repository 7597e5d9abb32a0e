//! Connections to the database: connecting, and the cache of prepared statements.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bb8_postgres::PostgresConnectionManager;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Row, SimpleQueryMessage, Statement, Transaction};

use super::error::{Error, ErrorCounts};
use super::tls::Tls;

/// Timeout for connecting, with TLS and login. A busy database takes its time; a request gives up waiting before that.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A parameter of a statement.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// Connects outside the pool. The connection's task ends with the client.
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

/// The driver's own timeout covers TCP only; a database that accepts and then says nothing must not block anybody.
async fn in_time<T>(
    limit: Duration,
    connecting: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, connecting).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(Error::Unavailable(None)),
    }
}

/// A connection with a cache of prepared statements, which tokio-postgres does not have. Independent queries can run
/// concurrently: they are pipelined and share one round trip.
pub(super) struct Connection {
    client: Client,
    statements: Mutex<HashMap<Box<str>, Statement>>,
    errors: Arc<ErrorCounts>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl Connection {
    fn new(client: Client, errors: Arc<ErrorCounts>) -> Self {
        Self { client, statements: Mutex::default(), errors }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Returns the bare client, for statements that need not be prepared.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(super) fn into_client(self) -> Client {
        self.client
    }

    /// Prepares a statement once per connection.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        self.prepare_typed(sql, &[]).await
    }

    /// As [`Connection::prepare`], with the types of the first parameters given.
    pub(super) async fn prepare_typed(
        &self,
        sql: &str,
        types: &[Type],
    ) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.errors.count(self.client.prepare_typed(sql, types).await)?;
        self.statements().insert(sql.into(), statement.clone());
        Ok(statement)
    }

    fn statements(&self) -> MutexGuard<'_, HashMap<Box<str>, Statement>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn query(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.prepare(sql).await?;
        self.errors.count(self.client.query(&statement, parameters).await)
    }

    pub(super) async fn query_opt(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, tokio_postgres::Error> {
        let statement = self.prepare(sql).await?;
        self.errors.count(self.client.query_opt(&statement, parameters).await)
    }

    pub(super) async fn execute(
        &self,
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

/// Asks whether the database accepts no writes (any more), in one round trip.
pub(super) async fn is_read_only(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let messages = client.simple_query("SHOW transaction_read_only").await?;
    Ok(messages
        .iter()
        .any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("on"))))
}

/// Opens the pool's connections, with their statement caches.
#[derive(Clone)]
pub(super) struct Manager {
    inner: PostgresConnectionManager<Tls>,
    errors: Arc<ErrorCounts>,
    /// Whether a connection to a database that has become read-only is useless.
    writes: bool,
}

impl Manager {
    pub(super) fn new(config: Config, tls: Tls, errors: Arc<ErrorCounts>) -> Self {
        let writes = config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite;
        Self { inner: PostgresConnectionManager::new(config, tls), errors, writes }
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
        if self.writes && is_read_only(&connection.client).await? {
            return Err(Error::ReadOnly);
        }
        Ok(())
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
    use crate::store::options::parse_url;

    #[tokio::test]
    async fn a_database_that_says_nothing_is_not_waited_for() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let config = parse_url(&format!("postgres://u:p@127.0.0.1:{port}/d")).unwrap();
        let tls = crate::store::tls::connector(false, None).unwrap();
        let connected = in_time(Duration::from_millis(50), config.connect(tls)).await;
        assert!(matches!(connected, Err(Error::Unavailable(None))));
    }
}
