//! The newest values of one agent: the newest row of each of its series.

use futures_util::future::try_join_all;
use tokio_postgres::Row;

use super::metrics::SeriesLabel;
use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::id::AgentKey;
use crate::domain::row::{CpuRow, DiskRow, LoadRow, MemoryRow, NetworkRow};
use crate::domain::tier::DAY_MS;

const LATEST_CPU: &str = "SELECT ts, agent_key, core_count, usage_percent, user_percent, system_percent, \
     iowait_percent, steal_percent FROM cpu_metrics WHERE agent_key = $1 AND $2::int8 <= ts ORDER BY ts DESC LIMIT 1";
const LATEST_MEMORY: &str = "SELECT ts, total_bytes, used_bytes, free_bytes, available_bytes, swap_total_bytes, \
     swap_used_bytes, agent_key, usage_percent FROM memory_metrics WHERE agent_key = $1 AND $2::int8 <= ts ORDER BY ts DESC LIMIT 1";
const LATEST_DISK: &str = "SELECT latest.ts, total_bytes, used_bytes, free_bytes, disks.agent_key, disk_key, \
     usage_percent, inodes_usage_percent, mount_point, device, fs_type \
     FROM disks CROSS JOIN LATERAL (SELECT * FROM disk_metrics AS m \
         WHERE m.agent_key = $1 AND m.disk_key = disks.key AND $2::int8 <= ts ORDER BY ts DESC LIMIT 1) AS latest \
     WHERE disks.agent_key = $1 ORDER BY mount_point";
const LATEST_NETWORK: &str = "SELECT latest.ts, received_bytes_total, sent_bytes_total, received_bytes, sent_bytes, \
     interval_ms, receive_errors, send_errors, interfaces.agent_key, interface_key, name \
     FROM network_interfaces AS interfaces CROSS JOIN LATERAL (SELECT * FROM network_metrics AS m \
         WHERE m.agent_key = $1 AND m.interface_key = interfaces.key AND $2::int8 <= ts ORDER BY ts DESC LIMIT 1) AS latest \
     WHERE interfaces.agent_key = $1 ORDER BY name";
const LATEST_LOAD: &str = "SELECT ts, agent_key, load1, load5, load15 \
     FROM load_metrics WHERE agent_key = $1 AND $2::int8 <= ts ORDER BY ts DESC LIMIT 1";
/// When the newest sample of an agent was taken, of whatever family.
const NEWEST: &str = "SELECT ts FROM agent_latest WHERE agent_key = $1";

/// The newest row of each series of an agent that is not older than a bound, one statement a family. The bound is a
/// constant to the planner, which so looks at no older chunk.
pub(super) const NEWEST_ROWS: [&str; 5] =
    [LATEST_CPU, LATEST_MEMORY, LATEST_DISK, LATEST_NETWORK, LATEST_LOAD];

pub(super) const STATEMENTS: &[&str] =
    &[LATEST_CPU, LATEST_MEMORY, LATEST_DISK, LATEST_NETWORK, LATEST_LOAD, NEWEST];

/// How much older than the newest of all the newest sample of a family is at first expected to be.
const FAMILIES_APART_MS: i64 = DAY_MS;

/// A disk or interface that was last reported this long before the newest one is gone from its machine.
const SERIES_GONE_MS: i64 = 5 * 60 * 1000;

/// The newest row of each series of an agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatestMetrics {
    /// Processor.
    pub cpu: Option<CpuRow>,
    /// Memory and swap.
    pub memory: Option<MemoryRow>,
    /// By mount point, with device and file system type.
    pub disks: Vec<(DiskRow, SeriesLabel, String)>,
    /// By interface.
    pub networks: Vec<(NetworkRow, SeriesLabel)>,
    /// Load averages.
    pub load: Option<LoadRow>,
}

impl Store {
    /// The newest values of an agent, however old they are.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn latest_metrics(&self, agent: AgentKey) -> Result<LatestMetrics, Error> {
        let mut connection = self.connection().await?;
        let newest = connection.query_opt(NEWEST, &[&agent.0]).await?;
        let newest: Option<TimestampMs> = newest.map(|row| row.get(0));
        let mut statements = Vec::new();
        for statement in NEWEST_ROWS {
            statements.push(connection.prepare(statement).await?);
        }
        let client = connection.client();
        let mut rows: [Vec<Row>; NEWEST_ROWS.len()] = Default::default();
        // What is not found where it is expected was last reported long before, or never.
        for since in newest.map(|newest| newest - FAMILIES_APART_MS).into_iter().chain([i64::MIN]) {
            let missing = rows.iter_mut().zip(&statements).filter(|(rows, _)| rows.is_empty());
            try_join_all(missing.map(async |(rows, statement)| {
                *rows = client.query(statement, &[&agent.0, &since]).await?;
                Ok::<_, Error>(())
            }))
            .await?;
        }
        let [cpu, memory, disk, network, load] = rows;
        let mut latest = LatestMetrics {
            cpu: cpu.first().map(cpu_row),
            memory: memory.first().map(memory_row),
            disks: disk.iter().map(disk_row).collect(),
            networks: network.iter().map(network_row).collect(),
            load: load.first().map(load_row),
        };
        if let Some(newest) = latest.disks.iter().map(|(row, ..)| row.ts).max() {
            latest.disks.retain(|(row, ..)| newest - SERIES_GONE_MS <= row.ts);
        }
        if let Some(newest) = latest.networks.iter().map(|(row, _)| row.ts).max() {
            latest.networks.retain(|(row, _)| newest - SERIES_GONE_MS <= row.ts);
        }
        Ok(latest)
    }
}

fn cpu_row(row: &Row) -> CpuRow {
    CpuRow {
        ts: row.get(0),
        agent_key: row.get(1),
        core_count: row.get(2),
        usage_percent: row.get(3),
        user_percent: row.get(4),
        system_percent: row.get(5),
        iowait_percent: row.get(6),
        steal_percent: row.get(7),
    }
}

fn memory_row(row: &Row) -> MemoryRow {
    MemoryRow {
        ts: row.get(0),
        total_bytes: row.get(1),
        used_bytes: row.get(2),
        free_bytes: row.get(3),
        available_bytes: row.get(4),
        swap_total_bytes: row.get(5),
        swap_used_bytes: row.get(6),
        agent_key: row.get(7),
        usage_percent: row.get(8),
    }
}

fn disk_row(row: &Row) -> (DiskRow, SeriesLabel, String) {
    let disk = DiskRow {
        ts: row.get(0),
        total_bytes: row.get(1),
        used_bytes: row.get(2),
        free_bytes: row.get(3),
        agent_key: row.get(4),
        disk_key: row.get(5),
        usage_percent: row.get(6),
        inodes_usage_percent: row.get(7),
    };
    (disk, SeriesLabel { name: row.get(8), device: row.get(9) }, row.get(10))
}

fn network_row(row: &Row) -> (NetworkRow, SeriesLabel) {
    let network = NetworkRow {
        ts: row.get(0),
        received_bytes_total: row.get(1),
        sent_bytes_total: row.get(2),
        received_bytes: row.get(3),
        sent_bytes: row.get(4),
        interval_ms: row.get(5),
        receive_errors: row.get(6),
        send_errors: row.get(7),
        agent_key: row.get(8),
        interface_key: row.get(9),
    };
    (network, SeriesLabel { name: row.get(10), device: String::new() })
}

fn load_row(row: &Row) -> LoadRow {
    LoadRow {
        ts: row.get(0),
        agent_key: row.get(1),
        load1: row.get(2),
        load5: row.get(3),
        load15: row.get(4),
    }
}
