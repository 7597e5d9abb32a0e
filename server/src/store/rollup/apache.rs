//! Rollups on the Apache edition: plain hypertables, rolled up by the server.
//!
//! Whoever writes rows writes, in the same transaction, which spans they change ([`mark`]). The maintenance task takes
//! marks away and rolls their spans up in one transaction, too, so a crash at any point neither loses nor doubles
//! anything; rolling a span up again replaces its buckets by what the source holds now.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{Client, Transaction};

use super::Definition;
use crate::domain::TimestampMs;
use crate::domain::row::Rows;
use crate::domain::tier::{DAY_MS, HOUR_MS, MINUTE_MS, Tier, bucket_start};

const ROLL: &str = include_str!("../../../../sql/editions/apache/roll.sql");

const INSERT_CHANGES: &str = "INSERT INTO rollup_changes (tier, start_ms, end_ms, agent_keys) \
     SELECT $1, start_ms, end_ms, NULL FROM unnest($2::int8[], $3::int8[]) AS change (start_ms, end_ms)";
const INSERT_AGENT_CHANGES: &str = "INSERT INTO rollup_changes (tier, start_ms, end_ms, agent_keys) \
     SELECT $1, start_ms, end_ms, ARRAY[agent_key] \
     FROM unnest($2::int8[], $3::int8[], $4::int4[]) AS change (start_ms, end_ms, agent_key)";
const TAKE_CHANGES: &str = "DELETE FROM rollup_changes WHERE id IN \
     (SELECT id FROM rollup_changes WHERE tier = $1 AND start_ms < $2 ORDER BY start_ms, id LIMIT $3) \
     RETURNING start_ms, end_ms, agent_keys";
const SET_WATERMARK: &str = "INSERT INTO rollup_progress (tier, watermark_ms) VALUES ($1, $2) \
     ON CONFLICT (tier) DO UPDATE SET watermark_ms = greatest(rollup_progress.watermark_ms, excluded.watermark_ms)";

pub(super) const STATEMENTS: &[&str] = &[INSERT_CHANGES, INSERT_AGENT_CHANGES, TAKE_CHANGES, SET_WATERMARK];

/// Marks that are taken in one transaction: bounds what a crash has to do again.
const CHANGES_PER_TRANSACTION: i64 = 500;
/// Spans that are rolled up in one statement, by whether they concern all agents.
const ALL_AGENTS_SLICE_MS: i64 = 6 * HOUR_MS;
const SOME_AGENTS_SLICE_MS: i64 = 2 * DAY_MS;
/// Buckets of one minute are left alone until their minute has been over for this long.
const SETTLE_MS: i64 = MINUTE_MS;
/// Rows of more minutes than this in one flush come from agents that catch up: each agent's span is marked apart.
const LIVE_MINUTES_MAX: usize = 10;

/// Marks the spans that rows change, in the transaction that writes the rows.
pub(in crate::store) async fn mark(
    transaction: &Transaction<'_>,
    rows: &Rows,
) -> Result<(), tokio_postgres::Error> {
    insert_changes(transaction, Tier::OneMinute, &changes(rows)).await
}

/// A span of buckets, half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) start: TimestampMs,
    pub(super) end: TimestampMs,
}

impl Span {
    fn of_bucket(timestamp: TimestampMs, tier: Tier) -> Self {
        let start = bucket_start(timestamp, tier.bucket_ms());
        Self { start, end: start + tier.bucket_ms() }
    }

    /// What is complete at a bucket's end, and what is not yet.
    fn split_at(self, complete_until: TimestampMs) -> (Self, Option<Self>) {
        if self.end <= complete_until {
            return (self, None);
        }
        (Self { end: complete_until, ..self }, Some(Self { start: complete_until, ..self }))
    }

    fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The buckets of a coarser tier that the span touches.
    pub(super) fn widened(self, tier: Tier) -> Self {
        Self::of_bucket(self.start, tier).to(Self::of_bucket(self.end - 1, tier))
    }
}

/// A span that has to be rolled up, for one agent or for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    span: Span,
    agent_key: Option<i32>,
}

