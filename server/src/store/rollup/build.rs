//! Makes a database's rollups match the definition by executing the steps of [`super::plan`].
//!
//! **What is atomic.** Creating a rollup, adding or removing columns, renaming replacements and removing what was
//! replaced are one transaction each. Copying and rolling up are one transaction per piece. Nothing is kept in memory
//! between steps that the database does not know, so an interrupted build is continued by the next one.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::abilities::Abilities;
use super::found::{Found, Kind, Relation};
use super::plan::{Step, plan};
use super::{Definition, Rollup};
use crate::domain::TimestampMs;
use crate::domain::tier::{Tier, bucket_start};
use crate::store::lock;

const APACHE_ROLLUP: &str = include_str!("../../../../sql/editions/apache/rollup.sql");
const COMMUNITY_ROLLUP: &str = include_str!("../../../../sql/editions/community/rollup.sql");

/// How long a statement that changes a relation waits for its users, since others queue behind it meanwhile.
const LOCK_TIMEOUT: &str = "5s";
/// How many times it is retried. The database's own jobs may take minutes.
const LOCK_ATTEMPTS_MAX: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_secs(1);

/// Why rollups could not be built.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum BuildError {
    /// The database rejected a statement.
    #[error("the database refused a statement")]
    Query(#[from] tokio_postgres::Error),
    /// A relation needed by a step is gone; something else has removed it in the meantime.
    #[error("{0} has disappeared")]
    Missing(String),
    /// The caller stopped the build.
    #[error("interrupted")]
    Interrupted,
}

/// Builds rollups.
pub(in crate::store) struct Builder<'a> {
    pub(super) client: &'a mut Client,
    pub(super) definition: &'a Definition,
    pub(super) abilities: Abilities,
    /// When the build began, by either clock.
    started_at: (TimestampMs, Instant),
    goes_on: &'a mut (dyn FnMut(&str) -> bool + Send + Sync),
}

impl<'a> Builder<'a> {
    /// `goes_on` is called with the name of each completed step and piece.
    pub(in crate::store) fn new(
        client: &'a mut Client,
        definition: &'a Definition,
        abilities: Abilities,
        now: TimestampMs,
        goes_on: &'a mut (dyn FnMut(&str) -> bool + Send + Sync),
    ) -> Self {
        Self { client, definition, abilities, started_at: (now, Instant::now()), goes_on }
    }

    /// Keeps other servers from changing rollups until the connection ends.
    pub(in crate::store) async fn exclude_maintenance(&mut self) -> Result<(), BuildError> {
        Ok(lock::MAINTENANCE.hold(self.client).await?)
    }

    /// The connection that it builds by.
    pub(in crate::store) fn client(&self) -> &Client {
        self.client
    }

    /// Returns the steps to be done.
    pub(in crate::store) async fn plan(&self) -> Result<Vec<Step>, BuildError> {
        Ok(plan(&self.inspect().await?, self.definition, self.abilities))
    }

    /// Executes a step.
    pub(in crate::store) async fn take(&mut self, step: &Step) -> Result<(), BuildError> {
        match step {
            // Its pieces are separate transactions.
            Step::Copy(rollup) => return self.copy(*rollup).await,
            Step::Create(rollup) => self.create(*rollup).await?,
            Step::AddColumns(rollup, columns) => self.add_columns(*rollup, columns).await?,
            Step::DropColumns(rollup, columns) => self.drop_columns(*rollup, columns).await?,
            Step::CreateNext(rollup, source) => self.create_next(*rollup, source).await?,
            Step::DropNext(rollup) => self.drop_next(*rollup).await?,
            Step::Replace(rollups) => self.replace(rollups).await?,
            Step::DropFormer(rollup) => self.drop_former(*rollup).await?,
        }
        self.checkpoint(step.name())
    }

