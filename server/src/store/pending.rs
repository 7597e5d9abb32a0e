//! What a migration would do, without doing it.

use refinery_core::AsyncMigrate as _;

use super::migrate::{HISTORY_TABLE, MigrateError, migrations, newest_known};
use super::unsupported::UnsupportedDatabase;
use super::{Store, edition, set_up};
use crate::domain::TimestampMs;

/// What [`Store::migrate`] would do.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The migrations it would apply, by name.
    pub migrations: Vec<String>,
    /// The steps by which it would change rollups. Only known where there is no migration before them.
    pub rollup_steps: Vec<&'static str>,
    /// What to do about the version of TimescaleDB, if anything.
    pub advice: Option<String>,
}

impl Store {
    /// Returns what [`Store::migrate`] would do, and changes nothing.
    ///
    /// # Errors
    /// If the database is unavailable or cannot be used.
    pub async fn pending(&self, now: TimestampMs) -> Result<Pending, MigrateError> {
        let mut connection = self.dedicated_connection().await.map_err(MigrateError::Connect)?;
        let sql = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb'), \
                       to_regclass('public.pika_migrations') IS NOT NULL";
        let row = connection.client().query_one(sql, &[]).await?;
        let (has_extension, has_history): (bool, bool) = (row.get(0), row.get(1));
        // Inspecting creates the extension.
        let database = if has_extension { Some(edition::inspect(&mut connection).await?) } else { None };
        let mut client = connection.into_client();
        let applied = if has_history {
            client.get_applied_migrations(HISTORY_TABLE).await.map_err(MigrateError::Failed)?
        } else {
            Vec::new()
        };
        let found = applied.last().map(refinery_core::Migration::version).unwrap_or_default();
        if newest_known() < found {
            return Err(MigrateError::TooNew { found, known: newest_known() });
        }
        let migrations: Vec<String> = migrations()
            .map_err(MigrateError::Divergent)?
            .iter()
            .filter(|migration| !applied.iter().any(|applied| applied.version() == migration.version()))
            .map(ToString::to_string)
            .collect();
        let mut rollup_steps = Vec::new();
        let advice = database.as_ref().and_then(super::DatabaseInfo::update_advice);
        if let Some(database) = database.filter(|_| migrations.is_empty()) {
            if super::migrate::is_restore_unfinished(&client).await? {
                return Err(UnsupportedDatabase::RestoreUnfinished.into());
            }
            rollup_steps = set_up::planned(&mut client, &database, &self.definition, now).await?;
        }
        Ok(Pending { migrations, rollup_steps, advice })
    }
}
