//! The newest values: of one agent in full, of the whole fleet at a glance.

use std::collections::HashMap;

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::latest_values::LatestBody;
use super::rounding::{rounded, rounded_f32};
use super::security::UserAuth;
use super::serialized::Serialized;
use super::{ApiContext, ApiError, Tag, agents};
use crate::domain::id::AgentId;
use crate::domain::latest::AgentLatest;
use crate::domain::permission::Permission;

/// The newest values.
#[derive(Debug)]
pub struct LatestApi;

/// The newest values of the whole fleet.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase")]
struct FleetLatest {
    /// One entry an agent that ever reported, in no order.
    items: Vec<AgentLatestBody>,
    /// How many there are.
    total: u64,
}

/// The newest values of an agent, at a glance; null where it never reported one.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "AgentLatest", rename_all = "camelCase")]
pub(super) struct AgentLatestBody {
    /// Whose.
    agent_id: Uuid,
    /// When the newest sample was taken, in milliseconds since the Unix epoch.
    timestamp: i64,
    /// Percent of the processors not idle (0–100).
    cpu_usage_percent: Option<f64>,
    /// Percent of memory used (0–100).
    memory_usage_percent: Option<f64>,
    /// Memory used, in bytes.
    memory_used_bytes: Option<i64>,
    /// Memory, in bytes.
    memory_total_bytes: Option<i64>,
    /// Percent used of the fullest disk (0–100).
    disk_usage_percent: Option<f64>,
    /// Received by all interfaces together, in bytes a second.
    received_bytes_per_second: Option<f64>,
    /// Sent by all interfaces together, in bytes a second.
    sent_bytes_per_second: Option<f64>,
    /// Load over one minute.
    load1: Option<f64>,
}

impl From<(AgentId, AgentLatest)> for AgentLatestBody {
    fn from((agent_id, latest): (AgentId, AgentLatest)) -> Self {
        Self {
            agent_id: agent_id.0,
            timestamp: latest.ts,
            cpu_usage_percent: latest.cpu_usage_percent.map(rounded_f32),
            memory_usage_percent: latest.memory_usage_percent.map(rounded_f32),
            memory_used_bytes: latest.memory_used_bytes,
            memory_total_bytes: latest.memory_total_bytes,
            disk_usage_percent: latest.disk_usage_percent.map(rounded_f32),
            received_bytes_per_second: latest.received_bytes_per_second.map(rounded),
            sent_bytes_per_second: latest.sent_bytes_per_second.map(rounded),
            load1: latest.load1.map(rounded_f32),
        }
    }
}

#[OpenApi(prefix_path = "/api/agents", tag = "Tag::Agents")]
impl LatestApi {
    /// Get the latest metrics of the whole fleet
    ///
    /// One row an agent, also right after a restart of the server. Values of agents that are connected to another server
    /// are up to five seconds old.
    #[oai(path = "/metrics/latest", method = "get", operation_id = "getLatestFleetMetrics")]
    async fn fleet_latest(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Serialized<FleetLatest>, ApiError> {
        auth.require(Permission::Read)?;
        let written = context.store.fleet_latest().await?;
        // What events told of is not written down yet, and somebody who began to watch after that would miss it.
        let mut newest: HashMap<AgentId, AgentLatest> = context.sockets.latest().into_iter().collect();
        let mut items = Vec::with_capacity(written.len() + newest.len());
        for (id, written) in written {
            let latest = newest.remove(&id).map_or(written, |newest| written.merged_with(newest));
            items.push(AgentLatestBody::from((id, latest)));
        }
        items.extend(newest.into_iter().map(AgentLatestBody::from));
        Ok(Serialized(FleetLatest { total: items.len() as u64, items }))
    }

    /// Get an agent's latest metrics
    #[oai(path = "/:id/metrics/latest", method = "get", operation_id = "getLatestAgentMetrics")]
    async fn latest(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The agent's id.
        id: Path<Uuid>,
    ) -> Result<Json<LatestBody>, ApiError> {
        auth.require(Permission::Read)?;
        let agent = agents::find(&context.store, id.0).await?;
        let latest = context.store.latest_metrics(agent.key).await?;
        Ok(Json(LatestBody::new(id.0, latest)))
    }
}
