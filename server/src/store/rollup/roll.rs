//! Rolls marked spans up (again) in either edition: their buckets are replaced by what the source holds now.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::{Client, Transaction};

use super::marks::{self, Mark, Taken};
use super::oldest::Oldest;
use super::span::Span;
use super::{Definition, Rollup, community};
use crate::domain::TimestampMs;
use crate::domain::tier::{HOUR_MS, MINUTE_MS, Tier, bucket_start};
use crate::store::Edition;

const ROLLED_ALL: &str = include_str!("../../../../sql/editions/rolled_all.sql");
const ROLLED_AGENTS: &str = include_str!("../../../../sql/editions/rolled_agents.sql");
const ROLL_APACHE: &str = include_str!("../../../../sql/editions/apache/roll.sql");
const ROLL_COMMUNITY: &str = include_str!("../../../../sql/editions/community/roll.sql");
const UNROLL_ALL: &str = include_str!("../../../../sql/editions/community/unroll_all.sql");
const UNROLL_AGENTS: &str = include_str!("../../../../sql/editions/community/unroll_agents.sql");

/// Apache edition; in the Community edition the database keeps the watermark.
const SET_WATERMARK: &str = "INSERT INTO rollup_progress (tier, watermark_ms) VALUES ($1, $2) \
     ON CONFLICT (tier) DO UPDATE SET watermark_ms = greatest(rollup_progress.watermark_ms, excluded.watermark_ms)";

pub(in crate::store) const STATEMENTS: &[&str] = &[SET_WATERMARK];

/// Maximum span of all agents rolled up in one transaction; bounds what a crash makes necessary to redo.
const ALL_AGENTS_MS_MAX: i64 = 6 * HOUR_MS;
/// Buckets of one minute are rolled up only after their minute has been over for this long.
const SETTLE_MS: i64 = MINUTE_MS;

/// Rolls up everything that is marked and complete at `now`. Returns the number of marks processed.
pub(in crate::store) async fn roll_up(
    client: &mut Client,
    definition: &Definition,
    edition: Edition,
    now: TimestampMs,
) -> Result<u64, tokio_postgres::Error> {
    let target = match edition {
        Edition::Apache => Target::Tables,
        Edition::Community => Target::Aggregates {
            behind: community::hypertables_behind(client).await?,
            skips_invalidation: community::can_skip_invalidation(client).await?,
        },
    };
    let mut n_marks = 0;
    let mut complete_until = now - SETTLE_MS;
    for tier in Tier::ROLLUPS {
        complete_until = bucket_start(complete_until, tier.bucket_ms());
        loop {
            let n_taken = roll_up_some(client, definition, &target, tier, complete_until).await?;
            n_marks += n_taken;
            if n_taken == 0 {
                break;
            }
        }
        if edition == Edition::Apache {
            client.execute(SET_WATERMARK, &[&tier.name(), &complete_until]).await?;
        }
    }
    Ok(n_marks)
}

async fn roll_up_some(
    client: &mut Client,
    definition: &Definition,
    target: &Target,
    tier: Tier,
    complete_until: TimestampMs,
) -> Result<u64, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let taken = marks::take(&transaction, tier, complete_until).await?;
    let n_marks = taken.n_marks;
    if n_marks == 0 {
        return Ok(0);
    }
    // A statement sees what was committed before it began: all rows behind the marks just taken. Later rows bring their
    // own marks.
    let rollups: Vec<Rollup> = definition.rollups().filter(|rollup| rollup.tier == tier).collect();
    target.claim(&transaction, &rollups).await?;
    let oldest = Oldest::read(&transaction).await?;
    let work = Work::of(taken, tier, complete_until);
    for rollup in &rollups {
        if let Some(first) = oldest.first_whole_bucket(*rollup) {
            target.roll(&transaction, *rollup, &work.since(first)).await?;
        }
    }
    marks::insert(&transaction, tier, &work.later).await?;
    if let Some(coarser) = tier.coarser() {
        marks::insert(&transaction, coarser, &work.marks_of(coarser)).await?;
    }
    transaction.commit().await?;
    Ok(n_marks)
}

/// The work of one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Work {
    all: Vec<Span>,
    some: Vec<(i32, Span)>,
    /// What is not complete yet, or too much for one transaction.
    later: Vec<Mark>,
}

impl Work {
    fn of(taken: Taken, tier: Tier, complete_until: TimestampMs) -> Self {
        let mut work = Self::default();
        let mut room_ms = ALL_AGENTS_MS_MAX.max(tier.bucket_ms());
        for span in taken.all {
            let (now, later) = span.split_at(complete_until.min(span.start.saturating_add(room_ms)));
            room_ms -= now.map_or(0, |span| span.end - span.start);
            work.all.extend(now);
            work.later.extend(later.map(|span| Mark { span, agent_key: None }));
        }
        for (agent_key, span) in taken.some {
            let (now, later) = span.split_at(complete_until);
            work.some.extend(now.map(|span| (agent_key, span)));
            work.later.extend(later.map(|span| Mark { span, agent_key: Some(agent_key) }));
        }
        work
    }

