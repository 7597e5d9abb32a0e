//! What the Community edition needs besides the rollups themselves, and the peculiarities of its aggregates.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::{Definition, series_key};

const RAW: &str = include_str!("../../../../sql/editions/community/raw.sql");
/// Refreshes find "now" through the raw table, but columnstore policies need it on the hypertable behind the aggregate.
const SET_NOW: &str = "SELECT set_integer_now_func(\
         format('%I.%I', dimensions.hypertable_schema, dimensions.hypertable_name)::regclass, 'pika_now_ms') \
     FROM timescaledb_information.dimensions AS dimensions \
     JOIN timescaledb_information.continuous_aggregates AS aggregates \
         ON (materialization_hypertable_schema, materialization_hypertable_name) \
            = (dimensions.hypertable_schema, dimensions.hypertable_name) \
     WHERE integer_now_func IS NULL";
const ROW_STORES: &str = "SELECT hypertable_name::text FROM timescaledb_information.hypertables \
     WHERE hypertable_schema = 'public' AND NOT compression_enabled";

/// Keeps the rest of the transaction out of the aggregates' invalidation log: no refresh looks at what it changes.
pub(in crate::store) const SKIP_INVALIDATION: &str = "SET LOCAL timescaledb.skip_cagg_invalidation = on;";

/// Prepares raw tables and aggregates for policies, unless that was done before.
pub(in crate::store) async fn prepare_for_policies(
    client: &Client,
    definition: &Definition,
) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(SET_NOW).await?;
    let row_stores: Vec<String> = client.query(ROW_STORES, &[]).await?.iter().map(|row| row.get(0)).collect();
    for table in definition.tables() {
        if row_stores.iter().any(|relation| relation == table.name) {
            let sql = RAW.replace("{relation}", table.name).replace("{key}", &series_key(table));
            client.batch_execute(&sql).await?;
        }
    }
    Ok(())
}

/// Returns the hypertables that hold the aggregates' rows, by aggregate.
pub(super) async fn hypertables_behind(
    client: &Client,
) -> Result<HashMap<String, String>, tokio_postgres::Error> {
    let sql = "SELECT view_name::text, \
                   format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) \
               FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public'";
    Ok(client.query(sql, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Returns whether the database knows [`SKIP_INVALIDATION`]: TimescaleDB 2.28 and newer.
pub(in crate::store) async fn can_skip_invalidation(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT current_setting('timescaledb.skip_cagg_invalidation', true) IS NOT NULL";
    Ok(client.query_one(sql, &[]).await?.get(0))
}
