//! One metric of the whole fleet in one answer: small charts for fleet lists.

use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::{Enum, Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::fleet_cache::{FleetQuestion, FleetSubject};
use super::metric_names::TierName;
use super::rounding::rounded;
use super::security::UserAuth;
use super::serialized::Written;
use super::{ApiContext, ApiError, Tag};
use crate::domain::fleet::{FleetMetric, FleetScope};
use crate::domain::id::AgentId;
use crate::domain::permission::Permission;
use crate::domain::time_range::{TimeRange, TimeRangeRequest};
use crate::store::{AgentSeries, FleetSeries};

/// Small charts of the whole fleet.
#[derive(Debug)]
pub struct SparklinesApi;

/// A metric with one value per agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "FleetMetric", rename_all = "camelCase")]
pub(super) enum FleetMetricName {
    /// CPU usage, in percent.
    CpuUsagePercent,
    /// Memory usage, in percent.
    MemoryUsagePercent,
    /// Memory used, in bytes.
    MemoryUsedBytes,
    /// Usage of the fullest disk, in percent.
    DiskUsagePercent,
    /// Bytes received per second, over all interfaces.
    ReceivedBytesPerSecond,
    /// Bytes sent per second, over all interfaces.
    SentBytesPerSecond,
    /// Load average over one minute.
    Load1,
}

impl From<FleetMetricName> for FleetMetric {
    fn from(name: FleetMetricName) -> Self {
        match name {
            FleetMetricName::CpuUsagePercent => FleetMetric::CpuUsagePercent,
            FleetMetricName::MemoryUsagePercent => FleetMetric::MemoryUsagePercent,
            FleetMetricName::MemoryUsedBytes => FleetMetric::MemoryUsedBytes,
            FleetMetricName::DiskUsagePercent => FleetMetric::DiskUsagePercent,
            FleetMetricName::ReceivedBytesPerSecond => FleetMetric::ReceivedBytesPerSecond,
            FleetMetricName::SentBytesPerSecond => FleetMetric::SentBytesPerSecond,
            FleetMetricName::Load1 => FleetMetric::Load1,
        }
    }
}

/// One metric of several agents, all on the same buckets.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
struct Sparklines {
    /// The name of the metric.
    metric: String,
    /// Where the first bucket starts, in milliseconds since the Unix epoch.
    start: i64,
    /// Width of a bucket in milliseconds: the n-th bucket, counted from 0, starts `n * intervalMs` after `start`.
    interval_ms: i64,
    /// The stored resolution of the answer; its newest part, which is not rolled up yet, comes from finer ones.
    tier: TierName,
    /// One entry per agent with a sample in the range, in no particular order.
    items: Vec<Sparkline>,
}

/// One agent's line. Both lists have an entry per bucket; null if there was no sample.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
struct Sparkline {
    /// The agent's id.
    agent_id: Uuid,
    /// The average of each bucket: of the fullest of several disks, of the sum of several interfaces.
    avg: Vec<Option<f64>>,
    /// The largest value of each bucket; for several interfaces the sum of their largest values.
    max: Vec<Option<f64>>,
}

impl Sparklines {
    fn new(metric: FleetMetric, series: FleetSeries) -> Self {
        let FleetSeries { tier, range, agents } = series;
        Self {
            metric: metric.name().to_owned(),
            start: range.start,
            interval_ms: range.interval_ms,
            tier: tier.into(),
            items: agents.into_iter().map(Sparkline::from).collect(),
        }
    }
}

impl From<AgentSeries> for Sparkline {
    fn from(AgentSeries { agent, avg, max }: AgentSeries) -> Self {
        let round = |values: Vec<Option<f64>>| values.into_iter().map(|value| value.map(rounded)).collect();
        Self { agent_id: agent.0, avg: round(avg), max: round(max) }
    }
}

#[OpenApi(prefix_path = "/api/agents", tag = "Tag::Agents")]
impl SparklinesApi {
    /// Get one metric of many agents
    ///
    /// For small charts in a fleet list: every agent's samples between `start` and `end` in the same buckets, which are
    /// at least a minute wide, and wider for a large fleet. An answer may be up to half a minute old.
    #[oai(path = "/metrics/sparklines", method = "get", operation_id = "getSparklines")]
    #[expect(clippy::too_many_arguments, reason = "one argument a parameter")]
    async fn sparklines(
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
        #[oai(default = "default_points", validator(minimum(value = "1"), maximum(value = "200")))]
        points: Query<u32>,
        /// Only these agents; may be repeated. By default all. Unknown ones are omitted from the answer.
        #[oai(name = "agentId", validator(max_items = "200"))]
        agent_ids: Query<Option<Vec<Uuid>>>,
    ) -> Result<Written<Sparklines>, ApiError> {
        let caller = auth.require(Permission::Read)?;
        let now = context.clock.now();
        let request =
            TimeRangeRequest { start: start.0, end: end.0, points: Some(points.0), interval_ms: None };
        let range = TimeRange::resolve(request, now)?;
        let mut agents = agent_ids.0.unwrap_or_default();
        agents.sort_unstable();
        agents.dedup();
        let scope = match agents.as_slice() {
            [] => FleetScope::All,
            _ => FleetScope::Agents(agents.into_iter().map(AgentId).collect()),
        };
        let question =
            FleetQuestion { about: FleetSubject::Sparklines, metric: metric.0.into(), range, scope };
        let reading = context.fleet_answers.answer(&question, async {
            let mut connection = context.store.chart_connection().await?;
            let series = connection.fleet_series(question.metric, &question.scope, range, now).await?;
            Ok(Written::text(&Sparklines::new(question.metric, series)))
        });
        Ok(Written::new(context.charts.read(caller.user.id, reading).await?))
    }
}

fn default_points() -> u32 {
    30
}
