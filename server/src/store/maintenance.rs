//! Keeps the rollups and the retention of either edition: set up at start, looked after while the server runs.

use tokio_postgres::{Client, GenericClient};

use super::edition::{self, Edition};
use super::rollup::{self, apache, community, convert, policies};
use super::watchdog::{self, UnhealthyJob};
use super::{Error, Store, audit, brin};
use crate::domain::TimestampMs;
use crate::domain::audit::AuditEvent;
use crate::domain::retention::Retention;
use crate::domain::tier::Tier;

/// Held by the one server that does the maintenance. The number is arbitrary.
const ADVISORY_LOCK: i64 = 0x7069_6b61_0002;

const FIND_RETENTION: &str = "SELECT tier, keep_ms FROM retention_settings";
const SET_RETENTION: &str = "UPDATE retention_settings SET keep_ms = $2 WHERE tier = $1";

pub(super) const STATEMENTS: &[&str] = &[FIND_RETENTION, SET_RETENTION];

/// What a round of maintenance did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Another server has the maintenance; nothing was done.
    pub is_elsewhere: bool,
    /// Apache edition: changed spans that were rolled up.
    pub changes_rolled_up: u64,
    /// Chunks that were dropped here. On the Community edition that is the policies' work, unless they do not run.
    pub chunks_dropped: u64,
    /// Community edition: jobs that do not do their work, or may soon not.
    pub unhealthy_jobs: Vec<UnhealthyJob>,
    /// Community edition: jobs that do their work although the database counts them as failed.
    pub misreported_jobs: usize,
}

/// Sets rollups and policies up for the edition at hand. Runs under the lock of the migrations.
pub(super) async fn set_up(
    client: &mut Client,
    edition: Edition,
    now: TimestampMs,
) -> Result<(), tokio_postgres::Error> {
    let retention = read_retention(client).await?;
    match edition {
        Edition::Apache => {
            if apache::create_missing(client).await? {
                apache::mark_everything(client).await?;
            }
        }
        Edition::Community => {
            if convert::is_needed(client).await? {
                // What the Apache edition had still to do may be out of reach of a refresh.
                apache::roll_up(client, now, |tier| starts_at(&retention, tier, now)).await?;
                let n_rows = convert::from_apache(client).await?;
                client.batch_execute("DELETE FROM rollup_changes").await?;
                tracing::info!(n_rows, "turned the Apache edition's rollups into continuous aggregates");
            }
            let created = community::create_missing(client).await?;
            community::backfill(client, &created, now).await?;
            reconcile_policies(client).await?;
        }
    }
    Ok(())
}