    /// Returns the part that does not lie before a time.
    fn since(&self, first: TimestampMs) -> Self {
        Self {
            all: self.all.iter().filter_map(|span| span.split_at(first).1).collect(),
            some: self.some.iter().filter_map(|(key, span)| Some((*key, span.split_at(first).1?))).collect(),
            later: Vec::new(),
        }
    }

    /// Returns the marks for a coarser tier.
    fn marks_of(&self, coarser: Tier) -> Vec<Mark> {
        let all = self.all.iter().map(|span| Mark { span: span.widened(coarser), agent_key: None });
        let some = self
            .some
            .iter()
            .map(|(agent_key, span)| Mark { span: span.widened(coarser), agent_key: Some(*agent_key) });
        all.chain(some).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Where the rows of the rollups are stored.
enum Target {
    /// In tables.
    Tables,
    /// In the hypertables behind aggregates, which themselves cannot be written.
    Aggregates { behind: HashMap<String, String>, skips_invalidation: bool },
}

impl Target {
    /// Keeps other writers away from the rollups until the transaction ends.
    async fn claim(
        &self,
        transaction: &Transaction<'_>,
        rollups: &[Rollup],
    ) -> Result<(), tokio_postgres::Error> {
        let Self::Aggregates { skips_invalidation, .. } = self else { return Ok(()) };
        let tables: Vec<String> =
            rollups.iter().map(|rollup| format!("ONLY {}", self.table(*rollup))).collect();
        // A refresh deletes its rows and inserts others. One running at the same time would do so with rows that are
        // replaced here, too, and leave them twice.
        let mut sql = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE;", tables.join(", "));
        sql += "SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0;";
        if *skips_invalidation {
            // The next tier learns of it by marks.
            sql += community::SKIP_INVALIDATION;
        }
        transaction.batch_execute(&sql).await
    }

    fn table(&self, rollup: Rollup) -> String {
        let relation = rollup.relation();
        match self {
            Self::Tables => relation,
            Self::Aggregates { behind, .. } => behind.get(&relation).cloned().unwrap_or(relation),
        }
    }

    async fn roll(
        &self,
        transaction: &Transaction<'_>,
        rollup: Rollup,
        work: &Work,
    ) -> Result<(), tokio_postgres::Error> {
        let fill = |template: &str| rollup.fill(template).replace("{behind}", &self.table(rollup));
        let statements = |rolled: &str, unroll: &str| match self {
            Self::Tables => vec![fill(&ROLL_APACHE.replace("{rolled}", rolled))],
            Self::Aggregates { .. } => vec![fill(unroll), fill(&ROLL_COMMUNITY.replace("{rolled}", rolled))],
        };
        if !work.all.is_empty() {
            for sql in statements(ROLLED_ALL, UNROLL_ALL) {
                let statement = transaction.prepare(&sql).await?;
                for span in &work.all {
                    transaction.execute(&statement, &[&span.start, &span.end]).await?;
                }
            }
        }
        let agent_keys: Vec<i32> = work.some.iter().map(|(agent_key, _)| *agent_key).collect();
        let starts: Vec<i64> = work.some.iter().map(|(_, span)| span.start).collect();
        let ends: Vec<i64> = work.some.iter().map(|(_, span)| span.end).collect();
        if let (Some(first), Some(last)) = (starts.iter().min(), ends.iter().max()) {
            for sql in statements(ROLLED_AGENTS, UNROLL_AGENTS) {
                transaction.execute(&sql, &[&starts, &ends, &agent_keys, first, last]).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_hour: i64, end_hour: i64) -> Span {
        Span { start: start_hour * HOUR_MS, end: end_hour * HOUR_MS }
    }

    fn all(span: Span) -> Mark {
        Mark { span, agent_key: None }
    }

    #[test]
    fn excess_and_incomplete_work_comes_later() {
        let taken = Taken {
            n_marks: 3,
            all: vec![span(0, 4), span(5, 9), span(10, 11)],
            some: vec![(7, span(3, 12))],
        };
        let work = Work::of(taken, Tier::OneMinute, 10 * HOUR_MS);
        assert_eq!(work.all, [span(0, 4), span(5, 7)]);
        assert_eq!(work.some, [(7, span(3, 10))]);
        let agent = Mark { span: span(10, 12), agent_key: Some(7) };
        assert_eq!(work.later, [all(span(7, 9)), all(span(10, 11)), agent]);
    }

    #[test]
    fn a_coarser_tier_is_marked_once() {
        let work = Work { all: vec![span(1, 2), span(3, 4)], some: vec![(7, span(1, 2))], later: Vec::new() };
        let agent = Mark { span: span(0, 24), agent_key: Some(7) };
        assert_eq!(work.marks_of(Tier::OneDay), [all(span(0, 24)), agent]);
        assert_eq!(work.since(2 * HOUR_MS).all, [span(3, 4)]);
    }
}
