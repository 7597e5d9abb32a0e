//! From the Apache edition to Community: the tables of rollups become continuous aggregates, and every row is kept,
//! those too that are older than their source.

use tokio_postgres::Client;

use super::{Rollup, community};

/// What a table is called while it is being replaced.
fn set_aside(relation: &str) -> String {
    format!("{relation}_apache")
}

/// Whether any rollup is still a table.
pub(in crate::store) async fn is_needed(client: &Client) -> Result<bool, tokio_postgres::Error> {
    for rollup in Rollup::all() {
        if is_table(client, &rollup.relation()).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Replaces the tables of rollups, if there are any, by aggregates with the same rows. Interrupted at any point it can
/// be run again. Answers how many rows were moved.
pub(in crate::store) async fn from_apache(client: &mut Client) -> Result<u64, tokio_postgres::Error> {
    let mut n_rows = 0;
    for rollup in Rollup::all() {
        if !is_table(client, &rollup.relation()).await? {
            continue;
        }
        n_rows += replace(client, rollup).await?;
    }
    Ok(n_rows)
}

async fn is_table(client: &Client, relation: &str) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public' AND tablename = $1::text)";
    Ok(client.query_one(sql, &[&relation]).await?.get(0))
}

/// One rollup in one transaction. The rows go straight into the hypertable behind the aggregate; a refresh leaves
/// them alone as long as their part of the source is out of its window, and computes the same otherwise.
async fn replace(client: &mut Client, rollup: Rollup) -> Result<u64, tokio_postgres::Error> {
    let relation = rollup.relation();
    let aside = set_aside(&relation);
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(&format!(
            "ALTER TABLE {relation} RENAME TO {aside}; ALTER INDEX {relation}_pkey RENAME TO {aside}_pkey"
        ))
        .await?;
    transaction.batch_execute(&rollup.fill(community::ROLLUP)).await?;
    let sql = "SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) \
               FROM timescaledb_information.continuous_aggregates \
               WHERE view_schema = 'public' AND view_name = $1::text";
    let behind: String = transaction.query_one(sql, &[&relation]).await?.get(0);
    let columns = rollup.columns();
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let names = format!("bucket, {}, {}", rollup.key(), names.join(", "));
    let moved = transaction
        .execute(&format!("INSERT INTO {behind} ({names}) SELECT {names} FROM {aside}"), &[])
        .await?;
    transaction.batch_execute(&format!("DROP TABLE {aside}")).await?;
    transaction.commit().await?;
    Ok(moved)
}
