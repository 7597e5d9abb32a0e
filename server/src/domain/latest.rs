//! The newest values of every agent, updated from stored rows.

use std::collections::HashMap;

use super::TimestampMs;
use super::row::{DiskNumbers, NetworkNumbers, Rows, Stored};

/// The newest values of an agent, shown in the fleet's list. A value that was never reported is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AgentLatest {
    /// When the newest sample of any family was taken.
    pub ts: TimestampMs,
    /// CPU usage in percent.
    pub cpu_usage_percent: Option<f32>,
    /// Memory usage in percent.
    pub memory_usage_percent: Option<f32>,
    /// Memory used, in bytes.
    pub memory_used_bytes: Option<i64>,
    /// Total memory, in bytes.
    pub memory_total_bytes: Option<i64>,
    /// Usage of the fullest disk in percent.
    pub disk_usage_percent: Option<f32>,
    /// Bytes received per second, over all interfaces.
    pub received_bytes_per_second: Option<f64>,
    /// Bytes sent per second, over all interfaces.
    pub sent_bytes_per_second: Option<f64>,
    /// Load over one minute.
    pub load1: Option<f32>,
}

impl AgentLatest {
    /// Merges two sets of values: the newer one's values take precedence over the other's.
    #[must_use]
    pub fn merged_with(self, other: Self) -> Self {
        let (newer, older) = if self.ts < other.ts { (other, self) } else { (self, other) };
        Self {
            ts: newer.ts,
            cpu_usage_percent: newer.cpu_usage_percent.or(older.cpu_usage_percent),
            memory_usage_percent: newer.memory_usage_percent.or(older.memory_usage_percent),
            memory_used_bytes: newer.memory_used_bytes.or(older.memory_used_bytes),
            memory_total_bytes: newer.memory_total_bytes.or(older.memory_total_bytes),
            disk_usage_percent: newer.disk_usage_percent.or(older.disk_usage_percent),
            received_bytes_per_second: newer.received_bytes_per_second.or(older.received_bytes_per_second),
            sent_bytes_per_second: newer.sent_bytes_per_second.or(older.sent_bytes_per_second),
            load1: newer.load1.or(older.load1),
        }
    }
}

/// An agent's newest values, and the time of each family's.
#[derive(Debug, Default)]
struct Entry {
    latest: AgentLatest,
    cpu_ts: TimestampMs,
    memory_ts: TimestampMs,
    disk_ts: TimestampMs,
    network_ts: TimestampMs,
    load_ts: TimestampMs,
    /// The interfaces included in the newest rates, so that a repeated row is not counted twice.
    interface_keys: Vec<i32>,
    is_changed: bool,
    /// Whether subscribers have not received these values yet.
    is_unpublished: bool,
}

impl Entry {
    fn mark_changed(&mut self, ts: TimestampMs) {
        self.latest.ts = self.latest.ts.max(ts);
        self.is_changed = true;
        self.is_unpublished = true;
    }
}

/// The newest values of all agents with stored rows. Late and repeated rows have no effect.
#[derive(Debug, Default)]
pub struct LatestValues {
    agents: HashMap<i32, Entry>,
}

impl LatestValues {
    /// Updates the values from stored rows.
    pub fn note(&mut self, rows: &Rows) {
        for row in &rows.cpu {
            if let Some(latest) = self.newer(row.agent_key, row.ts, |entry| &mut entry.cpu_ts) {
                latest.cpu_usage_percent = Some(row.numbers.usage_percent);
            }
        }
        for row in &rows.memory {
            if let Some(latest) = self.newer(row.agent_key, row.ts, |entry| &mut entry.memory_ts) {
                latest.memory_usage_percent = Some(row.numbers.usage_percent);
                latest.memory_used_bytes = Some(row.numbers.used_bytes);
                latest.memory_total_bytes = Some(row.numbers.total_bytes);
            }
        }
        for row in &rows.load {
            if let Some(latest) = self.newer(row.agent_key, row.ts, |entry| &mut entry.load_ts) {
                latest.load1 = Some(row.numbers.load1);
            }
        }
        rows.disks.iter().for_each(|row| self.note_disk(row));
        rows.networks.iter().for_each(|row| self.note_network(row));
    }

    /// Returns the newest values of all agents.
    pub fn all(&self) -> Vec<(i32, AgentLatest)> {
        self.agents.iter().map(|(agent_key, entry)| (*agent_key, entry.latest)).collect()
    }

    /// Returns the values that changed since the last call.
    pub fn take_changed(&mut self) -> Vec<(i32, AgentLatest)> {
        self.take(|entry| &mut entry.is_changed)
    }

