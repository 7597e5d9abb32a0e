//! Refreshes what the Community edition's policies do not reach: spans missed while the database or its jobs stood
//! still, and, if late samples cannot be marked, the spans they have changed.
//!
//! Never refreshes a bucket whose source is dropped, even in part: the result would be computed from the rest only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::span::Span;
use super::{Definition, Rollup, stale};
use crate::domain::TimestampMs;
use crate::domain::tier::{HOUR_MS, bucket_start};

/// How long one round may take; the next one continues.
const ROUND_MAX: Duration = Duration::from_secs(20);
/// A piece that took less than this is followed by one of twice the width,
const PIECE_MIN: Duration = Duration::from_millis(500);
/// and one that took more than this by one of half the width.
const PIECE_MAX: Duration = Duration::from_secs(2);
/// Number of buckets in the first piece.
const PIECE_BUCKETS: i64 = 6;
/// After this many failed pieces a rollup is skipped until the next round.
const FAILED_PIECES_MAX: u32 = 3;
/// Late samples of one agent make a refresh read those of all, so their changes are collected for this long.
const LATE_EVERY_MS: i64 = HOUR_MS;

/// A rollup that could not be refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshFailure {
    /// The rollup.
    pub relation: String,
    /// The database's error.
    pub message: String,
}

/// When the spans changed by late samples were last refreshed, by relation, as far as this server knows.
#[derive(Debug, Default)]
pub(in crate::store) struct CaughtUp(Mutex<HashMap<String, TimestampMs>>);

impl CaughtUp {
    fn is_due(&self, rollup: Rollup, now: TimestampMs) -> bool {
        let caught_up = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        caught_up.get(&rollup.relation()).is_none_or(|at| at + LATE_EVERY_MS <= now || now < *at)
    }

    fn note(&self, rollup: Rollup, now: TimestampMs) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(rollup.relation(), now);
    }
}

/// The result of a round.
#[derive(Debug, Default)]
pub(in crate::store) struct Outcome {
    /// Whether time ran out.
    pub(in crate::store) has_more: bool,
    /// The rollups that could not be refreshed.
    pub(in crate::store) failures: Vec<RefreshFailure>,
}

/// Refreshes what is missing, piece by piece, until everything is done or the round has taken long enough.
pub(in crate::store) async fn catch_up(
    client: &Client,
    definition: &Definition,
    caught_up: &CaughtUp,
    now: TimestampMs,
) -> Result<Outcome, tokio_postgres::Error> {
    let deadline = Instant::now() + ROUND_MAX;
    let mut outcome = Outcome::default();
    let mut rollups: Vec<Rollup> = definition.rollups().collect();
    // The finer ones of all families first, since they are the sources of the coarser ones.
    rollups.sort_by_key(|rollup| rollup.tier);
    for rollup in rollups {
        let is_due = caught_up.is_due(rollup, now);
        let reach = reach(client, rollup, now, is_due).await?;
        let spans = stale::buckets(client, rollup, reach.until).await?;
        if spans.is_empty() {
            continue;
        }
        let refreshed = refresh(client, rollup, &spans, deadline).await?;
        if let Some(message) = refreshed.failure {
            outcome.failures.push(RefreshFailure { relation: rollup.relation(), message });
        } else if refreshed.has_more {
            outcome.has_more = true;
            break;
        } else if is_due && reach.is_whole && stale::buckets(client, rollup, reach.until).await?.is_empty() {
            // A piece on which a policy is at work is left to the next round.
            caught_up.note(rollup, now);
        }
    }
    Ok(outcome)
}

/// How far a round goes.
#[derive(Clone, Copy, Debug)]
struct Reach {
    until: TimestampMs,
    /// Whether it need not go further: all of its source is there.
    is_whole: bool,
}

/// Returns up to where no policy refreshes a rollup and it can be refreshed now.
async fn reach(
    client: &Client,
    rollup: Rollup,
    now: TimestampMs,
    is_late_due: bool,
) -> Result<Reach, tokio_postgres::Error> {
    let tier = rollup.tier;
    // The policy leaves out the bucket in which its reach begins.
    let mut until = bucket_start(now - tier.policy_reach_ms() + tier.bucket_ms() - 1, tier.bucket_ms());
    if !is_late_due {
        until = until.min(now - tier.late_reach_ms());
    }
    let source_until = match rollup.finer() {
        Some(finer) => stale::complete_until(client, finer).await?.unwrap_or(until),
        None => until,
    };
    Ok(Reach { until: until.min(source_until), is_whole: until <= source_until })
}

/// The result for a rollup.
#[derive(Debug, Default)]
struct Refreshed {
    has_more: bool,
    failure: Option<String>,
}

/// Refreshes spans piece by piece. A failed piece is skipped so that it does not block the rest.
async fn refresh(
    client: &Client,
    rollup: Rollup,
    spans: &[Span],
    deadline: Instant,
) -> Result<Refreshed, tokio_postgres::Error> {
    let mut refreshed = Refreshed::default();
    let mut n_failures = 0;
    let (bucket_ms, piece_ms_max) = (rollup.tier.bucket_ms(), rollup.source().tier.chunk_ms());
    let mut piece_ms = PIECE_BUCKETS * bucket_ms;
    for span in spans {
        let mut start = span.start;
        while start < span.end {
            if deadline <= Instant::now() {
                refreshed.has_more = true;
                return Ok(refreshed);
            }
            let piece = Span { start, end: span.end.min(start.saturating_add(piece_ms)) };
            let started_at = Instant::now();
            match refresh_piece(client, rollup, piece).await {
                Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {}
                Err(error) => {
                    let Some(database_error) = error.as_db_error() else { return Err(error) };
                    n_failures += 1;
                    let message = database_error.message().to_owned();
                    refreshed.failure.get_or_insert(message);
                    if FAILED_PIECES_MAX <= n_failures {
                        return Ok(refreshed);
                    }
                }
                Ok(()) => {}
            }
            let took = started_at.elapsed();
            if took < PIECE_MIN {
                piece_ms = piece_ms_max.min(2 * piece_ms);
            } else if PIECE_MAX < took {
                piece_ms = bucket_start(piece_ms / 2, bucket_ms).max(bucket_ms);
            }
            start = piece.end;
        }
    }
    Ok(refreshed)
}

async fn refresh_piece(client: &Client, rollup: Rollup, piece: Span) -> Result<(), tokio_postgres::Error> {
    let (relation, Span { start, end }) = (rollup.relation(), piece);
    let sql = format!("CALL refresh_continuous_aggregate('{relation}', {start}::int8, {end}::int8)");
    client.batch_execute(&sql).await
}