/// What rows change: live rows the few minutes that all agents report about, late ones each agent's own span.
fn changes(rows: &Rows) -> Vec<Change> {
    let mut minutes = BTreeSet::new();
    let mut agents: BTreeMap<i32, Span> = BTreeMap::new();
    rows.for_each_agent_and_time(|agent_key, ts| {
        let span = Span::of_bucket(ts, Tier::OneMinute);
        minutes.insert(span);
        agents.entry(agent_key).and_modify(|known| *known = known.to(span)).or_insert(span);
    });
    if minutes.len() <= LIVE_MINUTES_MAX {
        return minutes.into_iter().map(|span| Change { span, agent_key: None }).collect();
    }
    agents.into_iter().map(|(agent_key, span)| Change { span, agent_key: Some(agent_key) }).collect()
}

async fn insert_changes(
    client: &impl tokio_postgres::GenericClient,
    tier: Tier,
    changes: &[Change],
) -> Result<(), tokio_postgres::Error> {
    let (all, some): (Vec<&Change>, Vec<&Change>) =
        changes.iter().partition(|change| change.agent_key.is_none());
    let starts = |changes: &[&Change]| changes.iter().map(|change| change.span.start).collect::<Vec<i64>>();
    let ends = |changes: &[&Change]| changes.iter().map(|change| change.span.end).collect::<Vec<i64>>();
    if !all.is_empty() {
        client.execute(INSERT_CHANGES, &[&tier.name(), &starts(&all), &ends(&all)]).await?;
    }
    if !some.is_empty() {
        let agent_keys: Vec<i32> = some.iter().filter_map(|change| change.agent_key).collect();
        client
            .execute(INSERT_AGENT_CHANGES, &[&tier.name(), &starts(&some), &ends(&some), &agent_keys])
            .await?;
    }
    Ok(())
}

/// Rolls up everything that has changed and is complete at `now`. Spans whose source may have been dropped already
/// (before `source_starts_at`) are left as they are. Answers how many marks were worked off.
pub(in crate::store) async fn roll_up(
    client: &mut Client,
    definition: &Definition,
    now: TimestampMs,
    source_starts_at: impl Fn(Tier) -> TimestampMs,
) -> Result<u64, tokio_postgres::Error> {
    let mut n_changes = 0;
    let mut complete_until = now - SETTLE_MS;
    for tier in Tier::ROLLUPS {
        complete_until = bucket_start(complete_until, tier.bucket_ms());
        loop {
            let taken = roll_up_some(client, definition, tier, complete_until, &source_starts_at).await?;
            n_changes += taken;
            if taken == 0 {
                break;
            }
        }
        client.execute(SET_WATERMARK, &[&tier.name(), &complete_until]).await?;
    }
    Ok(n_changes)
}

async fn roll_up_some(
    client: &mut Client,
    definition: &Definition,
    tier: Tier,
    complete_until: TimestampMs,
    source_starts_at: &impl Fn(Tier) -> TimestampMs,
) -> Result<u64, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let taken =
        transaction.query(TAKE_CHANGES, &[&tier.name(), &complete_until, &CHANGES_PER_TRANSACTION]).await?;
    // A statement sees what was committed before it began: all the rows behind the marks just taken. Rows that come
    // later bring marks of their own.
    let mut all = Vec::new();
    let mut some: BTreeMap<Span, BTreeSet<i32>> = BTreeMap::new();
    let mut incomplete = Vec::new();
    for row in &taken {
        let (span, rest) = Span { start: row.get(0), end: row.get(1) }.split_at(complete_until);
        let agent_keys: Option<Vec<i32>> = row.get(2);
        match (&agent_keys, rest) {
            (None, Some(rest)) => incomplete.push(Change { span: rest, agent_key: None }),
            (Some(agent_keys), Some(rest)) => incomplete.extend(
                agent_keys.iter().map(|agent_key| Change { span: rest, agent_key: Some(*agent_key) }),
            ),
            (_, None) => {}
        }
        match agent_keys {
            None => all.push(span),
            Some(agent_keys) => some.entry(span).or_default().extend(agent_keys),
        }
    }
    insert_changes(&transaction, tier, &incomplete).await?;
    let mut next = Vec::new();
    for span in merged(all) {
        roll(&transaction, definition, tier, span, None, ALL_AGENTS_SLICE_MS, source_starts_at).await?;
        next.push(Change { span, agent_key: None });
    }
    for (span, agent_keys) in some {
        let agent_keys: Vec<i32> = agent_keys.into_iter().collect();
        roll(&transaction, definition, tier, span, Some(&agent_keys), SOME_AGENTS_SLICE_MS, source_starts_at)
            .await?;
        next.extend(agent_keys.into_iter().map(|agent_key| Change { span, agent_key: Some(agent_key) }));
    }
    if let Some(coarser) = tier.coarser() {
        for change in &mut next {
            change.span = change.span.widened(coarser);
        }
        next.dedup();
        insert_changes(&transaction, coarser, &next).await?;
    }
    transaction.commit().await?;
    Ok(taken.len() as u64)
}

