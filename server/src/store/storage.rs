//! How much space the stored metrics take in each tier, and will take.

use std::collections::HashMap;
use std::sync::PoisonError;

use tokio_postgres::Client;

use super::rollup::policies;
use super::storage_report::StorageReport;
use super::{Edition, Error, Store, edition, watchdog};
use crate::domain::TimestampMs;
use crate::domain::storage::{Compression, Growth, RelationStorage, Stored, StoredChunk};
use crate::domain::tier::DAY_MS;

/// An older report is made anew.
const REPORT_AGE_MS_MAX: i64 = 30_000;

/// Hypertables; those behind aggregates under the aggregates' names.
macro_rules! relations {
    () => {
        "(SELECT hypertable_name::text, hypertable_schema::text, hypertable_name::text \
           FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public' \
           UNION ALL \
           SELECT view_name::text, materialization_hypertable_schema::text, materialization_hypertable_name::text \
           FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public') \
         AS relations (relation, schema, name)"
    };
}

/// Sizes and number of chunks of relations.
const RELATIONS: &str = concat!(
    "SELECT relation, \
         coalesce(hypertable_size(format('%I.%I', schema, name)::regclass), 0)::int8 AS bytes, \
         count(chunks.chunk_name)::int8 AS chunks, \
         (count(*) FILTER (WHERE chunks.is_compressed))::int8 AS columnstore_chunks, \
         coalesce(sum(greatest(least(chunks.range_end_integer, $1) - chunks.range_start_integer, 0)), 0)::int8 \
             AS covered_ms, \
         format('%I.%I', schema, name) AS hypertable, min(chunks.range_start_integer)::int8 AS oldest \
     FROM ",
    relations!(),
    " LEFT JOIN timescaledb_information.chunks AS chunks \
         ON (chunks.hypertable_schema, chunks.hypertable_name) = (schema, name) \
     GROUP BY relation, schema, name"
);
/// The chunks of relations. The number of rows is what was compressed, or what the planner last knew.
const CHUNKS: &str = concat!(
    "SELECT relation, chunks.range_start_integer, chunks.range_end_integer, coalesce(sizes.total_bytes, 0)::int8, \
         coalesce(compressed.numrows_pre_compression, greatest(class.reltuples, 0), 0)::int8 \
     FROM ",
    relations!(),
    " CROSS JOIN LATERAL chunks_detailed_size(format('%I.%I', schema, name)::regclass) AS sizes \
     JOIN timescaledb_information.chunks AS chunks \
         ON (chunks.chunk_schema, chunks.chunk_name) = (sizes.chunk_schema, sizes.chunk_name) \
     JOIN _timescaledb_catalog.chunk AS entry \
         ON (entry.schema_name, entry.table_name) = (chunks.chunk_schema, chunks.chunk_name) \
     LEFT JOIN _timescaledb_catalog.compression_chunk_size AS compressed ON compressed.chunk_id = entry.id \
     LEFT JOIN pg_class AS class \
         ON class.oid = to_regclass(format('%I.%I', chunks.chunk_schema, chunks.chunk_name))"
);
const AGENTS: &str = "SELECT count(*) FROM agents WHERE $1 <= last_seen_at";

pub(super) const STATEMENTS: &[&str] = &[RELATIONS, CHUNKS, AGENTS];

impl Store {
    /// Returns the space taken by stored metrics; measured at most every half minute.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn storage_report(&self, now: TimestampMs) -> Result<StorageReport, Error> {
        let last = self.storage_report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(last) = last
            && now - last.measured_at < REPORT_AGE_MS_MAX
        {
            return Ok(last);
        }
        let report = self.measure_storage(now).await?;
        *self.storage_report.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.clone());
        Ok(report)
    }

    async fn measure_storage(&self, now: TimestampMs) -> Result<StorageReport, Error> {
        let retention = self.retention().await?;
        let mut connection = self.connection().await?;
        let database = edition::inspect(&mut connection).await?;
        let rows = connection.query(RELATIONS, &[&now]).await?;
        let mut by_relation: HashMap<String, tokio_postgres::Row> =
            rows.into_iter().map(|row| (row.get(0), row)).collect();
        let mut chunks = chunks(&connection.query(CHUNKS, &[]).await?);
        let n_reporting_agents =
            connection.query(AGENTS, &[&(now - DAY_MS)]).await?.first().map_or(0, |row| row.get(0));
        let client = connection.client();
        let mut found = Vec::new();
        for (relation, subject, tier) in self.definition.relations() {
            let Some(row) = by_relation.remove(&relation) else { continue };
            let columnstore = if database.edition == Edition::Community && 0 < row.get::<_, i64>(3) {
                columnstore(client, row.get(5)).await?
            } else {
                None
            };
            found.push((relation, subject, tier, row, columnstore));
        }
        // A relation not compressed yet is expected to compress like the others.
        let all = Compression::sum(found.iter().filter_map(|(.., columnstore)| *columnstore));
        let mut relations = Vec::new();
        for (relation, subject, tier, row, columnstore) in found {
            let becomes_columns = columnstore.or(all).map(|columns| (policies::rows_ms(tier), columns));
            let bytes = row.get(1);
            let stored = Stored {
                bytes,
                covered_ms: row.get(4),
                columnstore,
                becomes_columns,
                keep_ms: retention.keep_ms(tier),
            };
            let (n_chunks, n_columnstore_chunks) = (row.get(2), row.get(3));
            relations.push(RelationStorage {
                chunks: chunks.remove(&relation).unwrap_or_default(),
                relation,
                subject,
                tier,
                bytes,
                n_chunks,
                oldest: row.get(6),
                n_columnstore_chunks,
                columnstore,
                growth: Growth::of(&stored),
                stored,
            });
        }
        let unhealthy_jobs = if database.edition == Edition::Community {
            watchdog::watch(client, &self.definition, now).await?.unhealthy
        } else {
            Vec::new()
        };
        let row = client.query_one("SELECT pg_database_size(current_database())", &[]).await?;
        let database_bytes = row.get(0);
        Ok(StorageReport {
            database,
            database_bytes,
            relations,
            n_reporting_agents,
            unhealthy_jobs,
            measured_at: now,
        })
    }
}

/// Returns the chunks of each relation.
fn chunks(rows: &[tokio_postgres::Row]) -> HashMap<String, Vec<StoredChunk>> {
    let mut chunks: HashMap<String, Vec<StoredChunk>> = HashMap::new();
    for row in rows {
        let (Some(start), Some(end)) = (row.get(1), row.get(2)) else { continue };
        let chunk = StoredChunk { start, end, bytes: row.get(3), rows: row.get(4) };
        chunks.entry(row.get(0)).or_default().push(chunk);
    }
    chunks
}

/// Returns the compression achieved in a hypertable's compressed chunks.
async fn columnstore(
    client: &Client,
    hypertable: &str,
) -> Result<Option<Compression>, tokio_postgres::Error> {
    let sql = "SELECT before_compression_total_bytes::int8, after_compression_total_bytes::int8 \
               FROM hypertable_compression_stats($1::text::regclass)";
    let row = client.query_opt(sql, &[&hypertable]).await?;
    let bytes = row.map_or((None, None), |row| (row.get(0), row.get(1)));
    Ok(match bytes {
        (Some(bytes_before), Some(bytes_after)) => Some(Compression { bytes_before, bytes_after }),
        _ => None,
    })
}
