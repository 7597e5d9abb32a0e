//! Maintains rollups and retention in both editions while the server runs.

use tokio_postgres::{Client, Row};

use super::connection::Connection;
use super::edition::{self, Edition};
use super::expiry::{self, HeldBack};
use super::rollup::catch_up::{self, CaughtUp, RefreshFailure};
use super::rollup::{Definition, policies, roll};
use super::watchdog::{self, UnhealthyJob};
use super::{Error, Store, alert_health, audit, brin, grafana, lock};
use crate::domain::TimestampMs;
use crate::domain::audit::AuditEvent;
use crate::domain::retention::Retention;
use crate::domain::tier::Tier;

const FIND_RETENTION: &str = "SELECT tier, keep_ms FROM retention_settings";
const SET_RETENTION: &str = "UPDATE retention_settings SET keep_ms = $2 WHERE tier = $1";

pub(super) const STATEMENTS: &[&str] = &[FIND_RETENTION, SET_RETENTION];

/// The result of a round of maintenance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Whether another server does the maintenance, so nothing was done.
    pub is_elsewhere: bool,
    /// Number of changed spans rolled up.
    pub changes_rolled_up: u64,
    /// Community edition: whether time ran out before everything outside the policies was refreshed; the next round
    /// continues.
    pub has_more: bool,
    /// Community edition: rollups outside the policies that could not be refreshed.
    pub refresh_failures: Vec<RefreshFailure>,
    /// Number of chunks dropped.
    pub chunks_dropped: u64,
    /// Expired chunks kept because the rollups built from them are not complete.
    pub held_back: Vec<HeldBack>,
    /// Community edition: jobs that do not do their work, or soon may not.
    pub unhealthy_jobs: Vec<UnhealthyJob>,
    /// Statements of the role that reads for Grafana, which took too long and were ended.
    pub readers_ended: i64,
    /// Community edition: jobs that do their work although the database counts them as failed.
    pub misreported_jobs: usize,
}

impl Store {
    /// Returns how long each tier is kept.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn retention(&self) -> Result<Retention, Error> {
        find_retention(&*self.connection().await?).await
    }

    /// Changes how long each tier is kept; the next round of maintenance applies it. The caller has validated it.
    ///
    /// # Errors
    /// If the database is unavailable or rejects the change; nothing has changed then, unless the connection broke
    /// during the commit itself.
    pub async fn set_retention(&self, retention: &Retention, event: &AuditEvent) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        for tier in Tier::ALL {
            transaction.execute(SET_RETENTION, &[&tier.name(), &retention.keep_ms(tier)]).await?;
        }
        audit::insert(&transaction, event).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Runs one round of maintenance, unless another server does: rolls up what is marked, in the Community edition
    /// also what the policies do not reach, and checks that they run; then drops what is expired and rolled up.
    ///
    /// # Errors
    /// If the database is unavailable or rejects a statement; what was done until then is kept and consistent.
    pub async fn maintain(&self, now: TimestampMs) -> Result<Maintained, Error> {
        let mut connection = self.dedicated_connection().await?;
        let edition = edition::inspect(&mut connection).await?.edition;
        let client = connection.client();
        if !lock::MAINTENANCE.try_hold(client).await? {
            return Ok(Maintained { is_elsewhere: true, ..Maintained::default() });
        }
        let maintained = maintain(client, &self.definition, &self.caught_up, edition, now).await;
        let maintained = match maintained {
            Ok(maintained) => {
                let noted =
                    alert_health::note_maintenance(client, maintained.unhealthy_jobs.len(), now).await;
                noted.map(|()| maintained)
            }
            Err(error) => Err(error),
        };
        // The end of the connection would give the lock back, too, but not before the next round may ask for it.
        let released = lock::MAINTENANCE.release(client).await;
        // If both failed, the first error is the cause.
        let maintained = maintained?;
        released?;
        Ok(maintained)
    }
}

async fn maintain(
    client: &mut Client,
    definition: &Definition,
    caught_up: &CaughtUp,
    edition: Edition,
    now: TimestampMs,
) -> Result<Maintained, tokio_postgres::Error> {
    let rolled_up = roll::roll_up(client, definition, edition, now).await;
    // Nothing is dropped before it is rolled up, so expiry need not wait for a fix.
    let maintained = look_after(client, definition, caught_up, edition, now).await;
    let changes_rolled_up = rolled_up?;
    Ok(Maintained { changes_rolled_up, ..maintained? })
}

async fn look_after(
    client: &mut Client,
    definition: &Definition,
    caught_up: &CaughtUp,
    edition: Edition,
    now: TimestampMs,
) -> Result<Maintained, tokio_postgres::Error> {
    let mut maintained = Maintained::default();
    brin::summarize(client, now).await?;
    maintained.readers_ended = grafana::role::end_long_statements(client).await?;
    if edition == Edition::Community {
        reconcile_policies(client, definition).await?;
        let outcome = catch_up::catch_up(client, definition, caught_up, now).await?;
        maintained.has_more = outcome.has_more;
        maintained.refresh_failures = outcome.failures;
        let watched = watchdog::watch(client, definition, now).await?;
        maintained.unhealthy_jobs = watched.unhealthy;
        maintained.misreported_jobs = watched.n_misreported;
    }
    let retention = retention(&client.query(FIND_RETENTION, &[]).await?);
    let expired = expiry::drop_expired(client, edition, definition, &retention, now).await?;
    maintained.chunks_dropped = expired.chunks_dropped;
    maintained.held_back = expired.held_back;
    Ok(maintained)
}

/// Community edition: makes the policies match the definition, whoever has changed them.
pub(super) async fn reconcile_policies(
    client: &mut Client,
    definition: &Definition,
) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let n_changed = policies::apply(&transaction, definition).await?;
    transaction.commit().await?;
    if 0 < n_changed {
        tracing::info!(n_changed, "brought the database's policies up to date");
    }
    Ok(())
}

/// Returns how long each tier is kept.
pub(super) async fn find_retention(connection: &Connection) -> Result<Retention, Error> {
    Ok(retention(&connection.query(FIND_RETENTION, &[]).await?))
}

fn retention(rows: &[Row]) -> Retention {
    let mut retention = Retention { raw_ms: None, one_minute_ms: None, one_hour_ms: None, one_day_ms: None };
    for row in rows {
        if let Some(tier) = Tier::parse(row.get(0)) {
            retention.set_keep_ms(tier, row.get(1));
        }
    }
    retention
}
