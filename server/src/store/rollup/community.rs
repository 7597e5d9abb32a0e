//! Rollups on the Community edition: continuous aggregates. Made at every start where they are missing.

use tokio_postgres::Client;

use super::{Rollup, series_key};
use crate::domain::TimestampMs;
use crate::domain::family::Family;
use crate::domain::tier::{DAY_MS, bucket_start};

pub(super) const ROLLUP: &str = include_str!("../../../../sql/editions/community/rollup.sql");
const RAW: &str = include_str!("../../../../sql/editions/community/raw.sql");
const WATERMARK: &str = include_str!("../../../../sql/editions/community/watermark.sql");

/// Makes the aggregates that are missing. Answers those, so that what was stored before can be rolled up.
pub(in crate::store) async fn create_missing(
    client: &mut Client,
) -> Result<Vec<Rollup>, tokio_postgres::Error> {
    client.batch_execute(WATERMARK).await?;
    let sql = "SELECT view_name::text FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public'";
    let existing: Vec<String> = client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    let mut created = Vec::new();
    for rollup in Rollup::all() {
        if existing.contains(&rollup.relation()) {
            continue;
        }
        let transaction = client.transaction().await?;
        transaction.batch_execute(&rollup.fill(ROLLUP)).await?;
        transaction.commit().await?;
        created.push(rollup);
    }
    // Refreshes find "now" through the raw table, but columnstore policies want it of the hypertable behind the view.
    client
        .batch_execute(
            "SELECT set_integer_now_func(\
                 format('%I.%I', dimensions.hypertable_schema, dimensions.hypertable_name)::regclass, 'pika_now_ms') \
             FROM timescaledb_information.dimensions AS dimensions \
             JOIN timescaledb_information.continuous_aggregates AS aggregates \
                 ON (materialization_hypertable_schema, materialization_hypertable_name) \
                    = (dimensions.hypertable_schema, dimensions.hypertable_name) \
             WHERE integer_now_func IS NULL",
        )
        .await?;
    let sql = "SELECT hypertable_name::text FROM timescaledb_information.hypertables \
               WHERE hypertable_schema = 'public' AND NOT compression_enabled";
    let row_stores: Vec<String> = client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    for family in Family::ALL {
        if row_stores.iter().any(|relation| relation == family.table()) {
            let sql = RAW.replace("{relation}", family.table()).replace("{key}", &series_key(family));
            client.batch_execute(&sql).await?;
        }
    }
    Ok(created)
}

/// Rolls up, once, what was stored before these aggregates were made. Only for aggregates that are empty: a refresh of
/// everything would erase buckets that have outlived their source.
pub(in crate::store) async fn backfill(
    client: &Client,
    created: &[Rollup],
    now: TimestampMs,
) -> Result<(), tokio_postgres::Error> {
    for rollup in created {
        let relation = rollup.relation();
        let sql = format!("SELECT min(ts) FROM {}", rollup.family.table());
        let Some(first) = client.query_one(&sql, &[]).await?.get::<_, Option<i64>>(0) else { continue };
        let start = bucket_start(first, DAY_MS);
        let end = bucket_start(now - rollup.tier.refresh_end_ms(), rollup.tier.bucket_ms());
        if start < end {
            let sql = format!("CALL refresh_continuous_aggregate('{relation}', {start}::int8, {end}::int8)");
            client.batch_execute(&sql).await?;
        }
    }
    Ok(())
}
