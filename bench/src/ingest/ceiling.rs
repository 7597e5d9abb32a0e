//! The database's ceiling: binary COPY of the same rows that the server stored, in the same order, into copies of its
//! tables, without other load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, TryStreamExt as _};
use pika_server::domain::family::Table;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Statement};

use crate::database;
use crate::error::BenchError;
use crate::load::progress;

/// The header of a binary COPY, see <https://www.postgresql.org/docs/current/sql-copy.html>.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The trailer of a binary COPY.
const TRAILER: &[u8] = &[0xff, 0xff];
/// Size of the pieces in which data is sent, as by the server.
const PIECE_BYTES: usize = 128 * 1024;
/// Settings for reading rows in their order on disk, which is the order of arrival.
const AS_THEY_LIE: &str = "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off; \
     SET max_parallel_workers_per_gather = 0; SET synchronize_seqscans = off";

/// The measured ceiling.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ceiling {
    pub(crate) rows: u64,
    pub(crate) rows_per_transaction: u32,
    pub(crate) connections: u16,
    pub(crate) seconds: f64,
    pub(crate) rows_per_second: f64,
}

/// Options of the measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct CeilingOptions {
    pub(super) connections: u16,
    pub(super) rows_per_transaction: u32,
    /// Maximum number of rows, which are held in memory.
    pub(super) rows_max: u32,
    /// The range of times whose rows are used.
    pub(super) start: i64,
    pub(super) end: i64,
}

/// The rows of one transaction: the COPY data of each table.
type Transaction = Vec<Bytes>;

/// Measures the ceiling. The copies already contain the rows from before the range, as the tables did.
pub(super) async fn measure(url: &str, options: CeilingOptions) -> Result<Ceiling, BenchError> {
    let client = database::connect(url).await?;
    let (transactions, n_rows) = read(&client, options).await?;
    for table in Table::ALL {
        make_copy(&client, table, options.start).await?;
    }
    if may_checkpoint(&client).await? {
        // So that none happens during the measurement.
        client.batch_execute("CHECKPOINT").await?;
    } else {
        progress(
            "this role may not CHECKPOINT (pg_checkpoint): one may happen during the measurement of the ceiling",
        );
    }
    let transactions = Arc::new(transactions);
    let next = Arc::new(AtomicUsize::new(0));
    let mut writers = Vec::new();
    for _ in 0..options.connections {
        writers.push(Writer::connect(url).await?);
    }
    let started_at = Instant::now();
    let mut tasks = JoinSet::new();
    for mut writer in writers {
        let (transactions, next) = (Arc::clone(&transactions), Arc::clone(&next));
        tasks.spawn(async move {
            while let Some(transaction) = transactions.get(next.fetch_add(1, Ordering::Relaxed)) {
                writer.write(transaction).await?;
            }
            Ok::<(), BenchError>(())
        });
    }
    while let Some(written) = tasks.join_next().await {
        written??;
    }
    let seconds = started_at.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rows_per_second = n_rows as f64 / seconds;
    Ok(Ceiling {
        rows: n_rows,
        rows_per_transaction: options.rows_per_transaction,
        connections: options.connections,
        seconds,
        rows_per_second,
    })
}

