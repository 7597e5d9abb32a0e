//! Metrics of which every agent has one value at a time: what lists and rankings of the fleet show.

use super::family::{Family, Metric};

/// A metric with one value an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FleetMetric {
    /// Percent of the processors not idle.
    CpuUsagePercent,
    /// Percent of memory used.
    MemoryUsagePercent,
    /// Memory used, in bytes.
    MemoryUsedBytes,
    /// Percent used of the fullest disk.
    DiskUsagePercent,
    /// Received by all interfaces together, in bytes a second.
    ReceivedBytesPerSecond,
    /// Sent by all interfaces together, in bytes a second.
    SentBytesPerSecond,
    /// Load over one minute.
    Load1,
}

/// How the series of an agent become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// There is only one.
    One,
    /// The one with the largest value counts.
    Largest,
    /// They are added up.
    Sum,
}

impl FleetMetric {
    /// All of them.
    pub const ALL: [FleetMetric; 7] = [
        FleetMetric::CpuUsagePercent,
        FleetMetric::MemoryUsagePercent,
        FleetMetric::MemoryUsedBytes,
        FleetMetric::DiskUsagePercent,
        FleetMetric::ReceivedBytesPerSecond,
        FleetMetric::SentBytesPerSecond,
        FleetMetric::Load1,
    ];

    /// The metric's name in the API.
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

    /// The family that it is one of, and its name there.
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

    /// The family that it is one of.
    pub fn family(self) -> Family {
        self.source().0
    }

    /// The metric of the family; `None` where the family has none of that name, which a test rules out.
    pub fn metric(self) -> Option<&'static Metric> {
        let (family, name) = self.source();
        family.metrics().iter().find(|metric| metric.name == name)
    }

    /// How the series of an agent become one.
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
