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

/// Maximum values (buckets of all series) in one answer.
const VALUES_MAX: usize = 300_000;

/// Metrics of several agents.
#[derive(Debug)]
pub struct SeveralMetricsApi;

/// Metrics of several agents and families.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
struct MetricsList {
    /// One entry per agent and family, in the order requested.
    items: Vec<Metrics>,
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Agents")]
impl SeveralMetricsApi {
    /// Get metrics of several agents
    ///
    /// Like `GET /api/agents/{id}/metrics`, for every given agent and family.
    #[oai(path = "/metrics", method = "get", operation_id = "getMetrics")]
    #[expect(clippy::too_many_arguments, reason = "one argument a parameter")]
    async fn metrics(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The agents' ids; may be repeated. Unknown ones are omitted from the answer.
        #[oai(name = "agentId", validator(min_items = "1", max_items = "50"))]
        agent_ids: Query<Vec<Uuid>>,
        /// The families; may be repeated.
        #[oai(name = "type", validator(min_items = "1", max_items = "50"))]
        types: Query<Vec<MetricType>>,
        /// Only series of this metric, for example `usagePercent`.
        #[oai(validator(max_length = 64))]
        metric: Query<Option<String>>,
        /// Start of the range, in milliseconds since the Unix epoch, inclusive; by default an hour before `end`.
        start: Query<Option<i64>>,
        /// End of the range, in milliseconds since the Unix epoch, exclusive; by default now.
        end: Query<Option<i64>>,
        /// Maximum number of buckets in each series (1–5000).
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

/// Removes duplicates, keeping the order.
fn each_once<T: Copy + PartialEq>(values: &[T]) -> Vec<T> {
    let mut once: Vec<T> = Vec::new();
    for value in values {
        if !once.contains(value) {
            once.push(*value);
        }
    }
    once
}
