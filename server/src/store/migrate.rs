//! Migrates the schema: versioned migrations, one server at a time.

use refinery_core::{AsyncMigrate, Migration, Runner, Target};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connection::is_read_only;
use super::edition::{self, DatabaseInfo};
use super::error::{Error, is_unavailable};
use super::grafana;
use super::rollup::build::BuildError;
use super::set_up;
use super::unsupported::UnsupportedDatabase;
use super::usernames::set_username_keys;
use super::{Store, lock};
use crate::domain::TimestampMs;

/// The table in which refinery records what it has applied.
pub(super) const HISTORY_TABLE: &str = "pika_migrations";

/// Whether the schema has a version, and no restore into it is unfinished.
const IS_CURRENT: &str =
    "SELECT max(version)::int4 = $1 AND to_regclass('public.pika_restore') IS NULL FROM pika_migrations";
const IS_RESTORE_UNFINISHED: &str = "SELECT to_regclass('public.pika_restore') IS NOT NULL";

pub(super) const STATEMENTS: &[&str] = &[IS_CURRENT, IS_RESTORE_UNFINISHED];

/// All migrations, oldest first: version, name, text.
const MIGRATIONS: &[(&str, &str)] = &[
    ("V1__accounts", include_str!("../../../sql/migrations/0001_accounts.sql")),
    ("V2__agents", include_str!("../../../sql/migrations/0002_agents.sql")),
    ("V3__metrics", include_str!("../../../sql/migrations/0003_metrics.sql")),
    ("V4__rollups", include_str!("../../../sql/migrations/0004_rollups.sql")),
    ("V5__agent_latest", include_str!("../../../sql/migrations/0005_agent_latest.sql")),
    ("V6__gaps", include_str!("../../../sql/migrations/0006_gaps.sql")),
    ("V7__accounts", include_str!("../../../sql/migrations/0007_accounts.sql")),
    ("V8__agents", include_str!("../../../sql/migrations/0008_agents.sql")),
    ("V11__series", include_str!("../../../sql/migrations/0011_series.sql")),
    ("V12__accounts", include_str!("../../../sql/migrations/0012_accounts.sql")),
    ("V14__brin", include_str!("../../../sql/migrations/0014_brin.sql")),
    ("V15__rollup_builds", include_str!("../../../sql/migrations/0015_rollup_builds.sql")),
    ("V20__presence", include_str!("../../../sql/migrations/0020_presence.sql")),
    ("V21__preferences", include_str!("../../../sql/migrations/0021_preferences.sql")),
    ("V22__alerting", include_str!("../../../sql/migrations/0022_alerting.sql")),
    ("V23__series", include_str!("../../../sql/migrations/0023_series.sql")),
    ("V24__alert_outbox_items", include_str!("../../../sql/migrations/0024_alert_outbox_items.sql")),
    ("V25__machine_facts", include_str!("../../../sql/migrations/0025_machine_facts.sql")),
    ("V26__maintenance_state", include_str!("../../../sql/migrations/0026_maintenance_state.sql")),
    ("V27__history", include_str!("../../../sql/migrations/0027_history.sql")),
];

/// The result of migrating.
#[derive(Clone, Debug)]
pub struct Migrated {
    /// Versions and edition of the database.
    pub database: DatabaseInfo,
    /// The migrations applied by this run.
    pub applied: Vec<String>,
}

/// Why the schema could not be migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database cannot be reached; worth retrying.
    #[error("cannot connect to the database")]
    Connect(#[source] Error),
    /// Pika cannot use this database.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedDatabase),
    /// A newer Pika has migrated this database.
    #[error(
        "the database's schema has version {found}, but this server knows only versions up to {known}: \
         it was made by a newer Pika; install that version or newer"
    )]
    TooNew {
        /// The newest applied migration.
        found: i32,
        /// The newest migration of this binary.
        known: i32,
    },
    /// An applied migration differs from the one in this binary.
    #[error("the schema does not match this server")]
    Divergent(#[source] refinery_core::Error),
    /// A migration failed and was rolled back.
    #[error("a migration failed and was rolled back")]
    Failed(#[source] refinery_core::Error),
    /// The lock or the history could not be used.
    #[error("the database refused a statement while migrating")]
    Query(#[from] tokio_postgres::Error),
    /// A relation disappeared while rollups were built.
    #[error(
        "{0} disappeared while the rollups were brought to their definition; is another server doing the same?"
    )]
    Missing(String),
    /// The caller of [`Store::migrate_while`] stopped the migration.
    #[error("interrupted; the next start continues")]
    Interrupted,
}

impl MigrateError {
    /// Looking for a host that accepts writes is a statement, which may show that the database cannot be used.
    fn of_connecting(error: Error) -> Self {
        match error {
            Error::Database(error) if error.code() == Some(&SqlState::UNDEFINED_FILE) => {
                UnsupportedDatabase::from(error).into()
            }
            error => MigrateError::Connect(error),
        }
    }
}

impl From<BuildError> for MigrateError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Query(error) => MigrateError::Query(error),
            BuildError::Missing(relation) => MigrateError::Missing(relation),
            BuildError::Interrupted => MigrateError::Interrupted,
        }
    }
}

impl MigrateError {
    /// Returns whether retrying later can help.
    pub fn is_temporary(&self) -> bool {
        match self {
            MigrateError::Connect(error) => error.is_temporary(),
            MigrateError::Query(error) | MigrateError::Unsupported(UnsupportedDatabase::Query(error)) => {
                is_unavailable(error)
            }
            MigrateError::Failed(error) => {
                let sources = std::iter::successors(std::error::Error::source(error), |error| error.source());
                sources.filter_map(|error| error.downcast_ref()).any(is_unavailable)
            }
            _ => false,
        }
    }
}