    pub(super) fn now(&self) -> TimestampMs {
        let (started_at, since) = self.started_at;
        started_at.saturating_add(i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// Ends the build if the caller does not want to continue.
    pub(super) fn checkpoint(&mut self, done: &str) -> Result<(), BuildError> {
        if (self.goes_on)(done) { Ok(()) } else { Err(BuildError::Interrupted) }
    }

    /// Inspects the database.
    pub(super) async fn inspect(&self) -> Result<Found, BuildError> {
        Ok(Found::inspect(self.client, self.definition).await?)
    }

    pub(super) fn template(&self) -> &'static str {
        match self.abilities.kind {
            Kind::Table => APACHE_ROLLUP,
            Kind::Aggregate => COMMUNITY_ROLLUP,
        }
    }

    async fn create(&mut self, rollup: Rollup) -> Result<(), BuildError> {
        let relation = rollup.relation();
        let note = match self.abilities.kind {
            Kind::Table => self.mark_stored(rollup),
            // What is known of an earlier one with this name does not apply to the new one.
            Kind::Aggregate => format!("DELETE FROM rollup_builds WHERE relation = '{relation}'"),
        };
        self.transact(&format!("{}; {note}", rollup.fill(self.template()))).await?;
        tracing::debug!(%relation, "created a rollup");
        Ok(())
    }

    /// Returns the end of the current bucket.
    pub(super) fn end_of_bucket(&self, tier: Tier) -> TimestampMs {
        bucket_start(self.now(), tier.bucket_ms()) + tier.bucket_ms()
    }

    /// Marks what was stored before the rollup existed, so that the maintenance rolls it up.
    fn mark_stored(&self, rollup: Rollup) -> String {
        let width = rollup.tier.bucket_ms();
        let end = self.end_of_bucket(rollup.tier);
        format!(
            "INSERT INTO rollup_changes (tier, start_ms, end_ms) \
             SELECT '{}', min(range_start_integer) / {width} * {width}, {end} \
             FROM timescaledb_information.chunks \
             WHERE (hypertable_schema, hypertable_name) = ('public', '{}') HAVING min(range_start_integer) < {end}",
            rollup.tier.name(),
            rollup.table.name
        )
    }

    async fn add_columns(
        &mut self,
        rollup: Rollup,
        columns: &[super::RollupColumn],
    ) -> Result<(), BuildError> {
        let relation = rollup.relation();
        let added: Vec<String> = columns
            .iter()
            .map(|column| match self.abilities.kind {
                Kind::Table => format!("ADD COLUMN IF NOT EXISTS {} {}", column.name, column.sql_type),
                Kind::Aggregate => format!(
                    "ADD COLUMN {} {} GENERATED ALWAYS AS ({}) STORED",
                    column.name,
                    column.sql_type,
                    rollup.expression(column)
                ),
            })
            .collect();
        let kind = kind_of_relation(self.abilities.kind);
        self.transact(&format!("ALTER {kind} {relation} {}", added.join(", "))).await?;
        tracing::info!(%relation, columns = columns.len(), "added columns to a rollup");
        Ok(())
    }

    async fn drop_columns(&mut self, rollup: Rollup, columns: &[String]) -> Result<(), BuildError> {
        let relation = rollup.relation();
        let dropped: Vec<String> =
            columns.iter().map(|column| format!("DROP COLUMN IF EXISTS {column}")).collect();
        self.transact(&format!("ALTER TABLE {relation} {}", dropped.join(", "))).await?;
        tracing::info!(%relation, columns = columns.len(), "removed columns from a rollup");
        Ok(())
    }

    /// As [`transact`].
    pub(super) async fn transact(&mut self, statements: &str) -> Result<(), BuildError> {
        transact(self.client, statements).await
    }
}

/// Runs statements in one transaction, again and again while the database's own jobs or somebody's transaction are in
/// their way.
pub(in crate::store) async fn transact(client: &Client, statements: &str) -> Result<(), BuildError> {
    let transaction = format!("BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; {statements}; COMMIT");
    let mut attempt = 1;
    loop {
        match client.batch_execute(&transaction).await {
            Err(error) if is_in_the_way(&error) && attempt < LOCK_ATTEMPTS_MAX => {
                client.batch_execute("ROLLBACK").await?;
                tracing::debug!(attempt, "waiting for others who use the rollups");
                attempt += 1;
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            result => return Ok(result?),
        }
    }
}

/// Returns a relation needed by a step.
pub(super) fn existing<'a>(found: &'a Found, name: &str) -> Result<&'a Relation, BuildError> {
    found.relations.get(name).ok_or_else(|| BuildError::Missing(name.to_owned()))
}

pub(super) fn kind_of_relation(kind: Kind) -> &'static str {
    match kind {
        Kind::Table => "TABLE",
        Kind::Aggregate => "MATERIALIZED VIEW",
    }
}

fn is_in_the_way(error: &tokio_postgres::Error) -> bool {
    let codes = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| codes.contains(code))
}
