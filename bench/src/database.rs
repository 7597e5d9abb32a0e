//! The benchmark's own database, which is marked so that no other database is ever dropped.

use std::time::Duration;

use clap::Args;
use pika_server::domain::audit::{Action, Actor, AuditEvent, Origin};
use pika_server::domain::retention::Retention;
use pika_server::domain::tier::Tier;
use pika_server::store::{DatabaseInfo, Edition, Store, StoreConfig, statements};
use pika_shared::Clock;
use tokio_postgres::{Client, Config, NoTls, Row};
use tokio_util::task::TaskTracker;

use crate::error::BenchError;
use crate::proc;

/// Options for a new database.
#[derive(Args, Clone, Debug)]
pub(crate) struct NewDatabaseOptions {
    /// A PostgreSQL server with TimescaleDB on which a database may be created.
    #[arg(long, env = "PIKA_BENCH_DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The name of the benchmark's database.
    #[arg(long, default_value = "pika_bench")]
    database: String,
    /// Keep the database at the end.
    #[arg(long)]
    keep: bool,
}

/// Options for a database with a fleet's history.
#[derive(Args, Clone, Debug)]
pub(crate) struct DatabaseOptions {
    #[command(flatten)]
    new: NewDatabaseOptions,
    /// Use the URL's own database instead, which has to be empty and is kept.
    #[arg(long)]
    in_place: bool,
    /// Reuse the database kept by an earlier run, if it has the same fleet.
    #[arg(long)]
    reuse: bool,
}

/// Marks a database as a benchmark's; created before anything else in it.
const MARK: &str = "CREATE SCHEMA bench; \
     CREATE TABLE bench.fleet (spec text NOT NULL, start_ms int8 NOT NULL, end_ms int8 NOT NULL, \
         n_rows int8 NOT NULL, load_ms int8 NOT NULL, roll_up_ms int8 NOT NULL)";

impl NewDatabaseOptions {
    /// Recreates the database, or with `reuse` keeps one left by an earlier run. Returns its URL, and whether it was
    /// reused.
    async fn make(&self, reuse: bool) -> Result<(String, bool), BenchError> {
        let name = &self.database;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(BenchError::Usage(format!("--database: {name:?} is not of a–z, 0–9 and _")));
        }
        let url = with_database(&self.database_url, name)?;
        let client = connect(&self.database_url).await?;
        let found = client.query("SELECT FROM pg_database WHERE datname = $1", &[name]).await?;
        if found.is_empty() {
            client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        } else if !is_marked(&connect(&url).await?).await? {
            let message =
                format!("the database {name} exists and is not a bench's; name another with --database");
            return Err(BenchError::Usage(message));
        } else if !reuse {
            recreate(&client, name).await?;
        }
        Ok((url, !found.is_empty() && reuse))
    }

    /// Drops the database unless it is to be kept, and returns the result of the run, whose error takes precedence.
    async fn drop_unless_kept<T>(&self, found: Result<T, BenchError>) -> Result<T, BenchError> {
        let dropped = if self.keep { Ok(()) } else { self.drop().await };
        let found = found?;
        dropped.map(|()| found)
    }

    async fn drop(&self) -> Result<(), BenchError> {
        let client = connect(&self.database_url).await?;
        let name = &self.database;
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        Ok(())
    }
}

/// A database without a schema, for a server that creates it.
pub(crate) struct FreshDatabase {
    pub(crate) url: String,
    pub(crate) client: Client,
    options: NewDatabaseOptions,
}

impl FreshDatabase {
    /// Creates the database, marked as a benchmark's.
    pub(crate) async fn make(options: &NewDatabaseOptions) -> Result<Self, BenchError> {
        let (url, _) = options.make(false).await?;
        let client = connect(&url).await?;
        client.batch_execute(MARK).await?;
        Ok(Self { url, client, options: options.clone() })
    }

    /// Returns the versions and edition, once a server has created the schema.
    pub(crate) async fn info(&self) -> Result<DatabaseInfo, BenchError> {
        let store = Store::new(&self.url, &store_config())?;
        Ok(store.migrate(Clock::system().now()).await?.database)
    }

    /// Returns the id of the postmaster, if it runs on this machine.
    pub(crate) async fn postmaster(&self) -> Result<Option<u32>, BenchError> {
        let sql = "SELECT pg_backend_pid(), coalesce(host(inet_server_addr()), '')";
        let row = self.client.query_one(sql, &[]).await?;
        let address: String = row.get(1);
        let is_local = address.parse::<std::net::IpAddr>().map_or(address.is_empty(), |ip| ip.is_loopback());
        let backend = u32::try_from(row.get::<_, i32>(0)).ok();
        Ok(backend.filter(|_| is_local).and_then(proc::postmaster_of))
    }

    /// Drops the database after a run unless it is to be kept, and returns the result of the run.
    pub(crate) async fn close<T>(self, found: Result<T, BenchError>) -> Result<T, BenchError> {
        drop(self.client);
        self.options.drop_unless_kept(found).await
    }
}

/// A database with a fleet's history.
pub(crate) struct BenchDatabase {
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) store: Store,
    pub(crate) info: DatabaseInfo,
    /// Whether an earlier run created it.
    pub(crate) is_reused: bool,
    options: DatabaseOptions,
}