impl Store {
    /// How long each tier is kept.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn retention(&self) -> Result<Retention, Error> {
        let mut connection = self.connection().await?;
        Ok(read_retention(connection.client()).await?)
    }

    /// Changes how long each tier is kept, and the database's policies with it, in one transaction. The caller has
    /// checked it.
    ///
    /// # Errors
    /// When the database is away or refuses; nothing has changed then, unless the connection broke during the commit
    /// itself.
    pub async fn set_retention(&self, retention: &Retention, event: &AuditEvent) -> Result<(), Error> {
        let mut connection = self.dedicated_connection().await?;
        let edition = edition::inspect(&mut connection).await?.edition;
        let transaction = connection.client().transaction().await?;
        policies::hold(&transaction).await?;
        for tier in Tier::ALL {
            transaction.execute(SET_RETENTION, &[&tier.name(), &retention.keep_ms(tier)]).await?;
        }
        audit::insert(&transaction, event).await?;
        if edition == Edition::Community {
            policies::apply(&transaction, retention).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// One round of maintenance, unless another server has it: on the Apache edition, rolls up what has changed and
    /// drops what has expired; on the Community edition, looks whether the policies do that, and drops what has expired
    /// if they do not.
    ///
    /// # Errors
    /// When the database is away or refuses; what was done until then is kept and complete in itself.
    pub async fn maintain(&self, now: TimestampMs) -> Result<Maintained, Error> {
        let mut connection = self.dedicated_connection().await?;
        let edition = edition::inspect(&mut connection).await?.edition;
        let client = connection.client();
        let locked = client.query_one("SELECT pg_try_advisory_lock($1)", &[&ADVISORY_LOCK]).await?;
        if !locked.get::<_, bool>(0) {
            return Ok(Maintained { is_elsewhere: true, ..Maintained::default() });
        }
        let maintained = maintain(client, edition, now).await;
        // The end of the connection would give the lock back, too, but not before the next round may ask for it.
        let unlocked = client.execute("SELECT pg_advisory_unlock($1)", &[&ADVISORY_LOCK]).await;
        // Where both failed, the first one says why.
        let maintained = maintained?;
        unlocked?;
        Ok(maintained)
    }
}

async fn maintain(
    client: &mut Client,
    edition: Edition,
    now: TimestampMs,
) -> Result<Maintained, tokio_postgres::Error> {
    let mut maintained = Maintained::default();
    let retention = read_retention(client).await?;
    brin::summarize(client, now).await?;
    match edition {
        Edition::Apache => {
            let source_starts_at = |tier| starts_at(&retention, tier, now);
            maintained.changes_rolled_up = apache::roll_up(client, now, source_starts_at).await?;
            maintained.chunks_dropped = drop_expired(client, &retention, now, |_| true).await?;
        }
        Edition::Community => {
            reconcile_policies(client).await?;
            let watched = watchdog::watch(client, now).await?;
            maintained.unhealthy_jobs = watched.unhealthy;
            maintained.misreported_jobs = watched.n_misreported;
            let stopped: Vec<&str> = maintained
                .unhealthy_jobs
                .iter()
                .filter(|job| job.procedure == policies::RETENTION)
                .map(|job| job.relation.as_str())
                .collect();
            let has_stopped = |relation: &str| stopped.contains(&relation);
            maintained.chunks_dropped = drop_expired(client, &retention, now, has_stopped).await?;
        }
    }
    Ok(maintained)
}

/// Community edition: brings the policies to what the settings ask for, whoever has changed either.
async fn reconcile_policies(client: &mut Client) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    policies::hold(&transaction).await?;
    let retention = read_retention(&transaction).await?;
    let n_changed = policies::apply(&transaction, &retention).await?;
    transaction.commit().await?;
    if 0 < n_changed {
        tracing::info!(n_changed, "brought the database's policies up to date");
    }
    Ok(())
}

/// What is older may have been dropped already.
fn starts_at(retention: &Retention, tier: Tier, now: TimestampMs) -> TimestampMs {
    retention.keep_ms(tier).map_or(i64::MIN, |keep_ms| now.saturating_sub(keep_ms))
}

async fn read_retention(client: &impl GenericClient) -> Result<Retention, tokio_postgres::Error> {
    let mut retention = Retention { raw_ms: None, one_minute_ms: None, one_hour_ms: None, one_day_ms: None };
    for row in client.query(FIND_RETENTION, &[]).await? {
        if let Some(tier) = Tier::parse(row.get(0)) {
            retention.set_keep_ms(tier, row.get(1));
        }
    }
    Ok(retention)
}

/// Drops the chunks of the wanted relations that hold nothing but expired rows.
async fn drop_expired(
    client: &Client,
    retention: &Retention,
    now: TimestampMs,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<u64, tokio_postgres::Error> {
    let mut n_chunks = 0;
    for (relation, _, tier) in rollup::relations() {
        if let Some(keep_ms) = retention.keep_ms(tier)
            && is_wanted(&relation)
        {
            let sql = format!("SELECT count(*) FROM drop_chunks('{relation}', older_than => $1::int8)");
            n_chunks += client
                .query_one(&sql, &[&now.saturating_sub(keep_ms)])
                .await?
                .get::<_, i64>(0)
                .unsigned_abs();
        }
    }
    Ok(n_chunks)
}
