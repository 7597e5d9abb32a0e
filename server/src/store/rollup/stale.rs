//! How far rollups are complete, and what they lack, according to the database.

use tokio_postgres::GenericClient;

use super::Rollup;
use super::span::Span;
use crate::domain::TimestampMs;
use crate::domain::tier::bucket_start;

const COMPLETE_UNTIL: &str = "SELECT pika_rollup_watermark($1, $2)";
/// Community edition.
const STALE_SPANS: &str = "SELECT start_ms, end_ms FROM pika_stale_spans($1)";

pub(in crate::store) const STATEMENTS: &[&str] = &[COMPLETE_UNTIL];

/// Returns up to where a rollup covers its whole source; `None` if unknown.
pub(in crate::store) async fn complete_until(
    client: &impl GenericClient,
    rollup: Rollup,
) -> Result<Option<TimestampMs>, tokio_postgres::Error> {
    Ok(client.query_one(COMPLETE_UNTIL, &[&rollup.relation(), &rollup.tier.name()]).await?.get(0))
}

/// Community edition: returns the buckets before a time that differ from their source, as far as that exists.
pub(super) async fn buckets(
    client: &impl GenericClient,
    rollup: Rollup,
    before: TimestampMs,
) -> Result<Vec<Span>, tokio_postgres::Error> {
    let before = bucket_start(before, rollup.tier.bucket_ms());
    let rows = client.query(STALE_SPANS, &[&rollup.relation()]).await?;
    let span = |row: &tokio_postgres::Row| Span { start: row.get(0), end: row.get(1) }.split_at(before).0;
    Ok(Span::merged(rows.iter().filter_map(span).map(|span| span.widened(rollup.tier)).collect()))
}