impl BenchDatabase {
    /// Creates or reuses the database.
    pub(crate) async fn open(options: &DatabaseOptions) -> Result<Self, BenchError> {
        let (url, exists) = if options.in_place {
            (options.new.database_url.clone(), true)
        } else {
            options.new.make(options.reuse).await?
        };
        let client = connect(&url).await?;
        let is_reused = exists && is_marked(&client).await?;
        if options.in_place && is_reused && !options.reuse {
            return Err(BenchError::Usage(
                "the database is in use by an earlier bench; add --reuse".to_owned(),
            ));
        }
        if !is_reused {
            client.batch_execute(MARK).await?;
        }
        let store = Store::new(&url, &store_config())?;
        let info = store.migrate(Clock::system().now()).await?.database;
        // The fleet's history ends when it is loaded; none of it may expire if the database is kept.
        let for_ever = Retention { raw_ms: None, one_minute_ms: None, one_hour_ms: None, one_day_ms: None };
        let event = AuditEvent::new(Actor::System, Origin::default(), Action::SettingsUpdated);
        store.set_retention(&for_ever, &event).await?;
        if info.edition == Edition::Community {
            // Policies must not run during the measurement; the benchmark runs them itself.
            let sql = "SELECT alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs \
                       WHERE proc_name LIKE 'policy\\_%' AND hypertable_name IS NOT NULL";
            client.query(sql, &[]).await?;
        }
        Ok(Self { url, client, store, info, is_reused, options: options.clone() })
    }

    /// Recreates the database, because it has another fleet.
    pub(crate) async fn start_over(&mut self) -> Result<(), BenchError> {
        if self.options.in_place {
            let message = "the database holds another fleet; --in-place wants an empty one".to_owned();
            return Err(BenchError::Usage(message));
        }
        let options = DatabaseOptions { reuse: false, ..self.options.clone() };
        *self = Box::pin(Self::open(&options)).await?;
        Ok(())
    }

    /// Drops the database after a run, unless it is to be kept, and hands on what the run has found.
    pub(crate) async fn close<T>(self, found: Result<T, BenchError>) -> Result<T, BenchError> {
        let Self { client, store, options, .. } = self;
        drop((client, store));
        if options.in_place { found } else { options.new.drop_unless_kept(found).await }
    }

    /// On the Community edition, runs the refresh policies of a tier.
    pub(crate) async fn run_refresh_policies(&self, tier: Tier) -> Result<(), BenchError> {
        if self.info.edition == Edition::Apache {
            return Ok(());
        }
        // A job names the aggregate or the hypertable behind it, depending on TimescaleDB's version.
        let sql = "SELECT job_id FROM timescaledb_information.jobs AS jobs \
                   LEFT JOIN timescaledb_information.continuous_aggregates AS aggregates \
                       ON (materialization_hypertable_schema, materialization_hypertable_name) \
                          = (jobs.hypertable_schema, jobs.hypertable_name) \
                   WHERE proc_name = 'policy_refresh_continuous_aggregate' \
                     AND right(coalesce(view_name, jobs.hypertable_name), 3) = '_' || $1::text \
                   ORDER BY 1";
        self.run_jobs(&self.client.query(sql, &[&tier.name()]).await?).await
    }

    /// On the Community edition, runs the columnstore policies.
    pub(crate) async fn run_columnstore_policies(&self) -> Result<(), BenchError> {
        if self.info.edition == Edition::Apache {
            return Ok(());
        }
        let sql = "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression' ORDER BY 1";
        self.run_jobs(&self.client.query(sql, &[]).await?).await
    }

    async fn run_jobs(&self, jobs: &[Row]) -> Result<(), BenchError> {
        for job in jobs {
            self.client.batch_execute(&format!("CALL run_job({})", job.get::<_, i32>(0))).await?;
        }
        Ok(())
    }
}

/// The store's settings for the benchmark.
fn store_config() -> StoreConfig {
    StoreConfig {
        pool_size: 4,
        connect_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(600),
        root_certificates: None,
    }
}

/// Opens a connection with the same settings as the server's.
pub(crate) async fn connect(url: &str) -> Result<Client, BenchError> {
    let mut config: Config = url.parse()?;
    config.application_name("pika-bench");
    config.options(statements::PLANNING_OPTIONS);
    let (client, connection) = config.connect(NoTls).await?;
    // Ends with the client, which also receives its errors.
    TaskTracker::new().spawn(connection);
    Ok(client)
}

async fn is_marked(client: &Client) -> Result<bool, BenchError> {
    let row = client.query_one("SELECT to_regclass('bench.fleet') IS NOT NULL", &[]).await?;
    Ok(row.get(0))
}

async fn recreate(client: &Client, name: &str) -> Result<(), BenchError> {
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
    client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
    Ok(())
}

/// Returns the URL of another database on the same server.
fn with_database(url: &str, name: &str) -> Result<String, BenchError> {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let authority_at = base.find("://").map_or(0, |position| position + 3);
    let authority = base[authority_at..].split('/').next().unwrap_or_default();
    if authority.is_empty() {
        return Err(BenchError::Usage(
            "--database-url is not of the form postgres://user:password@host:port/database".to_owned(),
        ));
    }
    let server = &base[..authority_at + authority.len()];
    Ok(query.map_or_else(|| format!("{server}/{name}"), |query| format!("{server}/{name}?{query}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_url_is_replaced() {
        let of = |url| with_database(url, "bench").unwrap();
        assert_eq!(of("postgres://u:p@h:1/pika"), "postgres://u:p@h:1/bench");
        assert_eq!(of("postgres://u:p@h:1"), "postgres://u:p@h:1/bench");
        assert_eq!(of("postgres://u:p@h:1/pika?sslmode=disable"), "postgres://u:p@h:1/bench?sslmode=disable");
        assert!(with_database("postgres://", "bench").is_err());
    }
}
