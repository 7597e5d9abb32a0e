//! Metrics of several agents and families in one answer.

use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::metric_names::MetricType;
use super::metrics::{Metrics, default_points, read_buckets};
use super::security::UserAuth;
use super::serialized::Serialized;
use super::{ApiContext, ApiError, Tag};
use crate::domain::id::AgentId;
use crate::domain::permission::Permission;
use crate::domain::time_range::{TimeRange, TimeRangeRequest};

/// Most values (buckets of all series) of one answer.
const VALUES_MAX: usize = 300_000;

/// Metrics of several agents.
#[derive(Debug)]
pub struct SeveralMetricsApi;

/// Metrics of several agents and families.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
struct MetricsList {
    /// One entry an agent and family, in the order in which they were asked for.
    items: Vec<Metrics>,
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Agents")]
impl SeveralMetricsApi {
    /// Get metrics of several agents
    ///
    /// What `GET /api/agents/{id}/metrics` answers, for every agent and family that is named.
    #[oai(path = "/metrics", method = "get", operation_id = "getMetrics")]
    #[expect(clippy::too_many_arguments, reason = "one argument a parameter")]
    async fn metrics(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// Which agents; may be repeated. Unknown ones are left out of the answer.
        #[oai(name = "agentId", validator(min_items = "1", max_items = "50"))]
        agent_ids: Query<Vec<Uuid>>,
        /// Which families; may be repeated.
        #[oai(name = "type", validator(min_items = "1", max_items = "50"))]
        types: Query<Vec<MetricType>>,
        /// Only series of this metric, for example `usagePercent`.
        #[oai(validator(max_length = 64))]
        metric: Query<Option<String>>,
        /// First millisecond wanted, since the Unix epoch; an hour before `end` where it is left out.
        start: Query<Option<i64>>,
        /// First millisecond not wanted, since the Unix epoch; now where it is left out.
        end: Query<Option<i64>>,
        /// How many buckets of each series at most (1–5000).
        #[oai(default = "default_points")]
        points: Query<u32>,
    ) -> Result<Serialized<MetricsList>, ApiError> {
        let caller = auth.require(Permission::Read)?;
        let now = context.clock.now();
        let request =
            TimeRangeRequest { start: start.0, end: end.0, points: Some(points.0), interval_ms: None };
        let range = TimeRange::resolve(request, now)?;
        let mut items = Vec::new();
        let mut n_values = 0;
        for id in each_once(&agent_ids.0) {
            for family in each_once(&types.0) {
                let reading = read_buckets(&context.store, AgentId(id), family.into(), range, now);
                let Some(mut found) = context.charts.read(caller.user.id, reading).await? else {
                    break;
                };
                if let Some(metric) = &metric.0 {
                    found.keep_only(metric);
                }
                n_values += found.n_values();
                if VALUES_MAX < n_values {
                    return Err(ApiError::unprocessable(
                        "points",
                        "all series together have too many buckets; ask for fewer points, agents or types",
                    ));
                }
                items.push(found);
            }
        }
        Ok(Serialized(MetricsList { items }))
    }
}

/// The values in their order, each once.
fn each_once<T: Copy + PartialEq>(values: &[T]) -> Vec<T> {
    let mut once: Vec<T> = Vec::new();
    for value in values {
        if !once.contains(value) {
            once.push(*value);
        }
    }
    once
}
