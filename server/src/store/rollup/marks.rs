//! Marks the spans that have to be rolled up (again).
//!
//! Writers mark the spans they change in the transaction that writes the rows. Maintenance removes marks and rolls
//! their spans up in one transaction, too, so a crash at any point neither loses nor doubles anything.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{GenericClient, Transaction};

use super::span::Span;
use crate::domain::TimestampMs;
use crate::domain::row::Rows;
use crate::domain::tier::Tier;

const INSERT_MARKS: &str = "INSERT INTO rollup_changes (tier, start_ms, end_ms, agent_keys) \
     SELECT $1, start_ms, end_ms, NULL FROM unnest($2::int8[], $3::int8[]) AS mark (start_ms, end_ms)";
const INSERT_AGENT_MARKS: &str = "INSERT INTO rollup_changes (tier, start_ms, end_ms, agent_keys) \
     SELECT $1, start_ms, end_ms, ARRAY[agent_key] \
     FROM unnest($2::int8[], $3::int8[], $4::int4[]) AS mark (start_ms, end_ms, agent_key)";
const TAKE_MARKS: &str = "DELETE FROM rollup_changes WHERE id IN \
     (SELECT id FROM rollup_changes WHERE tier = $1 AND start_ms < $2 ORDER BY start_ms, id LIMIT $3) \
     RETURNING start_ms, end_ms, agent_keys";
/// The start of the earliest span of each tier still to be rolled up.
const FIRST_MARKED: &str = "SELECT tier, min(start_ms) FROM rollup_changes GROUP BY tier";

pub(in crate::store) const STATEMENTS: &[&str] =
    &[INSERT_MARKS, INSERT_AGENT_MARKS, TAKE_MARKS, FIRST_MARKED];

/// Maximum marks taken in one transaction; bounds what a crash makes necessary to redo.
const MARKS_PER_TRANSACTION: i64 = 500;
/// Rows of more minutes than this in one flush come from agents that are catching up: each agent's span is marked
/// separately.
const LIVE_MINUTES_MAX: usize = 10;
/// Likewise for late rows of no more agents than this, however few minutes they cover.
const AGENTS_APART_MAX: usize = 100;

/// A span that has to be rolled up, for one agent or for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) span: Span,
    pub(super) agent_key: Option<i32>,
}

/// Marks the spans that rows change, in the transaction that writes the rows. Rows are late if the minute of the
/// earliest ended long ago, so that its other rows have probably been rolled up already.
pub(in crate::store) async fn insert_for(
    transaction: &Transaction<'_>,
    rows: &Rows,
    are_late: bool,
) -> Result<(), tokio_postgres::Error> {
    insert(transaction, Tier::OneMinute, &marks_for(rows, are_late)).await
}

/// Live rows change the few minutes that all agents report about; late ones each agent's own span.
fn marks_for(rows: &Rows, are_late: bool) -> Vec<Mark> {
    let mut minutes = BTreeSet::new();
    let mut agents: BTreeMap<i32, Span> = BTreeMap::new();
    // Rows are sorted by series, so most have the same agent and minute as the previous one.
    let mut last = None;
    rows.for_each_agent_and_time(|agent_key, ts| {
        let span = Span::of_bucket(ts, Tier::OneMinute);
        if last.replace((agent_key, span)) != Some((agent_key, span)) {
            minutes.insert(span);
            agents.entry(agent_key).and_modify(|known| *known = known.to(span)).or_insert(span);
        }
    });
    let are_of_all = !are_late || AGENTS_APART_MAX < agents.len();
    if are_of_all && minutes.len() <= LIVE_MINUTES_MAX {
        return minutes.into_iter().map(|span| Mark { span, agent_key: None }).collect();
    }
    agents.into_iter().map(|(agent_key, span)| Mark { span, agent_key: Some(agent_key) }).collect()
}