async fn roll(
    transaction: &Transaction<'_>,
    definition: &Definition,
    tier: Tier,
    span: Span,
    agent_keys: Option<&[i32]>,
    slice_ms: i64,
    source_starts_at: &impl Fn(Tier) -> TimestampMs,
) -> Result<(), tokio_postgres::Error> {
    let slice_ms = slice_ms.max(tier.bucket_ms());
    for rollup in definition.rollups().filter(|rollup| rollup.tier == tier) {
        let statement = transaction.prepare(&rollup.fill(ROLL)).await?;
        // A bucket whose source is dropped in part must not be replaced by what is left of it.
        let oldest = source_starts_at(rollup.source().tier);
        let oldest_whole = bucket_start(oldest.saturating_add(tier.bucket_ms() - 1), tier.bucket_ms());
        let mut start = span.start.max(oldest_whole);
        while start < span.end {
            let end = span.end.min(bucket_start(start, slice_ms) + slice_ms);
            transaction.execute(&statement, &[&start, &end, &agent_keys]).await?;
            start = end;
        }
    }
    Ok(())
}

/// Joins spans that touch.
pub(super) fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => *last = last.to(span),
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::row::LoadRow;

    fn load(agent_key: i32, ts: i64) -> LoadRow {
        LoadRow { ts, agent_key, load1: 0.0, load5: 0.0, load15: 0.0 }
    }

    fn span(start_minute: i64, end_minute: i64) -> Span {
        Span { start: start_minute * MINUTE_MS, end: end_minute * MINUTE_MS }
    }

    #[test]
    fn live_rows_mark_their_minutes_for_all_agents() {
        let rows = Rows { load: vec![load(1, 59_999), load(2, 60_000), load(3, 60_001)], ..Rows::default() };
        let all = |span| Change { span, agent_key: None };
        assert_eq!(changes(&rows), [all(span(0, 1)), all(span(1, 2))]);
    }

    #[test]
    fn late_rows_mark_only_their_own_agents() {
        let late = (0..100).map(|minute| load(7, minute * MINUTE_MS));
        let rows = Rows { load: late.chain([load(8, 5 * MINUTE_MS)]).collect(), ..Rows::default() };
        let of = |agent_key, span| Change { span, agent_key: Some(agent_key) };
        assert_eq!(changes(&rows), [of(7, span(0, 100)), of(8, span(5, 6))]);
    }

    #[test]
    fn a_span_that_is_not_complete_is_split() {
        assert_eq!(span(0, 5).split_at(5 * MINUTE_MS), (span(0, 5), None));
        assert_eq!(span(0, 5).split_at(3 * MINUTE_MS), (span(0, 3), Some(span(3, 5))));
    }

    #[test]
    fn spans_that_touch_are_joined() {
        assert_eq!(merged(vec![span(5, 6), span(0, 1), span(1, 3), span(2, 4)]), [span(0, 4), span(5, 6)]);
    }

    #[test]
    fn a_span_widens_to_the_buckets_it_touches() {
        assert_eq!(span(59, 61).widened(Tier::OneHour), span(0, 120));
        assert_eq!(span(0, 60).widened(Tier::OneHour), span(0, 60));
    }
}
