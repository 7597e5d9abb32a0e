//! The newest values: of one agent in full, of the whole fleet in summary.

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
    /// One entry per agent that ever reported, in no particular order.
    items: Vec<AgentLatestBody>,
    /// Number of entries.
    total: u64,
}

/// The newest values of an agent in summary; null for those it never reported.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename = "AgentLatest", rename_all = "camelCase")]
pub(super) struct AgentLatestBody {
    /// The agent's id.
    agent_id: Uuid,
    /// When the newest sample was taken, in milliseconds since the Unix epoch.
    timestamp: i64,
    /// CPU usage, in percent (0–100).
    cpu_usage_percent: Option<f64>,
    /// Memory usage, in percent (0–100).
    memory_usage_percent: Option<f64>,
    /// Memory used, in bytes.
    memory_used_bytes: Option<i64>,
    /// Total memory, in bytes.
    memory_total_bytes: Option<i64>,
    /// Usage of the fullest disk, in percent (0–100).
    disk_usage_percent: Option<f64>,
    /// Bytes received per second, over all interfaces.
    received_bytes_per_second: Option<f64>,
    /// Bytes sent per second, over all interfaces.
    sent_bytes_per_second: Option<f64>,
    /// Load average over one minute.
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
    /// One row per agent, available even right after a restart of the server. Values of agents connected to another
    /// server are up to five seconds old.
    #[oai(path = "/metrics/latest", method = "get", operation_id = "getLatestFleetMetrics")]
    async fn fleet_latest(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Serialized<FleetLatest>, ApiError> {
        auth.require(Permission::Read)?;
        let written = context.store.fleet_latest().await?;
        // Values already sent in events may not be saved yet, and a client that subscribed afterwards would miss them.
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
