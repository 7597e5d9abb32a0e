//! The newest values: of one agent in full, of the whole fleet at a glance.

use std::collections::HashMap;

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::rounding::{rounded, rounded_f32};
use super::security::UserAuth;
use super::serialized::Serialized;
use super::{ApiContext, ApiError, Tag, agents};
use crate::domain::id::AgentId;
use crate::domain::latest::AgentLatest;
use crate::domain::permission::Permission;
use crate::domain::row::{CpuRow, DiskRow, LoadRow, MemoryRow, NetworkRow};
use crate::store::{LatestMetrics, SeriesLabel};

/// The newest values.
#[derive(Debug)]
pub struct LatestApi;

/// The newest values of an agent, however old they are; each says when it was taken.
#[derive(Debug, Object)]
#[oai(rename = "LatestMetrics", rename_all = "camelCase")]
pub(super) struct LatestBody {
    /// Whose.
    agent_id: Uuid,
    /// Processor.
    cpu: Option<LatestCpu>,
    /// Memory and swap.
    memory: Option<LatestMemory>,
    /// Disks, by mount point.
    disks: Vec<LatestDisk>,
    /// Network interfaces, by name.
    networks: Vec<LatestNetwork>,
    /// Load averages.
    load: Option<LatestLoad>,
}

/// Processor.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct LatestCpu {
    /// When, in milliseconds since the Unix epoch.
    timestamp: i64,
    /// Logical cores.
    core_count: i32,
    /// Percent not idle (0–100).
    usage_percent: f64,
    /// Percent in user mode.
    user_percent: Option<f64>,
    /// Percent in the kernel.
    system_percent: Option<f64>,
    /// Percent idle while waiting for disks.
    iowait_percent: Option<f64>,
    /// Percent taken by the hypervisor.
    steal_percent: Option<f64>,
}

/// Memory and swap.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct LatestMemory {
    /// When, in milliseconds since the Unix epoch.
    timestamp: i64,
    /// Memory in bytes.
    total_bytes: i64,
    /// Total minus available, in bytes.
    used_bytes: i64,
    /// Unused altogether, in bytes.
    free_bytes: i64,
    /// To be had without swapping, in bytes.
    available_bytes: Option<i64>,
    /// Percent used (0–100).
    usage_percent: f64,
    /// Swap in bytes.
    swap_total_bytes: Option<i64>,
    /// Swap in use, in bytes.
    swap_used_bytes: Option<i64>,
}

/// A mounted file system.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct LatestDisk {
    /// When, in milliseconds since the Unix epoch.
    timestamp: i64,
    /// Where it is mounted.
    mount_point: String,
    /// Its device.
    device: String,
    /// The file system's type.
    fs_type: String,
    /// Its size in bytes.
    total_bytes: i64,
    /// In use, in bytes.
    used_bytes: i64,
    /// What programs can still write, in bytes.
    free_bytes: i64,
    /// Percent used (0–100).
    usage_percent: f64,
    /// Percent of inodes used (0–100).
    inodes_usage_percent: Option<f64>,
}

/// A network interface.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct LatestNetwork {
    /// When, in milliseconds since the Unix epoch.
    timestamp: i64,
    /// Its name.
    interface: String,
    /// Bytes received, as the kernel counts them.
    received_bytes_total: i64,
    /// Bytes sent, as the kernel counts them.
    sent_bytes_total: i64,
    /// Received since the previous sample, in bytes a second; null in the first.
    received_bytes_per_second: Option<f64>,
    /// Sent since the previous sample, in bytes a second; null in the first.
    sent_bytes_per_second: Option<f64>,
}

/// Load averages.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct LatestLoad {
    /// When, in milliseconds since the Unix epoch.
    timestamp: i64,
    /// Over one minute.
    load1: f64,
    /// Over five minutes.
    load5: f64,
    /// Over fifteen minutes.
    load15: f64,
}

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
        let mut latest: HashMap<AgentId, AgentLatest> =
            context.store.fleet_latest().await?.into_iter().collect();
        // What events told of is not written down yet, and somebody who began to watch after that would miss it.
        for (id, newest) in context.sockets.latest() {
            latest.entry(id).and_modify(|written| *written = written.merged_with(newest)).or_insert(newest);
        }
        let items: Vec<AgentLatestBody> = latest.into_iter().map(AgentLatestBody::from).collect();
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
        Ok(Json(latest_body(id.0, latest)))
    }
}

pub(super) fn latest_body(agent_id: Uuid, latest: LatestMetrics) -> LatestBody {
    LatestBody {
        agent_id,
        cpu: latest.cpu.as_ref().map(latest_cpu),
        memory: latest.memory.as_ref().map(latest_memory),
        disks: latest
            .disks
            .into_iter()
            .map(|(row, label, fs_type)| latest_disk(&row, label, fs_type))
            .collect(),
        networks: latest.networks.into_iter().map(|(row, label)| latest_network(&row, label)).collect(),
        load: latest.load.as_ref().map(latest_load),
    }
}

fn latest_cpu(row: &CpuRow) -> LatestCpu {
    LatestCpu {
        timestamp: row.ts,
        core_count: row.core_count,
        usage_percent: rounded_f32(row.usage_percent),
        user_percent: row.user_percent.map(rounded_f32),
        system_percent: row.system_percent.map(rounded_f32),
        iowait_percent: row.iowait_percent.map(rounded_f32),
        steal_percent: row.steal_percent.map(rounded_f32),
    }
}

fn latest_memory(row: &MemoryRow) -> LatestMemory {
    LatestMemory {
        timestamp: row.ts,
        total_bytes: row.total_bytes,
        used_bytes: row.used_bytes,
        free_bytes: row.free_bytes,
        available_bytes: row.available_bytes,
        usage_percent: rounded_f32(row.usage_percent),
        swap_total_bytes: row.swap_total_bytes,
        swap_used_bytes: row.swap_used_bytes,
    }
}

fn latest_disk(row: &DiskRow, label: SeriesLabel, fs_type: String) -> LatestDisk {
    LatestDisk {
        timestamp: row.ts,
        mount_point: label.name,
        device: label.device,
        fs_type,
        total_bytes: row.total_bytes,
        used_bytes: row.used_bytes,
        free_bytes: row.free_bytes,
        usage_percent: rounded_f32(row.usage_percent),
        inodes_usage_percent: row.inodes_usage_percent.map(rounded_f32),
    }
}

fn latest_network(row: &NetworkRow, label: SeriesLabel) -> LatestNetwork {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let per_second = |bytes: Option<i64>| match (bytes, row.interval_ms) {
        (Some(bytes), Some(interval_ms)) if 0 < interval_ms => {
            Some(rounded(bytes as f64 * 1000.0 / interval_ms as f64))
        }
        _ => None,
    };
    LatestNetwork {
        timestamp: row.ts,
        interface: label.name,
        received_bytes_total: row.received_bytes_total,
        sent_bytes_total: row.sent_bytes_total,
        received_bytes_per_second: per_second(row.received_bytes),
        sent_bytes_per_second: per_second(row.sent_bytes),
    }
}

fn latest_load(row: &LoadRow) -> LatestLoad {
    LatestLoad {
        timestamp: row.ts,
        load1: rounded_f32(row.load1),
        load5: rounded_f32(row.load5),
        load15: rounded_f32(row.load15),
    }
}
