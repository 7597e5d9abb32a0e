//! Rollups on the Apache edition: plain hypertables, which the server fills by marks (see [`super::marks`]).

use tokio_postgres::Client;

use super::Rollup;
use super::marks::{self, Mark};
use super::span::Span;
use crate::domain::tier::Tier;

const ROLLUP: &str = include_str!("../../../../sql/editions/apache/rollup.sql");
const WATERMARK: &str = include_str!("../../../../sql/editions/apache/watermark.sql");

/// Makes the tables that are missing. Answers whether there were none at all.
pub(in crate::store) async fn create_missing(client: &mut Client) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT count(*) FROM timescaledb_information.hypertables \
               WHERE hypertable_schema = 'public' AND hypertable_name = 'cpu_metrics_1m'";
    let is_new = client.query_one(sql, &[]).await?.get::<_, i64>(0) == 0;
    let transaction = client.transaction().await?;
    transaction.batch_execute(WATERMARK).await?;
    for rollup in Rollup::all() {
        transaction.batch_execute(&rollup.fill(ROLLUP)).await?;
    }
    transaction.commit().await?;
    Ok(is_new)
}

/// Marks everything that was stored before there were rollups.
pub(in crate::store) async fn mark_everything(client: &Client) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT min(ts), max(ts) FROM (\
                   SELECT ts FROM cpu_metrics UNION ALL SELECT ts FROM memory_metrics UNION ALL \
                   SELECT ts FROM disk_metrics UNION ALL SELECT ts FROM network_metrics UNION ALL \
                   SELECT ts FROM load_metrics) AS samples";
    let row = client.query_one(sql, &[]).await?;
    if let (Some(first), Some(last)) = (row.get::<_, Option<i64>>(0), row.get::<_, Option<i64>>(1)) {
        let span = Span::of_bucket(first, Tier::OneMinute).to(Span::of_bucket(last, Tier::OneMinute));
        marks::insert(client, Tier::OneMinute, &[Mark { span, agent_key: None }]).await?;
    }
    Ok(())
}