/// Returns whether the role may force a checkpoint: a superuser, or a member of `pg_checkpoint`.
async fn may_checkpoint(client: &Client) -> Result<bool, BenchError> {
    let sql = "SELECT pg_has_role('pg_checkpoint', 'USAGE')";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

/// Creates a table like the server's, with indexes and chunks, and the rows from before `start`.
async fn make_copy(client: &Client, table: &Table, start: i64) -> Result<(), BenchError> {
    let table = table.name;
    let sql = "SELECT integer_interval FROM timescaledb_information.dimensions \
               WHERE hypertable_schema = 'public' AND hypertable_name = $1";
    let chunk_ms: i64 = client.query_one(sql, &[&table]).await?.get(0);
    let sql = format!(
        "CREATE TABLE bench.{table} (LIKE public.{table} INCLUDING ALL); \
         SELECT create_hypertable('bench.{table}', by_range('ts', BIGINT '{chunk_ms}'), create_default_indexes => false); \
         INSERT INTO bench.{table} SELECT * FROM public.{table} WHERE ts < {start}"
    );
    client.batch_execute(&sql).await?;
    Ok(())
}

/// Reads the rows of the range, divided into transactions with about the same mix of tables. Also returns their number.
async fn read(client: &Client, options: CeilingOptions) -> Result<(Vec<Transaction>, u64), BenchError> {
    client.batch_execute(AS_THEY_LIE).await?;
    let mut counts = Vec::new();
    for table in Table::ALL {
        let sql = format!("SELECT count(*) FROM {} WHERE $1 <= ts AND ts < $2", table.name);
        let count: i64 = client.query_one(&sql, &[&options.start, &options.end]).await?.get(0);
        counts.push(u64::try_from(count).unwrap_or(0));
    }
    let limits = limited(&counts, options.rows_max.into());
    let n_rows: u64 = limits.iter().sum();
    if n_rows == 0 {
        return Err(BenchError::Usage("nothing was stored while the server was saturated".to_owned()));
    }
    let n_transactions = n_rows.div_ceil(options.rows_per_transaction.into());
    let mut transactions = vec![Vec::new(); usize::try_from(n_transactions).unwrap_or(1)];
    for (table, limit) in Table::ALL.into_iter().zip(limits) {
        let sql = format!(
            "COPY (SELECT * FROM {} WHERE {} <= ts AND ts < {} LIMIT {limit}) TO STDOUT (FORMAT binary)",
            table.name, options.start, options.end
        );
        // Each message is a row; the first begins with the header, and the last is the trailer.
        let mut messages = std::pin::pin!(client.copy_out(&sql).await?);
        let mut is_first = true;
        let mut read = 0;
        for (transaction, end) in transactions.iter_mut().zip(ends(limit, n_transactions)) {
            let mut data = BytesMut::from(HEADER);
            while read < end {
                let Some(row) = messages.try_next().await? else { break };
                let row = if is_first { row.get(HEADER.len()..).unwrap_or_default() } else { &row };
                data.extend_from_slice(row);
                is_first = false;
                read += 1;
            }
            data.extend_from_slice(TRAILER);
            transaction.push(data.freeze());
        }
        while messages.try_next().await?.is_some() {}
    }
    Ok((transactions, n_rows))
}

/// Returns the number of rows per table so that the total is within the limit, keeping the proportions.
fn limited(counts: &[u64], rows_max: u64) -> Vec<u64> {
    let total: u64 = counts.iter().sum();
    if total <= rows_max {
        counts.to_vec()
    } else {
        counts.iter().map(|count| count * rows_max / total).collect()
    }
}

/// Returns where each of `parts` parts of so many rows ends.
fn ends(n_rows: u64, parts: u64) -> impl Iterator<Item = u64> {
    (1..=parts).map(move |part| n_rows * part / parts)
}

/// A connection with its prepared COPYs, in the order of the tables.
struct Writer {
    client: Client,
    statements: Vec<Statement>,
}

impl Writer {
    async fn connect(url: &str) -> Result<Self, BenchError> {
        let client = database::connect(url).await?;
        let mut statements = Vec::new();
        for table in Table::ALL {
            let sql = format!("COPY bench.{} FROM STDIN (FORMAT binary)", table.name);
            statements.push(client.prepare(&sql).await?);
        }
        Ok(Self { client, statements })
    }

    async fn write(&mut self, data: &Transaction) -> Result<(), BenchError> {
        let transaction = self.client.transaction().await?;
        for (statement, data) in self.statements.iter().zip(data) {
            let mut sink = std::pin::pin!(transaction.copy_in::<_, Bytes>(statement).await?);
            let mut rest = data.clone();
            while !rest.is_empty() {
                sink.send(rest.split_to(PIECE_BYTES.min(rest.len()))).await?;
            }
            sink.finish().await?;
        }
        Ok(transaction.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_limited_in_their_proportions() {
        assert_eq!(limited(&[10, 30], 100), [10, 30]);
        assert_eq!(limited(&[100, 300], 40), [10, 30]);
        assert_eq!(limited(&[], 40), [0; 0]);
    }

    #[test]
    fn parts_leave_nothing_out() {
        assert_eq!(ends(10, 3).collect::<Vec<_>>(), [3, 6, 10]);
        assert_eq!(ends(1, 3).collect::<Vec<_>>(), [0, 0, 1]);
        assert_eq!(ends(0, 2).collect::<Vec<_>>(), [0, 0]);
    }
}
