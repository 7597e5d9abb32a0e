//! What servers write down about themselves and about the space that metrics take.

use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::server_figures::ServerHistory;
use crate::domain::tier::{DAY_MS, HOUR_MS, bucket_start};

const ADD_SERVER: &str = "INSERT INTO server_history \
     SELECT * FROM jsonb_populate_record(NULL::server_history, $1::text::jsonb) ON CONFLICT DO NOTHING";
const HAS_STORAGE: &str = "SELECT EXISTS (SELECT FROM storage_history WHERE at = $1)";
const ADD_STORAGE: &str = "INSERT INTO storage_history (at, relation, family, tier, bytes, chunks, oldest_ms, \
         columnstore_chunks, columnstore_bytes_before, columnstore_bytes_after, database_bytes) \
     SELECT $1, relation, family, tier, bytes, chunks, oldest_ms, columnstore_chunks, columnstore_bytes_before, \
         columnstore_bytes_after, $3 \
     FROM jsonb_populate_recordset(NULL::storage_history, $2::text::jsonb) ON CONFLICT DO NOTHING";
const DELETE_SERVER: &str = "DELETE FROM server_history WHERE at < $1";
const DELETE_STORAGE: &str = "DELETE FROM storage_history WHERE at < $1 AND (at % 86400000 <> 0 OR at < $2)";

pub(super) const STATEMENTS: &[&str] = &[ADD_SERVER, HAS_STORAGE, ADD_STORAGE, DELETE_SERVER, DELETE_STORAGE];

/// How long the figures of servers are kept, and those of storage hour by hour; from then on one of each day is kept.
const KEEP_MS: i64 = 30 * DAY_MS;
const KEEP_STORAGE_MS: i64 = 800 * DAY_MS;

impl Store {
    /// Writes down what a server has done. A row with the same time is kept as it is.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn add_server_history(&self, row: &ServerHistory) -> Result<(), Error> {
        let row = serde_json::to_string(row).unwrap_or_default();
        self.connection().await?.execute(ADD_SERVER, &[&row]).await?;
        Ok(())
    }

    /// Writes down, once an hour, how much space metrics take. Returns whether this was the first time in the hour.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn add_storage_history(&self, now: TimestampMs) -> Result<bool, Error> {
        let at = bucket_start(now, HOUR_MS);
        if self.connection().await?.query(HAS_STORAGE, &[&at]).await?.iter().any(|row| row.get(0)) {
            return Ok(false);
        }
        let report = self.storage_report(now).await?;
        let relations: Vec<serde_json::Value> = report
            .relations
            .iter()
            .map(|relation| {
                serde_json::json!({
                    "relation": relation.relation,
                    "family": relation.subject,
                    "tier": relation.tier.name(),
                    "bytes": relation.bytes,
                    "chunks": relation.n_chunks,
                    "oldest_ms": relation.oldest,
                    "columnstore_chunks": relation.n_columnstore_chunks,
                    "columnstore_bytes_before": relation.columnstore.map(|columns| columns.bytes_before),
                    "columnstore_bytes_after": relation.columnstore.map(|columns| columns.bytes_after),
                })
            })
            .collect();
        let relations = serde_json::Value::from(relations).to_string();
        let connection = self.connection().await?;
        let n_added = connection.execute(ADD_STORAGE, &[&at, &relations, &report.database_bytes]).await?;
        Ok(0 < n_added)
    }

    /// Deletes the figures of servers older than 30 days; of storage, from then on, all but one of each day, and after
    /// 800 days that one. Returns how many rows.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_old_history(&self, now: TimestampMs) -> Result<u64, Error> {
        let connection = self.connection().await?;
        let before = now - KEEP_MS;
        let n_rows = connection.execute(DELETE_SERVER, &[&before]).await?;
        Ok(n_rows + connection.execute(DELETE_STORAGE, &[&before, &(now - KEEP_STORAGE_MS)]).await?)
    }
}
