//! The facade of the database: its connection pool, the connections that charts may use, and those outside the pool.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bb8::{Pool, PooledConnection};
use secrecy::ExposeSecret as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::connection::{self, Connection, Manager};
use super::edition::{self, DatabaseInfo};
use super::error::{Error, ErrorCounts};
use super::options::{self, DatabaseUrlError, StoreConfig};
use super::rollup::Definition;
use super::rollup::catch_up::CaughtUp;
use super::storage_report::StorageReport;
use super::tls::{self, Tls};
use crate::config;

/// The database.
#[derive(Clone)]
pub struct Store {
    pool: Pool<Manager>,
    /// The pool's connections that charts may use: half of them, so that everything else is answered however expensive
    /// charts are.
    chart_connections: Arc<Semaphore>,
    connect_timeout: Duration,
    config: Config,
    tls: Tls,
    errors: Arc<ErrorCounts>,
    /// What is stored and rolled up.
    pub(super) definition: Arc<Definition>,
    /// The last storage report, kept because a report looks at every chunk.
    pub(super) storage_report: Arc<Mutex<Option<StorageReport>>>,
    pub(super) caught_up: Arc<CaughtUp>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("pool", &self.pool.state()).finish_non_exhaustive()
    }
}

impl Store {
    /// Prepares to use the database at `url` (`postgres://user:password@host:port/database`). No connection is opened
    /// yet, so this works while the database is unavailable.
    ///
    /// # Errors
    /// If the URL is invalid or the certificates cannot be read.
    ///
    /// # Panics
    /// If called outside a Tokio runtime, which the pool needs for its background work.
    pub fn new(url: &str, options: &StoreConfig) -> Result<Self, DatabaseUrlError> {
        Self::with(options::parse_url(url)?, options)
    }

    fn with(config: Config, options: &StoreConfig) -> Result<Self, DatabaseUrlError> {
        let encrypted = config.get_ssl_mode() == SslMode::Require;
        let tls = tls::connector(encrypted, options.root_certificates.as_deref())?;
        let pooled = options::with_limits(&config, options);
        let errors = Arc::new(ErrorCounts::default());
        let pool = Pool::builder()
            .max_size(options.pool_size)
            .connection_timeout(options.connect_timeout)
            .error_sink(Box::new(connection::LogErrors))
            .test_on_check_out(true)
            .build_unchecked(Manager::new(pooled, tls.clone(), Arc::clone(&errors)));
        let n_chart_connections = usize::try_from(options.pool_size / 2).unwrap_or(usize::MAX).max(1);
        Ok(Self {
            pool,
            chart_connections: Arc::new(Semaphore::new(n_chart_connections)),
            connect_timeout: options.connect_timeout,
            config,
            tls,
            errors,
            definition: Arc::default(),
            storage_report: Arc::default(),
            caught_up: Arc::default(),
        })
    }

    /// Uses other tables and rollups than the product's own.
    #[must_use]
    pub fn with_definition(self, definition: Definition) -> Self {
        Self { definition: Arc::new(definition), ..self }
    }

    /// Prepares to use the configured database.
    ///
    /// # Errors
    /// As [`Store::new`].
    ///
    /// # Panics
    /// As [`Store::new`].
    pub fn of_config(database: &config::DatabaseConfig) -> Result<Self, DatabaseUrlError> {
        Self::new(database.url().expose_secret(), &database.into())
    }

    /// Prepares to use another database of the configured server.
    ///
    /// # Errors
    /// As [`Store::new`].
    ///
    /// # Panics
    /// As [`Store::new`].
    pub fn of_config_at(database: &config::DatabaseConfig, name: &str) -> Result<Self, DatabaseUrlError> {
        let mut config = options::parse_url(database.url().expose_secret())?;
        config.dbname(name);
        Self::with(config, &database.into())
    }

    /// Returns the versions and the edition of the database.
    ///
    /// # Errors
    /// If it is unavailable, or cannot be used by Pika.
    pub async fn database_info(&self) -> Result<DatabaseInfo, Error> {
        let mut connection = self.connection().await?;
        Ok(edition::inspect(&mut connection).await?)
    }

    /// Returns the hosts to which connections go unencrypted over a network.
    pub fn plain_remote_hosts(&self) -> Vec<String> {
        options::plain_remote_hosts(&self.config)
    }

    pub(super) async fn connection(&self) -> Result<PooledConnection<'_, Manager>, Error> {
        let connection = self.pool.get().await.map_err(Error::from);
        connection.inspect_err(|error| self.errors.add_failed_connection(error))
    }

    /// Returns a permit to use one of the pool's connections for a chart.
    ///
    /// # Errors
    /// If all of these stay busy for as long as a request waits for a connection.
    pub(super) async fn chart_permit(&self) -> Result<SemaphorePermit<'_>, Error> {
        let permit = tokio::time::timeout(self.connect_timeout, self.chart_connections.acquire()).await;
        permit.map_err(|_| Error::TooManyCharts)?.map_err(|_| Error::TooManyCharts)
    }

    /// Opens a connection outside the pool, without the time limits of requests.
    pub(super) async fn dedicated_connection(&self) -> Result<Connection, Error> {
        let connection = connection::connect(&self.config, &self.tls, &self.errors).await;
        connection.inspect_err(|error| self.errors.add_failed_connection(error))
    }

    /// Returns the number of connections in the pool, and of those idle.
    pub fn pool_connections(&self) -> (u32, u32) {
        let state = self.pool.state();
        (state.connections, state.idle_connections)
    }

    /// Returns the number of database and connection errors since the start, by kind.
    pub fn error_counts(&self) -> Vec<(&'static str, u64)> {
        self.errors.all()
    }
}
