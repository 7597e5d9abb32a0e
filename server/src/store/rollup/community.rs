//! Rollups on the Community edition: continuous aggregates. Made at every start where they are missing.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::{Rollup, series_key};
use crate::domain::family::Family;

pub(super) const ROLLUP: &str = include_str!("../../../../sql/editions/community/rollup.sql");
const RAW: &str = include_str!("../../../../sql/editions/community/raw.sql");
const WATERMARK: &str = include_str!("../../../../sql/editions/community/watermark.sql");

/// Keeps the rest of the transaction out of the aggregates' books: no refresh looks at what it changes.
pub(in crate::store) const SKIP_INVALIDATION: &str = "SET LOCAL timescaledb.skip_cagg_invalidation = on;";

/// Makes the aggregates that are missing. They are empty: maintenance catches up with what was stored before.
pub(in crate::store) async fn create_missing(client: &mut Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(WATERMARK).await?;
    let sql = "SELECT view_name::text FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public'";
    let existing: Vec<String> = client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    for rollup in Rollup::all() {
        if existing.contains(&rollup.relation()) {
            continue;
        }
        let transaction = client.transaction().await?;
        transaction.batch_execute(&rollup.fill(ROLLUP)).await?;
        transaction.commit().await?;
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
    Ok(())
}

/// The hypertables that hold the aggregates' rows, by aggregate.
pub(super) async fn hypertables_behind(
    client: &Client,
) -> Result<HashMap<String, String>, tokio_postgres::Error> {
    let sql = "SELECT view_name::text, \
                   format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) \
               FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public'";
    Ok(client.query(sql, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Whether the database knows [`SKIP_INVALIDATION`]: TimescaleDB 2.28 and newer.
pub(in crate::store) async fn can_skip_invalidation(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT current_setting('timescaledb.skip_cagg_invalidation', true) IS NOT NULL";
    Ok(client.query_one(sql, &[]).await?.get(0))
}
