//! Metrics with one value per agent at a time, shown in lists and rankings of the fleet.

use super::family::{Family, Metric};
use super::id::AgentId;

/// A metric with one value per agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FleetMetric {
    /// CPU usage in percent.
    CpuUsagePercent,
    /// Memory usage in percent.
    MemoryUsagePercent,
    /// Memory used, in bytes.
    MemoryUsedBytes,
    /// Usage of the fullest disk in percent.
    DiskUsagePercent,
    /// Bytes received per second, over all interfaces.
    ReceivedBytesPerSecond,
    /// Bytes sent per second, over all interfaces.
    SentBytesPerSecond,
    /// Load over one minute.
    Load1,
}

/// How the values of an agent's series are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// There is only one series.
    One,
    /// The largest value is used.
    Largest,
    /// The values are summed.
    Sum,
}

/// What the agents of a ranking are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RankBy {
    /// The average.
    Average,
    /// The largest value.
    Largest,
}

/// Maximum number of agents in a ranking.
pub const RANKED_MAX: usize = 100;

/// The agents that a query of the fleet is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum FleetScope {
    /// All agents.
    #[default]
    All,
    /// These agents, sorted and without duplicates; unknown ones are ignored.
    Agents(Vec<AgentId>),
    /// The agents with this tag.
    Tag(String),
}

impl FleetMetric {
    /// All fleet metrics.
    pub const ALL: [FleetMetric; 7] = [
        FleetMetric::CpuUsagePercent,
        FleetMetric::MemoryUsagePercent,
        FleetMetric::MemoryUsedBytes,
        FleetMetric::DiskUsagePercent,
        FleetMetric::ReceivedBytesPerSecond,
        FleetMetric::SentBytesPerSecond,
        FleetMetric::Load1,
    ];

    /// Returns the metric's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            FleetMetric::CpuUsagePercent => "cpuUsagePercent",
            FleetMetric::MemoryUsagePercent => "memoryUsagePercent",
            FleetMetric::MemoryUsedBytes => "memoryUsedBytes",
            FleetMetric::DiskUsagePercent => "diskUsagePercent",
            FleetMetric::ReceivedBytesPerSecond => "receivedBytesPerSecond",
            FleetMetric::SentBytesPerSecond => "sentBytesPerSecond",
            FleetMetric::Load1 => "load1",
        }
    }

    /// Returns the family, and the metric's name in it.
    fn source(self) -> (Family, &'static str) {
        match self {
            FleetMetric::CpuUsagePercent => (Family::Cpu, "usagePercent"),
            FleetMetric::MemoryUsagePercent => (Family::Memory, "usagePercent"),
            FleetMetric::MemoryUsedBytes => (Family::Memory, "usedBytes"),
            FleetMetric::DiskUsagePercent => (Family::Disk, "usagePercent"),
            FleetMetric::ReceivedBytesPerSecond => (Family::Network, "receivedBytesPerSecond"),
            FleetMetric::SentBytesPerSecond => (Family::Network, "sentBytesPerSecond"),
            FleetMetric::Load1 => (Family::Load, "load1"),
        }
    }

    /// Returns the family.
    pub fn family(self) -> Family {
        self.source().0
    }

    /// Returns the family's metric. A test ensures that it exists.
    pub fn metric(self) -> Option<&'static Metric> {
        let (family, name) = self.source();
        family.metrics().iter().find(|metric| metric.name == name)
    }

    /// Returns how the values of an agent's series are combined.
    pub fn combination(self) -> Combination {
        match self {
            FleetMetric::CpuUsagePercent
            | FleetMetric::MemoryUsagePercent
            | FleetMetric::MemoryUsedBytes
            | FleetMetric::Load1 => Combination::One,
            FleetMetric::DiskUsagePercent => Combination::Largest,
            FleetMetric::ReceivedBytesPerSecond | FleetMetric::SentBytesPerSecond => Combination::Sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_one_of_its_family() {
        for metric in FleetMetric::ALL {
            assert!(metric.metric().is_some(), "{metric:?}");
            let has_one = metric.family().series_column().is_none();
            assert_eq!(metric.combination() == Combination::One, has_one, "{metric:?}");
        }
    }
}