    /// Returns the values that changed since the last call, for subscribers.
    pub fn take_unpublished(&mut self) -> Vec<(i32, AgentLatest)> {
        self.take(|entry| &mut entry.is_unpublished)
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

    /// An agent may have several disks, whose rows have the same time in a sample.
    fn note_disk(&mut self, row: &Stored<DiskNumbers>) {
        let entry = self.agents.entry(row.agent_key).or_default();
        if row.ts < entry.disk_ts {
            return;
        }
        let fullest = entry.latest.disk_usage_percent.filter(|_| row.ts == entry.disk_ts);
        if fullest.is_none_or(|fullest| fullest < row.numbers.usage_percent) {
            entry.disk_ts = row.ts;
            entry.latest.disk_usage_percent = Some(row.numbers.usage_percent);
            entry.mark_changed(row.ts);
        }
    }

    /// An agent may have several interfaces, whose traffic is summed.
    fn note_network(&mut self, row: &Stored<NetworkNumbers>) {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = |bytes: i64, interval_ms: i64| bytes as f64 * 1000.0 / interval_ms as f64;
        let (Some(received), Some(sent), Some(interval_ms @ 1..)) =
            (row.numbers.received_bytes, row.numbers.sent_bytes, row.numbers.interval_ms)
        else {
            return;
        };
        let entry = self.agents.entry(row.agent_key).or_default();
        if entry.network_ts < row.ts {
            entry.network_ts = row.ts;
            entry.interface_keys.clear();
            entry.latest.received_bytes_per_second = None;
            entry.latest.sent_bytes_per_second = None;
        } else if row.ts < entry.network_ts || entry.interface_keys.contains(&row.series_key) {
            return;
        }
        entry.interface_keys.push(row.series_key);
        let latest = &mut entry.latest;
        *latest.received_bytes_per_second.get_or_insert_default() += rate(received, interval_ms);
        *latest.sent_bytes_per_second.get_or_insert_default() += rate(sent, interval_ms);
        entry.mark_changed(row.ts);
    }

    /// Returns the values of an agent for updating, if `ts` is not older than the family's.
    fn newer(
        &mut self,
        agent_key: i32,
        ts: TimestampMs,
        family_ts: impl Fn(&mut Entry) -> &mut TimestampMs,
    ) -> Option<&mut AgentLatest> {
        let entry = self.agents.entry(agent_key).or_default();
        let known = family_ts(entry);
        if ts <= *known {
            return None;
        }
        *known = ts;
        entry.mark_changed(ts);
        Some(&mut entry.latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::row::LoadNumbers;

    fn load(ts: i64, load1: f32) -> Rows {
        let numbers = LoadNumbers { load1, ..LoadNumbers::default() };
        Rows { load: vec![Stored::new(ts, 1, numbers)], ..Rows::default() }
    }

    fn disk(ts: i64, usage_percent: f32) -> Stored<DiskNumbers> {
        let numbers = DiskNumbers { usage_percent, ..DiskNumbers::default() };
        Stored::of_series(ts, 1, 1, numbers)
    }

    fn network(ts: i64, interface_key: i32, received_bytes: i64) -> Stored<NetworkNumbers> {
        let numbers = NetworkNumbers {
            received_bytes: Some(received_bytes),
            sent_bytes: Some(0),
            interval_ms: Some(2_000),
            ..NetworkNumbers::default()
        };
        Stored::of_series(ts, 1, interface_key, numbers)
    }

    #[test]
    fn merged_values_are_the_newer_ones_and_none_is_lost() {
        let written =
            AgentLatest { ts: 1, load1: Some(1.0), cpu_usage_percent: Some(10.0), ..AgentLatest::default() };
        let noted = AgentLatest { ts: 2, load1: Some(2.0), ..AgentLatest::default() };
        let merged = AgentLatest { ts: 2, load1: Some(2.0), ..written };
        assert_eq!(written.merged_with(noted), merged);
        assert_eq!(noted.merged_with(written), merged);
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
    fn a_replay_changes_nothing() {
        let mut values = LatestValues::default();
        let rows = Rows {
            networks: vec![network(10, 1, 100), network(10, 2, 300)],
            disks: vec![disk(10, 50.0)],
            ..load(10, 1.0)
        };
        values.note(&rows);
        let (_, latest) = values.take_changed()[0];
        assert_eq!(latest.received_bytes_per_second, Some(200.0));
        values.note(&rows);
        assert_eq!(values.take_changed(), []);
        // Nor does one that comes in the flush of the first try.
        let mut twice = Rows { networks: vec![network(20, 1, 100), network(20, 1, 100)], ..Rows::default() };
        twice.append(&mut Rows { networks: vec![network(20, 2, 300)], ..Rows::default() });
        values.note(&twice);
        let (_, latest) = values.take_changed()[0];
        assert_eq!(latest.received_bytes_per_second, Some(200.0));
    }

    #[test]
    fn the_fullest_disk_and_all_interfaces_count() {
        let mut values = LatestValues::default();
        let disks = vec![disk(10, 50.0), disk(10, 80.0), disk(10, 20.0)];
        let networks = vec![network(10, 1, 100), network(10, 2, 300)];
        values.note(&Rows { disks, networks, ..Rows::default() });
        let (_, latest) = values.take_changed()[0];
        assert_eq!((latest.disk_usage_percent, latest.received_bytes_per_second), (Some(80.0), Some(200.0)));
        values.note(&Rows {
            disks: vec![self::disk(11, 5.0)],
            networks: vec![self::network(11, 1, 2)],
            ..Rows::default()
        });
        let (_, latest) = values.take_changed()[0];
        assert_eq!((latest.disk_usage_percent, latest.received_bytes_per_second), (Some(5.0), Some(1.0)));
    }
}
