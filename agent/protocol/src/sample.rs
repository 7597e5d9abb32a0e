//! What one sample holds: the metrics of a machine at one instant.
//!
//! Field names are those that agents of the original Pika already send; sizes are bytes.
//! Sizes are signed so that a negative number is refused by name instead of as a syntax error.

use serde::{Deserialize, Serialize};

/// The data of a `batch` frame: samples in the order in which they were taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Batch {
    /// At most [`SAMPLES_PER_FRAME_MAX`](crate::limits::SAMPLES_PER_FRAME_MAX).
    pub samples: Vec<Sample>,
}

/// All metrics of one machine at one instant. A family that could not be read is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// When the sample was taken, by the agent's own clock, in milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// What the server last told this agent to add to its clock, in milliseconds, as known when the sample
    /// was taken, or told next where it was not known then; absent where the agent has never been told anything, which is not
    /// the same as 0. It travels with the sample so that a replay is stored at the same time as the first try. An agent whose
    /// clock was set since it was told registers anew to be told again, before it sends what it has taken since; where one does
    /// not, a sample that lies ahead of the server's clock is stored by the offset that its frame's `timestamp` shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// Processor metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuMetrics>,
    /// Memory and swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryMetrics>,
    /// One entry a mount point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskMetrics>,
    /// One entry an interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkMetrics>,
    /// Load averages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadMetrics>,
}

/// Processor use since the previous sample, over all cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CpuMetrics {
    /// Percent of all cores' time that was not idle (0–100).
    pub usage_percent: f32,
    /// Logical cores.
    #[serde(alias = "logicalCores")]
    pub core_count: i32,
    /// Percent in user mode, `nice` included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_percent: Option<f32>,
    /// Percent in the kernel, interrupts included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_percent: Option<f32>,
    /// Percent idle while waiting for a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iowait_percent: Option<f32>,
    /// Percent taken by the hypervisor for other machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steal_percent: Option<f32>,
}

/// Memory and swap, in bytes. `used` is `total - available`, as `free` counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MemoryMetrics {
    /// Memory that the machine (or its cgroup) has.
    pub total: i64,
    /// `total - available`.
    pub used: i64,
    /// Memory that nothing uses at all.
    pub free: i64,
    /// Percent of `total` that is used (0–100).
    pub usage_percent: f32,
    /// Memory that programs can have without swapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<i64>,
    /// Swap that the machine has; zero or absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_total: Option<i64>,
    /// Swap in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_used: Option<i64>,
}

/// One mounted file system, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DiskMetrics {
    /// Where it is mounted; identifies the disk within its agent.
    pub mount_point: String,
    /// The device, for example `/dev/sda1`.
    #[serde(default)]
    pub device: String,
    /// The file system's type, for example `ext4`.
    #[serde(default, rename = "fstype", alias = "fsType")]
    pub fs_type: String,
    /// Size of the file system.
    pub total: i64,
    /// Bytes in use, those reserved for root not counted.
    pub used: i64,
    /// Bytes that an unprivileged program can still write.
    pub free: i64,
    /// Percent used, as `df` counts it: used / (used + free) (0–100).
    pub usage_percent: f32,
    /// Percent of inodes in use (0–100), where the file system has a fixed number of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes_usage_percent: Option<f32>,
}

/// One network interface: counters since boot, and what was moved since the previous sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NetworkMetrics {
    /// The interface's name; identifies it within its agent.
    pub interface: String,
    /// Bytes received since boot, as the kernel counts them.
    #[serde(rename = "bytesRecvTotal")]
    pub received_bytes_total: i64,
    /// Bytes sent since boot, as the kernel counts them.
    #[serde(rename = "bytesSentTotal")]
    pub sent_bytes_total: i64,
    /// Bytes received since the previous sample of this interface, counter resets accounted for.
    /// Absent in the first sample. Where an agent never sends it, the server derives it.
    #[serde(default, rename = "bytesRecvDelta", skip_serializing_if = "Option::is_none")]
    pub received_bytes_delta: Option<i64>,
    /// Bytes sent since the previous sample of this interface; as above.
    #[serde(default, rename = "bytesSentDelta", skip_serializing_if = "Option::is_none")]
    pub sent_bytes_delta: Option<i64>,
    /// The time that the deltas cover, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// Packets received with an error since the previous sample.
    #[serde(default, rename = "errorsRecvDelta", skip_serializing_if = "Option::is_none")]
    pub receive_errors_delta: Option<i64>,
    /// Packets that could not be sent since the previous sample.
    #[serde(default, rename = "errorsSentDelta", skip_serializing_if = "Option::is_none")]
    pub send_errors_delta: Option<i64>,
}

/// Load averages of the last 1, 5 and 15 minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadMetrics {
    /// Over one minute.
    pub load1: f32,
    /// Over five minutes.
    pub load5: f32,
    /// Over fifteen minutes.
    pub load15: f32,
}
