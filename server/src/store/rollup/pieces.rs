//! Splits a hypertable into spans of time that may hold rows, each short enough for one transaction.

use tokio_postgres::Client;

use super::span::Span;
use crate::domain::TimestampMs;

/// The first chunk of a hypertable that ends after a time.
const NEXT_CHUNK: &str = "SELECT range_start_integer, range_end_integer \
     FROM timescaledb_information.chunks \
     WHERE format('%I.%I', hypertable_schema, hypertable_name) = $1 AND $2 < range_end_integer \
     ORDER BY range_start_integer LIMIT 1";

pub(super) const STATEMENTS: &[&str] = &[NEXT_CHUNK];

/// Returns the first piece of a hypertable from a time on, at most `length_ms` long and within one chunk; `None` if
/// there are no more chunks.
pub(super) async fn next_piece(
    client: &Client,
    hypertable: &str,
    from: TimestampMs,
    length_ms: i64,
) -> Result<Option<Span>, tokio_postgres::Error> {
    let chunk = client.query_opt(NEXT_CHUNK, &[&hypertable, &from]).await?;
    Ok(chunk.map(|chunk| {
        let start = from.max(chunk.get(0));
        Span { start, end: start.saturating_add(length_ms).min(chunk.get(1)) }
    }))
}
