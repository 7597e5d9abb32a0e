//! One metric of the whole fleet, or of some agents, in buckets: one series per agent.

use std::collections::HashMap;

use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::{Connection, Parameter};
use super::metrics::bounds;
use super::rollup::{self, Content};
use super::{ChartConnection, Error};
use crate::domain::TimestampMs;
use crate::domain::fleet::{Combination, FleetMetric, FleetScope};
use crate::domain::id::AgentId;
use crate::domain::tier::Tier;
use crate::domain::time_range::TimeRange;

const KEYS_OF_ALL: &str = "SELECT key, id FROM agents";
const KEYS_OF: &str = "SELECT key, id FROM agents WHERE id = ANY ($1)";
const KEYS_TAGGED: &str = "SELECT key, id FROM agents WHERE $1 = ANY (tags)";

pub(super) const STATEMENTS: &[&str] = &[KEYS_OF_ALL, KEYS_OF, KEYS_TAGGED];

/// Maximum values of all agents together in one answer.
const VALUES_MAX: usize = 1_000_000;

/// One metric of several agents, on one grid.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetSeries {
    /// The tier it was read from.
    pub tier: Tier,
    /// The grid: every agent has one value per bucket.
    pub range: TimeRange,
    /// One entry per agent with a sample in the range, in no particular order.
    pub agents: Vec<AgentSeries>,
}

/// The series of one agent; `None` in buckets without a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentSeries {
    /// The agent's id.
    pub agent: AgentId,
    /// The average of each bucket.
    pub avg: Vec<Option<f64>>,
    /// The largest value of each bucket.
    pub max: Vec<Option<f64>>,
}

/// Statement that cuts one metric of many agents into buckets: width, then one bound more than there are tiers, then
/// the agents' keys unless all are wanted → agent, and as lists its buckets, averages and maxima.
pub(super) fn statement(metric: FleetMetric, coarsest: Tier, has_keys: bool) -> String {
    format!(
        "SELECT agent_key, array_agg(bucket), array_agg(avg), array_agg(high) FROM ({}) AS of_agents \
         WHERE avg IS NOT NULL GROUP BY 1",
        of_agents(metric, coarsest, has_keys)
    )
}

/// The buckets of many agents, one row for each: agent, bucket, average and largest value. Parameters as for
/// [`statement`]. As in the chart of one agent, each tier covers the span for which it is complete.
pub(super) fn of_agents(metric: FleetMetric, coarsest: Tier, has_keys: bool) -> String {
    let (avg, max) = match metric.combination() {
        Combination::One | Combination::Largest => ("max(avg)", "max(high)"),
        Combination::Sum => ("sum(avg)", "sum(high)"),
    };
    format!(
        "SELECT agent_key, bucket, {avg} AS avg, {max} AS high FROM ({}) AS of_series GROUP BY 1, 2",
        series(metric, coarsest, has_keys)
    )
}

fn series(metric: FleetMetric, coarsest: Tier, has_keys: bool) -> String {
    let tiers: Vec<Tier> = coarsest.and_finer(metric.family().declaration()).collect();
    let keys = has_keys.then(|| format!("agent_key = ANY (${}::int4[]) AND", tiers.len() + 3));
    let keys = keys.as_deref().unwrap_or_default();
    let family = metric.family();
    let series = family.series_column().unwrap_or("0");
    let pieces = tiers.into_iter().zip(2..).filter_map(|(tier, bound)| {
        let relation = rollup::relation(family.declaration(), tier, Content::Metrics);
        let time = rollup::time_column(tier);
        let [weight, total, _, high] = rollup::chart_expressions(metric.metric()?, tier);
        Some(format!(
            "SELECT agent_key, {series}::int4 AS series, time_bucket($1::int8, {time}) AS bucket, {weight} AS weight, \
                 {total} AS total, {high} AS high \
             FROM {relation} WHERE {keys} ${bound}::int8 <= {time} AND {time} < ${next}::int8 GROUP BY 1, 2, 3",
            next = bound + 1
        ))
    });
    format!(
        "SELECT agent_key, series, bucket, (sum(total) / nullif(sum(weight), 0))::float8 AS avg, max(high)::float8 AS high \
         FROM ({}) AS pieces GROUP BY 1, 2, 3",
        pieces.collect::<Vec<_>>().join(" UNION ALL ")
    )
}

