//! The newest values of every agent, as rows go by.

use std::collections::HashMap;

use super::TimestampMs;
use super::row::Rows;

/// The fleet's list shows this of an agent. A value that was never reported is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AgentLatest {
    /// When the newest sample of any family was taken.
    pub ts: TimestampMs,
    /// Percent of the processors not idle.
    pub cpu_usage_percent: Option<f32>,
    /// Percent of memory used.
    pub memory_usage_percent: Option<f32>,
    /// Memory used, in bytes.
    pub memory_used_bytes: Option<i64>,
    /// Memory, in bytes.
    pub memory_total_bytes: Option<i64>,
    /// Percent used of the fullest disk.
    pub disk_usage_percent: Option<f32>,
    /// Received by all interfaces together, in bytes a second.
    pub received_bytes_per_second: Option<f64>,
    /// Sent by all interfaces together, in bytes a second.
    pub sent_bytes_per_second: Option<f64>,
    /// Load over one minute.
    pub load1: Option<f32>,
}

/// An agent's newest values, and when each family's were taken.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    latest: AgentLatest,
    cpu_ts: TimestampMs,
    memory_ts: TimestampMs,
    disk_ts: TimestampMs,
    network_ts: TimestampMs,
    load_ts: TimestampMs,
    is_changed: bool,
    /// Not told to those who watch.
    is_untold: bool,
}

/// The newest values of the agents whose rows went by. Late rows change nothing.
#[derive(Debug, Default)]
pub struct LatestValues {
    agents: HashMap<i32, Entry>,
}

impl LatestValues {
    /// Looks at rows that have been stored.
    pub fn note(&mut self, rows: &Rows) {
        for row in &rows.cpu {
            if let Some(latest) = self.newer(row.agent_key, row.ts, |entry| &mut entry.cpu_ts) {
                latest.cpu_usage_percent = Some(row.usage_percent);
            }
        }
        for row in &rows.memory {
            if let Some(latest) = self.newer(row.agent_key, row.ts, |entry| &mut entry.memory_ts) {
                latest.memory_usage_percent = Some(row.usage_percent);
                latest.memory_used_bytes = Some(row.used_bytes);
                latest.memory_total_bytes = Some(row.total_bytes);
            }
        }
        for row in &rows.load {
            if let Some(latest) = self.newer(row.agent_key, row.ts, |entry| &mut entry.load_ts) {
                latest.load1 = Some(row.load1);
            }
        }
        self.note_disks(rows);
        self.note_networks(rows);
    }

    /// What has changed since the last call.
    pub fn take_changed(&mut self) -> Vec<(i32, AgentLatest)> {
        self.take(|entry| &mut entry.is_changed)
    }

    /// What has changed since the last call, for those who watch.
    pub fn take_untold(&mut self) -> Vec<(i32, AgentLatest)> {
        self.take(|entry| &mut entry.is_untold)
    }

    fn take(&mut self, mark: impl Fn(&mut Entry) -> &mut bool) -> Vec<(i32, AgentLatest)> {
        let mut taken = Vec::new();
        for (agent_key, entry) in &mut self.agents {
            if std::mem::take(mark(entry)) {
                taken.push((*agent_key, entry.latest));
            }
        }
        taken
    }

    /// An agent has several disks: those of one sample have one time.
    fn note_disks(&mut self, rows: &Rows) {
        for row in &rows.disk {
            let is_first = self.agents.get(&row.agent_key).is_none_or(|entry| entry.disk_ts < row.ts);
            if let Some(latest) = self.newer(row.agent_key, row.ts, |entry| &mut entry.disk_ts) {
                let fullest = latest.disk_usage_percent.filter(|_| !is_first);
                latest.disk_usage_percent =
                    Some(fullest.map_or(row.usage_percent, |fullest| fullest.max(row.usage_percent)));
            }
        }
    }

