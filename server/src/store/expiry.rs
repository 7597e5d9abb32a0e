//! Drops expired data in whole chunks, but none that a coarser tier still has to be built from.
//!
//! The same in both editions. TimescaleDB's own retention policies drop regardless of whether anything was rolled up,
//! so they are not used. While the server is off nothing is dropped, but nothing is added either.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::Edition;
use super::rollup::{Definition, community, marks, stale};
use crate::domain::TimestampMs;
use crate::domain::retention::Retention;
use crate::domain::tier::Tier;

/// Expired chunks that are kept because the rollups built from them are not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// The table or aggregate.
    pub relation: String,
    /// Number of chunks.
    pub n_chunks: u64,
    /// Up to where all rollups built from it are complete; `None` if none is.
    pub complete_until: Option<TimestampMs>,
}

/// The result of dropping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expired {
    pub(super) chunks_dropped: u64,
    pub(super) held_back: Vec<HeldBack>,
}

/// Drops the chunks that hold nothing but expired rows, up to where all rollups built from them are complete.
pub(super) async fn drop_expired(
    client: &mut Client,
    edition: Edition,
    definition: &Definition,
    retention: &Retention,
    now: TimestampMs,
) -> Result<Expired, tokio_postgres::Error> {
    let skips_invalidation =
        edition == Edition::Community && community::can_skip_invalidation(client).await?;
    let marked = marks::first_marked(client).await?;
    let mut expired = Expired::default();
    for (relation, _, tier) in definition.relations() {
        let Some(keep_ms) = retention.keep_ms(tier) else { continue };
        let expired_before = now.saturating_sub(keep_ms);
        let complete_until = rollups_complete_until(client, definition, &relation, &marked).await?;
        let droppable_before = expired_before.min(complete_until);
        expired.chunks_dropped +=
            drop_chunks(client, &relation, droppable_before, skips_invalidation).await?;
        if droppable_before < expired_before {
            let n_chunks = count_chunks(client, &relation, expired_before).await?;
            if 0 < n_chunks {
                let complete_until = Some(complete_until).filter(|until| *until != TimestampMs::MIN);
                expired.held_back.push(HeldBack { relation, n_chunks, complete_until });
            }
        }
    }
    Ok(expired)
}

/// Returns up to where all rollups built from a relation are complete.
async fn rollups_complete_until(
    client: &Client,
    definition: &Definition,
    relation: &str,
    marked: &BTreeMap<Tier, TimestampMs>,
) -> Result<TimestampMs, tokio_postgres::Error> {
    let mut until = TimestampMs::MAX;
    for rollup in definition.rollups().filter(|rollup| rollup.source().relation == relation) {
        let complete_until = stale::complete_until(client, rollup).await?.unwrap_or(TimestampMs::MIN);
        until = until.min(complete_until);
        // What is marked in a finer tier will be marked in this one.
        until = marked.range(..=rollup.tier).fold(until, |until, (_, first)| until.min(*first));
    }
    Ok(until)
}

async fn drop_chunks(
    client: &mut Client,
    relation: &str,
    before: TimestampMs,
    skips_invalidation: bool,
) -> Result<u64, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    if skips_invalidation {
        // The dropped data must not look like a change to refresh.
        transaction.batch_execute(community::SKIP_INVALIDATION).await?;
    }
    let sql = format!("SELECT count(*) FROM drop_chunks('{relation}', older_than => $1::int8)");
    let n_chunks: i64 = transaction.query_one(&sql, &[&before]).await?.get(0);
    transaction.commit().await?;
    Ok(n_chunks.unsigned_abs())
}

async fn count_chunks(
    client: &Client,
    relation: &str,
    before: TimestampMs,
) -> Result<u64, tokio_postgres::Error> {
    let sql = format!("SELECT count(*) FROM show_chunks('{relation}', older_than => $1::int8)");
    Ok(client.query_one(&sql, &[&before]).await?.get::<_, i64>(0).unsigned_abs())
}