/// What a query of the fleet reads.
#[derive(Debug)]
pub(super) struct FleetReading {
    pub(super) tier: Tier,
    pub(super) range: TimeRange,
    /// Whether the statement has the agents' keys as its last parameter.
    pub(super) has_keys: bool,
    ids: HashMap<i32, AgentId>,
    keys: Vec<i32>,
    bounds: Vec<TimestampMs>,
}

impl FleetReading {
    /// Returns the parameters of the statement.
    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        let mut parameters: Vec<Parameter<'_>> = vec![&self.range.interval_ms];
        parameters.extend(self.bounds.iter().map(|bound| bound as Parameter<'_>));
        if self.has_keys {
            parameters.push(&self.keys);
        }
        parameters
    }
}

impl ChartConnection<'_> {
    /// Chooses the finest tier with few enough rows for a query of these agents.
    pub(super) async fn fleet_reading(
        &mut self,
        metric: FleetMetric,
        scope: &FleetScope,
        range: TimeRange,
        now: TimestampMs,
    ) -> Result<FleetReading, Error> {
        let retention = self.retention().await?;
        let connection = &mut *self.connection;
        let ids = ids(connection, scope).await?;
        let table = metric.family().declaration();
        let keep_ms = |tier: Tier| retention.keep_ms(tier.stored(table));
        let (tier, range) = range.tier_of_fleet(now, keep_ms, ids.len());
        if VALUES_MAX < ids.len().saturating_mul(range.n_buckets()) {
            return Err(Error::TooManyBuckets);
        }
        let tiers = tier.and_finer(table);
        let bounds = bounds(connection, metric.family(), Content::Metrics, tiers, range).await?;
        let keys = ids.keys().copied().collect();
        Ok(FleetReading { tier, range, has_keys: *scope != FleetScope::All, ids, keys, bounds })
    }

    /// Returns a metric of these agents, from the finest tier with few enough rows.
    ///
    /// # Errors
    /// If the database is unavailable, or there would be too many values.
    pub async fn fleet_series(
        &mut self,
        metric: FleetMetric,
        scope: &FleetScope,
        range: TimeRange,
        now: TimestampMs,
    ) -> Result<FleetSeries, Error> {
        let reading = self.fleet_reading(metric, scope, range, now).await?;
        let FleetReading { tier, range, .. } = reading;
        let statement = statement(metric, tier, reading.has_keys);
        let rows = self.connection.query(&statement, &reading.parameters()).await?;
        // The rows of a deleted agent stay for a while.
        let of_agent = |row: &Row| Some(dense(*reading.ids.get(&row.get(0))?, row, range));
        Ok(FleetSeries { tier, range, agents: rows.iter().filter_map(of_agent).collect() })
    }
}

async fn ids(connection: &mut Connection, scope: &FleetScope) -> Result<HashMap<i32, AgentId>, Error> {
    let rows = match scope {
        FleetScope::All => connection.query(KEYS_OF_ALL, &[]).await?,
        FleetScope::Agents(agents) => {
            let ids: Vec<Uuid> = agents.iter().map(|agent| agent.0).collect();
            connection.query(KEYS_OF, &[&ids]).await?
        }
        FleetScope::Tag(tag) => connection.query(KEYS_TAGGED, &[tag]).await?,
    };
    Ok(rows.iter().map(|row| (row.get(0), AgentId(row.get(1)))).collect())
}

/// Puts an agent's buckets into their places on the grid.
fn dense(agent: AgentId, row: &Row, range: TimeRange) -> AgentSeries {
    let n_buckets = range.n_buckets();
    let mut series = AgentSeries { agent, avg: vec![None; n_buckets], max: vec![None; n_buckets] };
    let (buckets, avg, max): (Vec<i64>, Vec<Option<f64>>, Vec<Option<f64>>) =
        (row.get(1), row.get(2), row.get(3));
    for ((bucket, avg), max) in buckets.into_iter().zip(avg).zip(max) {
        let position = usize::try_from((bucket - range.start) / range.interval_ms).unwrap_or(usize::MAX);
        if let (Some(avg_place), Some(max_place)) =
            (series.avg.get_mut(position), series.max.get_mut(position))
        {
            (*avg_place, *max_place) = (avg, max);
        }
    }
    series
}
