//! One metric of the whole fleet, or of the agents with a tag: how it went on over time, and which agents had the most.

use tokio_postgres::Row;

use super::fleet::of_agents;
use super::{ChartConnection, Error};
use crate::domain::TimestampMs;
use crate::domain::fleet::{FleetMetric, FleetScope, RANKED_MAX, RankBy};
use crate::domain::id::AgentId;
use crate::domain::tier::Tier;
use crate::domain::time_range::TimeRange;

/// One metric of many agents together.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetTotals {
    /// The tier it was read from.
    pub tier: Tier,
    /// The grid of the buckets.
    pub range: TimeRange,
    /// The buckets with a sample, in order of time.
    pub buckets: Vec<FleetBucket>,
}

/// A bucket of a metric of many agents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FleetBucket {
    /// Where it starts.
    pub start: TimestampMs,
    /// Number of agents with a sample.
    pub n_agents: i64,
    /// Sum of the agents' averages.
    pub sum: f64,
    /// Median of the agents' averages.
    pub median: f64,
    /// 95th percentile of the agents' averages.
    pub p95: f64,
    /// The largest value of any agent.
    pub max: f64,
}

/// Agents in the order of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetRanking {
    /// The tier it was read from.
    pub tier: Tier,
    /// The span that was ranked.
    pub range: TimeRange,
    /// The agents, largest value first.
    pub agents: Vec<RankedAgent>,
}

/// An agent of a ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedAgent {
    /// The agent's id.
    pub agent: AgentId,
    /// The agent's name.
    pub name: String,
    /// The average over the span.
    pub avg: f64,
    /// The largest value in the span.
    pub max: f64,
}

/// Statement of the totals; parameters as for the series of the fleet. The rows of deleted agents, which stay for a
/// while, are left out.
pub(super) fn totals_statement(metric: FleetMetric, coarsest: Tier, has_keys: bool) -> String {
    format!(
        "SELECT bucket, count(*), sum(avg)::float8, \
             percentile_cont(ARRAY[0.5, 0.95]::float8[]) WITHIN GROUP (ORDER BY avg), max(high)::float8 \
         FROM ({}) AS of_agents WHERE avg IS NOT NULL AND agent_key IN (SELECT key FROM agents) \
         GROUP BY 1 ORDER BY 1",
        of_agents(metric, coarsest, has_keys)
    )
}

/// Statement of the agents with the most; parameters as for the series of the fleet. All buckets of an agent count the
/// same, however many samples they have.
pub(super) fn ranking_statement(metric: FleetMetric, by: RankBy, coarsest: Tier, has_keys: bool) -> String {
    let by = match by {
        RankBy::Average => "ranked.avg",
        RankBy::Largest => "ranked.high",
    };
    format!(
        "SELECT agents.id, coalesce(custom_name, name), ranked.avg, ranked.high \
         FROM (SELECT agent_key, avg(avg)::float8 AS avg, max(high)::float8 AS high FROM ({}) AS of_agents \
               WHERE avg IS NOT NULL GROUP BY 1) AS ranked \
         JOIN agents ON agents.key = ranked.agent_key ORDER BY {by} DESC, agents.key LIMIT {RANKED_MAX}",
        of_agents(metric, coarsest, has_keys)
    )
}

impl ChartConnection<'_> {
    /// Returns a metric of these agents together, from the finest tier with few enough rows.
    ///
    /// # Errors
    /// If the database is unavailable, or there would be too many values.
    pub async fn fleet_totals(
        &mut self,
        metric: FleetMetric,
        scope: &FleetScope,
        range: TimeRange,
        now: TimestampMs,
    ) -> Result<FleetTotals, Error> {
        let reading = self.fleet_reading(metric, scope, range, now).await?;
        let statement = totals_statement(metric, reading.tier, reading.has_keys);
        let rows = self.connection.query(&statement, &reading.parameters()).await?;
        Ok(FleetTotals {
            tier: reading.tier,
            range: reading.range,
            buckets: rows.iter().map(bucket).collect(),
        })
    }

    /// Returns the agents with the largest values of a metric, at most [`RANKED_MAX`].
    ///
    /// # Errors
    /// If the database is unavailable, or there would be too many values.
    pub async fn fleet_ranking(
        &mut self,
        metric: FleetMetric,
        by: RankBy,
        scope: &FleetScope,
        range: TimeRange,
        now: TimestampMs,
    ) -> Result<FleetRanking, Error> {
        let reading = self.fleet_reading(metric, scope, range, now).await?;
        let statement = ranking_statement(metric, by, reading.tier, reading.has_keys);
        let rows = self.connection.query(&statement, &reading.parameters()).await?;
        let ranked = |row: &Row| RankedAgent {
            agent: AgentId(row.get(0)),
            name: row.get(1),
            avg: row.get(2),
            max: row.get(3),
        };
        Ok(FleetRanking {
            tier: reading.tier,
            range: reading.range,
            agents: rows.iter().map(ranked).collect(),
        })
    }
}

fn bucket(row: &Row) -> FleetBucket {
    let percentiles: Vec<f64> = row.get(3);
    let percentile = |position: usize| percentiles.get(position).copied().unwrap_or_default();
    FleetBucket {
        start: row.get(0),
        n_agents: row.get(1),
        sum: row.get(2),
        median: percentile(0),
        p95: percentile(1),
        max: row.get(4),
    }
}