impl Store {
    /// Checks the database, applies missing migrations, and sets up rollups and policies for its edition. Does nothing
    /// if everything is up to date.
    ///
    /// # Errors
    /// If the database is unavailable or unsupported, or a migration fails, which is rolled back.
    pub async fn migrate(&self, now: TimestampMs) -> Result<Migrated, MigrateError> {
        self.migrate_while(now, |_| true).await
    }

    /// Like [`Store::migrate`], but after each step of building rollups calls back with the step's name to ask whether
    /// to continue.
    ///
    /// # Errors
    /// As [`Store::migrate`], and [`MigrateError::Interrupted`] if told not to continue. What was done until then is
    /// kept.
    pub async fn migrate_while(
        &self,
        now: TimestampMs,
        mut goes_on: impl FnMut(&str) -> bool + Send + Sync,
    ) -> Result<Migrated, MigrateError> {
        let (mut client, database) = self.lock_schema().await?;
        if is_restore_unfinished(&client).await? {
            return Err(UnsupportedDatabase::RestoreUnfinished.into());
        }
        let applied = run(&mut client, newest_known()).await?;
        self.complete(&mut client, &database, now, &mut goes_on).await?;
        Ok(Migrated { database, applied })
    }

    /// Connects, keeps others from changing the schema until the connection ends, and inspects the database.
    pub(super) async fn lock_schema(&self) -> Result<(Client, DatabaseInfo), MigrateError> {
        let mut connection = self.dedicated_connection().await.map_err(MigrateError::of_connecting)?;
        // The URL may ask for any host.
        if is_read_only(connection.client()).await.map_err(UnsupportedDatabase::from)? {
            return Err(MigrateError::Connect(Error::ReadOnly));
        }
        let made = lock::make_table(connection.client()).await;
        if made.as_ref().is_err_and(|error| error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)) {
            // A database that Pika cannot use is the better reason.
            edition::inspect(&mut connection).await?;
        }
        made.map_err(UnsupportedDatabase::from)?;
        // Held until the connection ends, whatever happens below.
        lock::MIGRATION.hold(connection.client()).await?;
        let database = edition::inspect(&mut connection).await?;
        Ok((connection.into_client(), database))
    }

    /// Completes a database that has all migrations: what they cannot compute, rollups and policies.
    pub(super) async fn complete(
        &self,
        client: &mut Client,
        database: &DatabaseInfo,
        now: TimestampMs,
        goes_on: &mut (dyn FnMut(&str) -> bool + Send + Sync),
    ) -> Result<(), MigrateError> {
        set_username_keys(client).await?;
        set_up::run(client, database, &self.definition, now, goes_on).await?;
        Ok(())
    }

    /// Returns whether the database's schema is the one this binary expects.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn is_schema_current(&self) -> Result<bool, Error> {
        let connection = self.connection().await?;
        let found = connection.query_opt(IS_CURRENT, &[&newest_known()]).await;
        match found {
            // The database was never migrated.
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(false),
            other => Ok(other?.is_some_and(|row| row.get(0))),
        }
    }
}

/// Returns whether a restore into the database was begun and not finished.
pub(super) async fn is_restore_unfinished(client: &Client) -> Result<bool, tokio_postgres::Error> {
    Ok(client.query_one(IS_RESTORE_UNFINISHED, &[]).await?.get(0))
}

/// Returns whether there was a release with this version of the schema, so that [`run`] can make it.
pub(super) fn is_known(version: i32) -> bool {
    MIGRATIONS.iter().any(|(name, _)| number(name) == version)
}

/// Applies the missing migrations up to a version. Returns those applied.
pub(super) async fn run(client: &mut Client, version: i32) -> Result<Vec<String>, MigrateError> {
    let migrations = migrations().map_err(MigrateError::Divergent)?;
    let mut runner = Runner::new(&migrations).set_target(Target::Version(version));
    runner.set_migration_table_name(HISTORY_TABLE);
    let last = client.get_last_applied_migration(HISTORY_TABLE).await.ok().flatten();
    if let Some(last) = &last
        && newest_known() < last.version()
    {
        return Err(MigrateError::TooNew { found: last.version(), known: newest_known() });
    }
    let is_behind = last.is_some_and(|last| last.version() < newest_known());
    if is_behind {
        // Its views would keep migrations from what they depend on. Set-up makes it again.
        grafana::remove(client).await?;
    }
    let report = runner.run_async(client).await.map_err(|error| match error.kind() {
        refinery_core::error::Kind::DivergentVersion(..) | refinery_core::error::Kind::MissingVersion(..) => {
            MigrateError::Divergent(error)
        }
        _ => MigrateError::Failed(error),
    })?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

pub(super) fn migrations() -> Result<Vec<Migration>, refinery_core::Error> {
    MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect()
}

/// Returns the version of the schema that this binary makes.
pub(super) fn newest_known() -> i32 {
    MIGRATIONS.last().map(|(name, _)| number(name)).unwrap_or_default()
}

/// Returns a migration's number. The names have the form that refinery requires; a test checks all of them.
fn number(name: &str) -> i32 {
    let digits = name.strip_prefix('V').and_then(|name| name.split_once("__"));
    digits.and_then(|(digits, _)| digits.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_is_listed_under_its_number() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/migrations");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let listed: BTreeSet<String> = migrations()
            .unwrap()
            .iter()
            .map(|migration| format!("{:04}_{}.sql", migration.version(), migration.name()))
            .collect();
        assert_eq!(files, listed);
        assert_eq!(migrations().unwrap().last().unwrap().version(), newest_known());
    }
}