pub(super) async fn insert(
    client: &impl GenericClient,
    tier: Tier,
    marks: &[Mark],
) -> Result<(), tokio_postgres::Error> {
    let (all, some): (Vec<&Mark>, Vec<&Mark>) = marks.iter().partition(|mark| mark.agent_key.is_none());
    let starts = |marks: &[&Mark]| marks.iter().map(|mark| mark.span.start).collect::<Vec<i64>>();
    let ends = |marks: &[&Mark]| marks.iter().map(|mark| mark.span.end).collect::<Vec<i64>>();
    if !all.is_empty() {
        client.execute(INSERT_MARKS, &[&tier.name(), &starts(&all), &ends(&all)]).await?;
    }
    if !some.is_empty() {
        let agent_keys: Vec<i32> = some.iter().filter_map(|mark| mark.agent_key).collect();
        client
            .execute(INSERT_AGENT_MARKS, &[&tier.name(), &starts(&some), &ends(&some), &agent_keys])
            .await?;
    }
    Ok(())
}

/// The spans covered by marks that were taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Number of marks.
    pub(super) n_marks: u64,
    /// Disjoint spans of all agents.
    pub(super) all: Vec<Span>,
    /// Spans of single agents; disjoint per agent.
    pub(super) some: Vec<(i32, Span)>,
}

/// Takes marks of a tier, oldest first, that begin before a time.
pub(super) async fn take(
    transaction: &Transaction<'_>,
    tier: Tier,
    before: TimestampMs,
) -> Result<Taken, tokio_postgres::Error> {
    let rows = transaction.query(TAKE_MARKS, &[&tier.name(), &before, &MARKS_PER_TRANSACTION]).await?;
    let mut all = Vec::new();
    let mut agents: BTreeMap<i32, Vec<Span>> = BTreeMap::new();
    for row in &rows {
        let span = Span { start: row.get(0), end: row.get(1) };
        match row.get::<_, Option<Vec<i32>>>(2) {
            None => all.push(span),
            Some(agent_keys) => {
                agent_keys.into_iter().for_each(|key| agents.entry(key).or_default().push(span));
            }
        }
    }
    let some = agents
        .into_iter()
        .flat_map(|(agent_key, spans)| Span::merged(spans).into_iter().map(move |span| (agent_key, span)));
    Ok(Taken { n_marks: rows.len() as u64, all: Span::merged(all), some: some.collect() })
}

/// Returns the start of the earliest span still to be rolled up, for tiers that have any.
pub(in crate::store) async fn first_marked(
    client: &impl GenericClient,
) -> Result<BTreeMap<Tier, TimestampMs>, tokio_postgres::Error> {
    let rows = client.query(FIRST_MARKED, &[]).await?;
    Ok(rows.iter().filter_map(|row| Some((Tier::parse(row.get(0))?, row.get(1)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::row::{LoadNumbers, Stored};
    use crate::domain::tier::MINUTE_MS;

    fn load(agent_key: i32, ts: i64) -> Stored<LoadNumbers> {
        Stored::new(
            ts,
            agent_key,
            LoadNumbers { load1: 0.0, load5: 0.0, load15: 0.0, ..LoadNumbers::default() },
        )
    }

    fn rows(load: impl IntoIterator<Item = Stored<LoadNumbers>>) -> Rows {
        Rows { load: load.into_iter().collect(), ..Rows::default() }
    }

    fn span(start_minute: i64, end_minute: i64) -> Span {
        Span { start: start_minute * MINUTE_MS, end: end_minute * MINUTE_MS }
    }

    fn all(span: Span) -> Mark {
        Mark { span, agent_key: None }
    }

    fn of(agent_key: i32, span: Span) -> Mark {
        Mark { span, agent_key: Some(agent_key) }
    }

    #[test]
    fn live_rows_mark_their_minutes_for_all_agents() {
        let live = rows([load(1, 59_999), load(2, 60_000), load(3, 60_001)]);
        assert_eq!(marks_for(&live, false), [all(span(0, 1)), all(span(1, 2))]);
    }

    #[test]
    fn late_rows_mark_only_their_own_agents() {
        let late = (0..100).map(|minute| load(7, minute * MINUTE_MS));
        let late = rows(late.chain([load(8, 5 * MINUTE_MS)]));
        assert_eq!(marks_for(&late, true), [of(7, span(0, 100)), of(8, span(5, 6))]);
        let one = rows([load(7, 0)]);
        assert_eq!(marks_for(&one, true), [of(7, span(0, 1))]);
    }

    #[test]
    fn a_fleet_that_is_late_by_little_is_marked_as_one() {
        let fleet = rows((0..1_000).map(|agent_key| load(agent_key, 30_000)));
        assert_eq!(marks_for(&fleet, true), [all(span(0, 1))]);
    }
}
