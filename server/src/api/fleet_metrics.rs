//! One metric of the whole fleet together: how it went on, and which agents had the most.

use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::{Enum, Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::checked::search_text;
use super::fleet_cache::{FleetQuestion, FleetSubject};
use super::metric_names::TierName;
use super::rounding::rounded;
use super::security::UserAuth;
use super::serialized::Written;
use super::sparklines::FleetMetricName;
use super::{ApiContext, ApiError, Tag};
use crate::domain::TimestampMs;
use crate::domain::fleet::{FleetMetric, FleetScope, RankBy};
use crate::domain::permission::Permission;
use crate::domain::time_range::{TimeRange, TimeRangeRequest};
use crate::store::{FleetBucket, FleetRanking, FleetTotals, RankedAgent};

/// Maximum number of buckets that a ranking is read in.
const RANKING_POINTS: u32 = 60;

/// Metrics of the whole fleet together.
#[derive(Debug)]
pub struct FleetMetricsApi;

/// One metric of many agents together. The lists have one entry per bucket with a sample.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
struct FleetMetrics {
    /// The name of the metric.
    metric: String,
    /// Width of a bucket in milliseconds.
    interval_ms: i64,
    /// The stored resolution of the answer; its newest part, which is not rolled up yet, comes from finer ones.
    tier: TierName,
    /// Where each bucket starts, in milliseconds since the Unix epoch.
    timestamps: Vec<i64>,
    /// The number of agents with a sample in each bucket.
    agents: Vec<i64>,
    /// The sum of the agents' averages.
    sum: Vec<f64>,
    /// The average of the agents' averages.
    avg: Vec<f64>,
    /// The median of the agents' averages.
    p50: Vec<f64>,
    /// The 95th percentile of the agents' averages.
    p95: Vec<f64>,
    /// The largest value of any agent.
    max: Vec<f64>,
}

/// The agents with the largest values of a metric.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "FleetRanking", rename_all = "camelCase")]
struct FleetRankingBody {
    /// The name of the metric.
    metric: String,
    /// Start of the ranked range, in milliseconds since the Unix epoch: the requested one, rounded down to a bucket.
    start: i64,
    /// End of the ranked range, in milliseconds since the Unix epoch: the requested one, rounded up to a bucket.
    end: i64,
    /// The stored resolution of the answer.
    tier: TierName,
    /// The agents, largest value first.
    items: Vec<RankedAgentBody>,
}

/// An agent of a ranking.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "RankedAgent", rename_all = "camelCase")]
struct RankedAgentBody {
    /// The agent's id.
    agent_id: Uuid,
    /// The agent's name.
    name: String,
    /// The average over the range: of the fullest of several disks, of the sum of several interfaces.
    avg: f64,
    /// The largest value in the range.
    max: f64,
}

/// What the agents of a ranking are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "RankBy", rename_all = "camelCase")]
enum RankByName {
    /// The average over the range.
    Avg,
    /// The largest value in the range.
    Max,
}

impl From<RankByName> for RankBy {
    fn from(name: RankByName) -> Self {
        match name {
            RankByName::Avg => RankBy::Average,
            RankByName::Max => RankBy::Largest,
        }
    }
}

impl FleetMetrics {
    fn new(metric: FleetMetric, totals: &FleetTotals) -> Self {
        let values =
            |value: fn(&FleetBucket) -> f64| totals.buckets.iter().map(|b| rounded(value(b))).collect();
        #[expect(clippy::cast_precision_loss, reason = "a number of agents")]
        let avg = |bucket: &FleetBucket| bucket.sum / bucket.n_agents.max(1) as f64;
        Self {
            metric: metric.name().to_owned(),
            interval_ms: totals.range.interval_ms,
            tier: totals.tier.into(),
            timestamps: totals.buckets.iter().map(|bucket| bucket.start).collect(),
            agents: totals.buckets.iter().map(|bucket| bucket.n_agents).collect(),
            sum: values(|bucket| bucket.sum),
            avg: values(avg),
            p50: values(|bucket| bucket.median),
            p95: values(|bucket| bucket.p95),
            max: values(|bucket| bucket.max),
        }
    }
}

impl FleetRankingBody {
    fn new(metric: FleetMetric, ranking: FleetRanking, limit: usize) -> Self {
        let ranked = |RankedAgent { agent, name, avg, max }| RankedAgentBody {
            agent_id: agent.0,
            name,
            avg: rounded(avg),
            max: rounded(max),
        };
        Self {
            metric: metric.name().to_owned(),
            start: ranking.range.start,
            end: ranking.range.end,
            tier: ranking.tier.into(),
            items: ranking.agents.into_iter().take(limit).map(ranked).collect(),
        }
    }
}

#[OpenApi(prefix_path = "/api/fleet", tag = "Tag::Agents")]
impl FleetMetricsApi {
    /// Get one metric of the whole fleet
    ///
    /// All agents together, or those with a tag, in buckets of at least a minute, wider for a large fleet. An answer may
    /// be up to half a minute old.
    #[oai(path = "/metrics", method = "get", operation_id = "getFleetMetrics")]
    #[expect(clippy::too_many_arguments, reason = "one argument a parameter")]
    async fn metrics(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The name of the metric.
        metric: Query<FleetMetricName>,
        /// Start of the range, in milliseconds since the Unix epoch, inclusive; by default an hour before `end`.
        start: Query<Option<i64>>,
        /// End of the range, in milliseconds since the Unix epoch, exclusive; by default now.
        end: Query<Option<i64>>,
        /// Maximum number of buckets.
        #[oai(default = "default_points", validator(minimum(value = "1"), maximum(value = "600")))]
        points: Query<u32>,
        /// Only agents with this tag.
        #[oai(validator(max_length = 64))]
        tag: Query<Option<String>>,
    ) -> Result<Written<FleetMetrics>, ApiError> {
        let caller = auth.require(Permission::Read)?;
        let now = context.clock.now();
        let question = question(FleetSubject::Totals, metric.0, (start.0, end.0), points.0, tag.0, now)?;
        let reading = context.fleet_answers.answer(&question, async {
            let mut connection = context.store.chart_connection().await?;
            let FleetQuestion { metric, range, scope, .. } = &question;
            let totals = connection.fleet_totals(*metric, scope, *range, now).await?;
            Ok(Written::text(&FleetMetrics::new(*metric, &totals)))
        });
        Ok(Written::new(context.charts.read(caller.user.id, reading).await?))
    }

    /// Get the agents with the largest values of a metric
    ///
    /// Ranks all agents, or those with a tag, that have a sample in the range. An answer may be up to half a minute old.
    #[oai(path = "/top", method = "get", operation_id = "getFleetRanking")]
    #[expect(clippy::too_many_arguments, reason = "one argument a parameter")]
    async fn top(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The name of the metric.
        metric: Query<FleetMetricName>,
        /// What the agents are ordered by; by default their average.
        by: Query<Option<RankByName>>,
        /// Start of the range, in milliseconds since the Unix epoch, inclusive; by default an hour before `end`.
        start: Query<Option<i64>>,
        /// End of the range, in milliseconds since the Unix epoch, exclusive; by default now.
        end: Query<Option<i64>>,
        /// Maximum number of agents.
        #[oai(default = "default_limit", validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<usize>,
        /// Only agents with this tag.
        #[oai(validator(max_length = 64))]
        tag: Query<Option<String>>,
    ) -> Result<Written<FleetRankingBody>, ApiError> {
        let caller = auth.require(Permission::Read)?;
        let now = context.clock.now();
        let (by, limit) = (by.0.map_or(RankBy::Average, RankBy::from), limit.0);
        let about = FleetSubject::Ranking(by, limit);
        let question = question(about, metric.0, (start.0, end.0), RANKING_POINTS, tag.0, now)?;
        let reading = context.fleet_answers.answer(&question, async {
            let mut connection = context.store.chart_connection().await?;
            let FleetQuestion { metric, range, scope, .. } = &question;
            let ranking = connection.fleet_ranking(*metric, by, scope, *range, now).await?;
            Ok(Written::text(&FleetRankingBody::new(*metric, ranking, limit)))
        });
        Ok(Written::new(context.charts.read(caller.user.id, reading).await?))
    }
}

fn question(
    about: FleetSubject,
    metric: FleetMetricName,
    (start, end): (Option<TimestampMs>, Option<TimestampMs>),
    points: u32,
    tag: Option<String>,
    now: TimestampMs,
) -> Result<FleetQuestion, ApiError> {
    let request = TimeRangeRequest { start, end, points: Some(points), interval_ms: None };
    let range = TimeRange::resolve(request, now)?;
    let scope = search_text("tag", tag)?.map_or(FleetScope::All, FleetScope::Tag);
    Ok(FleetQuestion { about, metric: metric.into(), range, scope })
}

fn default_points() -> u32 {
    120
}

fn default_limit() -> usize {
    10
}
