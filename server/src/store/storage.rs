//! How much the stored metrics take, tier by tier, and what they will take.

use std::collections::HashMap;
use std::sync::PoisonError;

use super::edition::DatabaseInfo;
use super::watchdog::{self, UnhealthyJob};
use super::{Edition, Error, Store, edition};
use crate::domain::TimestampMs;
use crate::domain::storage::{Growth, RelationStorage};
use crate::domain::tier::DAY_MS;

/// A report that is older is made anew.
const REPORT_AGE_MS_MAX: i64 = 30_000;

/// Sizes and chunks of hypertables, and of those behind aggregates under the aggregates' names.
const RELATIONS: &str = "SELECT relation, \
         coalesce(hypertable_size(format('%I.%I', schema, name)::regclass), 0)::int8 AS bytes, \
         count(chunks.chunk_name)::int8 AS chunks, \
         (count(*) FILTER (WHERE chunks.is_compressed))::int8 AS columnstore_chunks, \
         min(chunks.range_start_integer)::int8 AS first, max(chunks.range_end_integer)::int8 AS last, \
         format('%I.%I', schema, name) AS hypertable \
     FROM (SELECT hypertable_name::text, hypertable_schema::text, hypertable_name::text \
           FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public' \
           UNION ALL \
           SELECT view_name::text, materialization_hypertable_schema::text, materialization_hypertable_name::text \
           FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public') \
         AS relations (relation, schema, name) \
     LEFT JOIN timescaledb_information.chunks AS chunks \
         ON (chunks.hypertable_schema, chunks.hypertable_name) = (schema, name) \
     GROUP BY relation, schema, name";
const AGENTS: &str = "SELECT count(*) FROM agents WHERE $1 <= last_seen_at";

pub(super) const STATEMENTS: &[&str] = &[RELATIONS, AGENTS];

/// What the stored metrics take.
#[derive(Clone, Debug)]
pub struct StorageReport {
    /// What the database is.
    pub database: DatabaseInfo,
    /// The database as a whole, in bytes.
    pub database_bytes: i64,
    /// One entry a table or aggregate of metrics.
    pub relations: Vec<RelationStorage>,
    /// Agents that reported within the last day.
    pub n_reporting_agents: i64,
    /// Jobs of the database that fail or do not run.
    pub unhealthy_jobs: Vec<UnhealthyJob>,
    /// When this was found out.
    pub measured_at: TimestampMs,
}

impl Store {
    /// What the stored metrics take; measured at most every half minute.
    ///
    /// # Errors
    /// When the database is away.
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
        let rows = connection.query(RELATIONS, &[]).await?;
        let mut by_relation: HashMap<String, tokio_postgres::Row> =
            rows.into_iter().map(|row| (row.get(0), row)).collect();
        let n_reporting_agents =
            connection.query(AGENTS, &[&(now - DAY_MS)]).await?.first().map_or(0, |row| row.get(0));
        let client = connection.client();
        let mut relations = Vec::new();
        for (relation, family, tier) in self.definition.relations() {
            let Some(row) = by_relation.remove(&relation) else { continue };
            let columnstore_chunks: i64 = row.get(3);
            let (before, after) = if database.edition == Edition::Community && 0 < columnstore_chunks {
                let sql = "SELECT before_compression_total_bytes::int8, after_compression_total_bytes::int8 \
                           FROM hypertable_compression_stats($1::text::regclass)";
                let stats = client.query_opt(sql, &[&row.get::<_, &str>(6)]).await?;
                stats.map_or((None, None), |stats| (stats.get(0), stats.get(1)))
            } else {
                (None, None)
            };
            relations.push(RelationStorage {
                family,
                tier,
                bytes: row.get(1),
                n_chunks: row.get(2),
                n_columnstore_chunks: columnstore_chunks,
                columnstore_bytes_before: before,
                columnstore_bytes_after: after,
                growth: Growth::new(row.get(1), row.get(4), row.get(5), now, retention.keep_ms(tier)),
                relation,
            });
        }
        let unhealthy_jobs = if database.edition == Edition::Community {
            watchdog::unhealthy_jobs(client).await?
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