    fn note_networks(&mut self, rows: &Rows) {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = |bytes: i64, interval_ms: i64| bytes as f64 * 1000.0 / interval_ms as f64;
        for row in &rows.network {
            let (Some(received), Some(sent), Some(interval_ms)) =
                (row.received_bytes, row.sent_bytes, row.interval_ms)
            else {
                continue;
            };
            if interval_ms <= 0 {
                continue;
            }
            let is_first = self.agents.get(&row.agent_key).is_none_or(|entry| entry.network_ts < row.ts);
            if let Some(latest) = self.newer(row.agent_key, row.ts, |entry| &mut entry.network_ts) {
                let sum =
                    |total: Option<f64>, rate: f64| Some(total.filter(|_| !is_first).unwrap_or(0.0) + rate);
                latest.received_bytes_per_second =
                    sum(latest.received_bytes_per_second, rate(received, interval_ms));
                latest.sent_bytes_per_second = sum(latest.sent_bytes_per_second, rate(sent, interval_ms));
            }
        }
    }

    /// The values of an agent, to be changed, if `ts` is not older than what a family has.
    fn newer(
        &mut self,
        agent_key: i32,
        ts: TimestampMs,
        family_ts: impl Fn(&mut Entry) -> &mut TimestampMs,
    ) -> Option<&mut AgentLatest> {
        let entry = self.agents.entry(agent_key).or_default();
        let known = family_ts(entry);
        if ts < *known {
            return None;
        }
        *known = ts;
        entry.latest.ts = entry.latest.ts.max(ts);
        entry.is_changed = true;
        entry.is_untold = true;
        Some(&mut entry.latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::row::{DiskRow, LoadRow, NetworkRow};

    fn load(ts: i64, load1: f32) -> Rows {
        Rows { load: vec![LoadRow { ts, agent_key: 1, load1, load5: 0.0, load15: 0.0 }], ..Rows::default() }
    }

    fn disk(ts: i64, usage_percent: f32) -> DiskRow {
        DiskRow {
            ts,
            agent_key: 1,
            disk_key: 1,
            total_bytes: 1,
            used_bytes: 1,
            free_bytes: 0,
            usage_percent,
            inodes_usage_percent: None,
        }
    }

    fn network(ts: i64, received_bytes: i64) -> NetworkRow {
        NetworkRow {
            ts,
            agent_key: 1,
            interface_key: 1,
            received_bytes_total: 0,
            sent_bytes_total: 0,
            received_bytes: Some(received_bytes),
            sent_bytes: Some(0),
            interval_ms: Some(2_000),
            receive_errors: None,
            send_errors: None,
        }
    }

    #[test]
    fn late_rows_change_nothing() {
        let mut values = LatestValues::default();
        values.note(&load(10, 1.0));
        values.note(&load(5, 9.0));
        let latest = AgentLatest { ts: 10, load1: Some(1.0), ..AgentLatest::default() };
        assert_eq!(values.take_changed(), [(1, latest)]);
        values.note(&load(5, 9.0));
        assert!(values.take_changed().is_empty());
    }

    #[test]
    fn the_fullest_disk_and_all_interfaces_count() {
        let mut values = LatestValues::default();
        let disk = vec![disk(10, 50.0), disk(10, 80.0), disk(10, 20.0)];
        let network = vec![network(10, 100), network(10, 300)];
        values.note(&Rows { disk, network, ..Rows::default() });
        let (_, latest) = values.take_changed()[0];
        assert_eq!((latest.disk_usage_percent, latest.received_bytes_per_second), (Some(80.0), Some(200.0)));
        values.note(&Rows {
            disk: vec![self::disk(11, 5.0)],
            network: vec![self::network(11, 2)],
            ..Rows::default()
        });
        let (_, latest) = values.take_changed()[0];
        assert_eq!((latest.disk_usage_percent, latest.received_bytes_per_second), (Some(5.0), Some(1.0)));
    }
}
