//! Everything that is kept: the only module that speaks SQL, and the only one that names `tokio_postgres`.
//!
//! [`Store`] is the facade; each file below adds the operations of one kind of thing to it. It knows nothing of
//! HTTP or of the wire protocol.

mod agents;
mod api_tokens;
mod audit;
mod brin;
mod connection;
mod copy;
mod edition;
mod enrollments;
mod error;
mod expiry;
mod gaps;
mod identities;
mod latest;
mod maintenance;
mod metrics;
mod migrate;
mod newest;
mod passwords;
mod rollup;
mod sample_pages;
mod samples;
mod series;
mod sessions;
mod set_up;
pub mod statements;
mod storage;
mod tls;
mod totp;
mod usernames;
mod users;
mod watchdog;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bb8::{Pool, PooledConnection};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

pub use agents::{ConnectedAgent, Lapse, Speaker, Touch};
pub use api_tokens::{API_TOKENS_PER_USER_MAX, ApiTokenError, NewApiToken};
pub use audit::{AuditEntry, AuditFilter};
pub use connection::DatabaseUrlError;
pub use edition::{DatabaseInfo, Edition, UnsupportedDatabase};
pub use enrollments::{Enrollment, NewEnrollment};
pub use error::Error;
pub use expiry::HeldBack;
pub use identities::{Enrolled, Registration};
pub use maintenance::Maintained;
pub use metrics::{MetricBuckets, SeriesBuckets, SeriesLabel};
pub use migrate::{MigrateError, Migrated};
pub use newest::LatestMetrics;
pub use passwords::UserWithPassword;
pub use rollup::{Definition, RefreshFailure};
pub use sample_pages::SamplePage;
pub use samples::{SampleWriter, WriteMethod, Written};
pub use sessions::{NewSession, SESSIONS_PER_USER_MAX, Session};
pub use storage::StorageReport;
pub use totp::TotpSecret;
pub use users::{NewUser, UserError, UserSort, UserUpdate};
pub use watchdog::{JobProblem, UnhealthyJob};

use connection::{Connection, Manager};
use error::ErrorCounts;
use rollup::catch_up::CaughtUp;
use tls::Tls;

/// How to reach the database and how much of it to use.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Connections for reads and small writes.
    pub pool_size: u32,
    /// How long a request waits for a free connection, and for a new one to be made.
    pub connect_timeout: Duration,
    /// How long one statement of a request may run.
    pub statement_timeout: Duration,
    /// PEM file with the certificate authorities that the database's certificate may come from; the system's
    /// where it is absent.
    pub root_certificates: Option<std::path::PathBuf>,
}

/// The database.
#[derive(Clone)]
pub struct Store {
    pool: Pool<Manager>,
    /// The pool's connections that charts may use: half of them, so that everything else is answered whatever charts cost.
    chart_connections: Arc<Semaphore>,
    connect_timeout: Duration,
    config: Config,
    tls: Tls,
    errors: Arc<ErrorCounts>,
    /// What is stored and rolled up.
    definition: Arc<Definition>,
    /// The last storage report: it looks at every chunk, so it is not made anew for everyone who asks.
    storage_report: Arc<Mutex<Option<StorageReport>>>,
    caught_up: Arc<CaughtUp>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("pool", &self.pool.state()).finish_non_exhaustive()
    }
}

impl Store {
    /// Prepares to talk to the database at `url` (`postgres://user:password@host:port/database`). No connection is
    /// made yet, so this works while the database is away.
    ///
    /// # Errors
    /// When the URL cannot be understood or the certificates cannot be read.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, which the pool needs for its house-keeping.
    pub fn new(url: &str, options: &StoreConfig) -> Result<Self, DatabaseUrlError> {
        let config = connection::parse_url(url)?;
        let encrypted = config.get_ssl_mode() == SslMode::Require;
        let tls = tls::connector(encrypted, options.root_certificates.as_deref())?;
        let pooled = connection::with_limits(&config, options);
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

    /// The same, for other tables and rollups than the product's own.
    #[must_use]
    pub fn with_definition(self, definition: Definition) -> Self {
        Self { definition: Arc::new(definition), ..self }
    }

    /// The hosts that the connection goes to as plain text, over a network.
    pub fn plain_remote_hosts(&self) -> Vec<String> {
        connection::plain_remote_hosts(&self.config)
    }

    async fn connection(&self) -> Result<PooledConnection<'_, Manager>, Error> {
        let connection = self.pool.get().await.map_err(Error::from);
        connection.inspect_err(|error| self.errors.add_failed_connection(error))
    }

    /// A connection of the pool for a chart, and its place among those that charts may use.
    ///
    /// # Errors
    /// Also when all of these stay in use for as long as a connection is waited for.
    async fn chart_connection(&self) -> Result<(SemaphorePermit<'_>, PooledConnection<'_, Manager>), Error> {
        let place = tokio::time::timeout(self.connect_timeout, self.chart_connections.acquire()).await;
        let place = place.map_err(|_| Error::TooManyCharts)?.map_err(|_| Error::TooManyCharts)?;
        Ok((place, self.connection().await?))
    }

    /// A connection of its own, outside the pool and without the time limits of requests.
    async fn dedicated_connection(&self) -> Result<Connection, Error> {
        let connection = connection::connect(&self.config, &self.tls, &self.errors).await;
        connection.inspect_err(|error| self.errors.add_failed_connection(error))
    }

    /// Connections of the pool: all, and those not in use.
    pub fn pool_connections(&self) -> (u32, u32) {
        let state = self.pool.state();
        (state.connections, state.idle_connections)
    }

    /// Errors of the database and of connections to it since the start, by kind.
    pub fn error_counts(&self) -> Vec<(&'static str, u64)> {
        self.errors.all()
    }
}
