//! Keeps the BRIN indexes of raw samples summarized: a rollup of the newest minutes reads the pages the indexes point
//! to, and all that are not summarized yet.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::domain::TimestampMs;
use crate::domain::family::Table;
use crate::domain::tier::{DAY_MS, HOUR_MS};

/// The BRIN indexes of the chunks that end after a time.
const INDEXES: &str = "SELECT indexrelid::regclass::text \
     FROM timescaledb_information.chunks AS chunks \
     JOIN pg_index ON indrelid = format('%I.%I', chunk_schema, chunk_name)::regclass \
     JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam \
     WHERE chunks.hypertable_schema = 'public' AND chunks.hypertable_name = ANY ($1::text[]) \
       AND $2 < range_end_integer AND NOT is_compressed AND amname = 'brin'";
const SUMMARIZE: &str = "SELECT brin_summarize_new_values($1::text::regclass)";

pub(super) const STATEMENTS: &[&str] = &[INDEXES, SUMMARIZE];

/// Chunks that ended longer ago get no more rows: samples are accepted up to one day late.
const RECENT_MS: i64 = DAY_MS + 2 * HOUR_MS;

/// Summarizes what was stored since the last time. Skips a chunk that is being vacuumed, since that summarizes it, too.
pub(super) async fn summarize(client: &mut Client, now: TimestampMs) -> Result<(), tokio_postgres::Error> {
    let tables = Table::ALL.map(|table| table.name);
    for row in client.query(INDEXES, &[&tables.as_slice(), &(now - RECENT_MS)]).await? {
        let index: String = row.get(0);
        let transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL lock_timeout = '1s'").await?;
        match transaction.execute(SUMMARIZE, &[&index]).await {
            Ok(_) => transaction.commit().await?,
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                tracing::debug!(index, "is in use; it is summarized in the next round");
            }
            // Dropped or compressed in the meantime.
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
