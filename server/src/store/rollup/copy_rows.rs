//! Copies a rollup into its replacement in pieces, each a transaction that also records the progress of the copy.

use super::Rollup;
use super::build::{BuildError, Builder, existing};
use super::found::{Kind, Relation, next};
use super::pieces::next_piece;
use super::policies::columnstore_after_ms;
use super::progress::Progress;
use super::span::Span;
use crate::domain::TimestampMs;

/// Row chunks old enough to be compressed.
const ROW_CHUNKS: &str = "SELECT format('%I.%I', chunk_schema, chunk_name) \
     FROM timescaledb_information.chunks \
     WHERE format('%I.%I', hypertable_schema, hypertable_name) = $1 AND range_end_integer <= $2 \
       AND NOT is_compressed";

const COPIED_UNTIL: &str = "SELECT copied_until_ms FROM rollup_builds WHERE relation = $1";
const SET_COPIED_UNTIL: &str = "UPDATE rollup_builds SET copied_until_ms = $2 WHERE relation = $1";

pub(super) const STATEMENTS: &[&str] = &[ROW_CHUNKS, COPIED_UNTIL, SET_COPIED_UNTIL];

/// Buckets of one series copied in one transaction: 6 hours of minutes, 15 days of hours, a year of days.
const BUCKETS_PER_PIECE: i64 = 360;

impl Builder<'_> {
    /// Copies a rollup into its replacement. Rows that arrive after its newest chunk was copied are missing, and are
    /// rolled up again by whatever rolls up the replacement.
    pub(super) async fn copy(&mut self, rollup: Rollup) -> Result<(), BuildError> {
        let found = self.inspect().await?;
        let from = existing(&found, &rollup.relation())?;
        let into = existing(&found, &next(rollup))?;
        let row = self.client.query_opt(COPIED_UNTIL, &[&next(rollup)]).await?;
        let mut copied_until = row.and_then(|row| row.get(0)).unwrap_or(TimestampMs::MIN);
        let mut progress = Progress::new(rollup.relation());
        let piece_ms = BUCKETS_PER_PIECE * rollup.tier.bucket_ms();
        let insert = insert(rollup, from, into);
        while let Some(piece) = next_piece(self.client, &from.hypertable, copied_until, piece_ms).await? {
            let n_rows = self.copy_piece(rollup, &insert, piece).await?;
            progress.add(n_rows, piece.end, "copying a rollup into the one that replaces it");
            copied_until = piece.end;
            if into.kind == Kind::Aggregate {
                let until = copied_until.min(self.now() - columnstore_after_ms(rollup.tier));
                self.turn_into_columns(into, until).await?;
            }
            self.checkpoint("copied a piece")?;
        }
        progress.finish("copied a rollup into the one that replaces it");
        Ok(())
    }

    async fn copy_piece(&mut self, rollup: Rollup, insert: &str, piece: Span) -> Result<u64, BuildError> {
        let transaction = self.client.transaction().await?;
        let n_rows = transaction.execute(insert, &[&piece.start, &piece.end]).await?;
        transaction.execute(SET_COPIED_UNTIL, &[&next(rollup), &piece.end]).await?;
        transaction.commit().await?;
        Ok(n_rows)
    }

    /// Compresses what was copied, as its source may be: uncompressed it could take several times the space.
    async fn turn_into_columns(&mut self, into: &Relation, until: TimestampMs) -> Result<(), BuildError> {
        for row in self.client.query(ROW_CHUNKS, &[&into.hypertable, &until]).await? {
            let sql = "SELECT compress_chunk($1::text::regclass, if_not_compressed => true)";
            self.client.execute(sql, &[&row.get::<_, &str>(0)]).await?;
        }
        Ok(())
    }
}

/// Returns the statement that copies a span (bounded by $1 and $2). Each column is copied from the one with its name;
/// if there is none, it is null.
fn insert(rollup: Rollup, from: &Relation, into: &Relation) -> String {
    let columns = rollup.columns();
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let expressions: Vec<String> = columns
        .iter()
        .map(|column| match from.columns.get(&column.name) {
            Some(sql_type) if sql_type == column.sql_type => column.name.clone(),
            Some(_) => format!("{}::{}", column.name, column.sql_type),
            None => format!("NULL::{}", column.sql_type),
        })
        .collect();
    format!(
        "INSERT INTO {} (bucket, {key}, {}) SELECT bucket, {key}, {} FROM {} \
         WHERE $1::int8 <= bucket AND bucket < $2::int8",
        into.hypertable,
        names.join(", "),
        expressions.join(", "),
        from.hypertable,
        key = rollup.key(),
    )
}
