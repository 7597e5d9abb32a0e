//! The five families of metrics: what each measures, in which unit, and how it is averaged.

use super::row::{CpuRow, DiskRow, LoadRow, MemoryRow, MetricRow, NetworkRow};

/// A family of metrics: one table of raw samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Processor.
    Cpu,
    /// Memory and swap.
    Memory,
    /// File systems, one series a mount point.
    Disk,
    /// Network, one series an interface.
    Network,
    /// Load averages.
    Load,
}

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 0–100.
    Percent,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Events a second.
    PerSecond,
    /// A bare number.
    Count,
}

/// How a metric's values within a bucket become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A level: its average is the mean of the samples.
    Gauge,
    /// An amount since the previous sample: its average is the amount divided by the time it covers, which stays
    /// right when samples are irregular, missing, or span a reboot.
    Rate {
        /// The column that holds the time covered, in milliseconds.
        interval_column: &'static str,
    },
}

/// One metric of a family.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// What the API calls it.
    pub name: &'static str,
    /// The column of raw samples.
    pub column: &'static str,
    /// What the number means.
    pub unit: Unit,
    /// How it is averaged.
    pub kind: MetricKind,
}

const fn gauge(name: &'static str, column: &'static str, unit: Unit) -> Metric {
    Metric { name, column, unit, kind: MetricKind::Gauge }
}

const fn rate(name: &'static str, column: &'static str, unit: Unit) -> Metric {
    Metric { name, column, unit, kind: MetricKind::Rate { interval_column: "interval_ms" } }
}

const CPU: &[Metric] = &[
    gauge("usagePercent", "usage_percent", Unit::Percent),
    gauge("userPercent", "user_percent", Unit::Percent),
    gauge("systemPercent", "system_percent", Unit::Percent),
    gauge("iowaitPercent", "iowait_percent", Unit::Percent),
    gauge("stealPercent", "steal_percent", Unit::Percent),
    gauge("coreCount", "core_count", Unit::Count),
];

const MEMORY: &[Metric] = &[
    gauge("usagePercent", "usage_percent", Unit::Percent),
    gauge("usedBytes", "used_bytes", Unit::Bytes),
    gauge("freeBytes", "free_bytes", Unit::Bytes),
    gauge("availableBytes", "available_bytes", Unit::Bytes),
    gauge("totalBytes", "total_bytes", Unit::Bytes),
    gauge("swapUsedBytes", "swap_used_bytes", Unit::Bytes),
    gauge("swapTotalBytes", "swap_total_bytes", Unit::Bytes),
];

const DISK: &[Metric] = &[
    gauge("usagePercent", "usage_percent", Unit::Percent),
    gauge("usedBytes", "used_bytes", Unit::Bytes),
    gauge("freeBytes", "free_bytes", Unit::Bytes),
    gauge("totalBytes", "total_bytes", Unit::Bytes),
    gauge("inodesUsagePercent", "inodes_usage_percent", Unit::Percent),
];

const NETWORK: &[Metric] = &[
    rate("receivedBytesPerSecond", "received_bytes", Unit::BytesPerSecond),
    rate("sentBytesPerSecond", "sent_bytes", Unit::BytesPerSecond),
    rate("receiveErrorsPerSecond", "receive_errors", Unit::PerSecond),
    rate("sendErrorsPerSecond", "send_errors", Unit::PerSecond),
];

const LOAD: &[Metric] = &[
    gauge("load1", "load1", Unit::Count),
    gauge("load5", "load5", Unit::Count),
    gauge("load15", "load15", Unit::Count),
];

impl Family {
    /// All families.
    pub const ALL: [Family; 5] = [Family::Cpu, Family::Memory, Family::Disk, Family::Network, Family::Load];

    /// The family's name in the API and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Family::Cpu => "cpu",
            Family::Memory => "memory",
            Family::Disk => "disk",
            Family::Network => "network",
            Family::Load => "load",
        }
    }

    /// The table of raw samples.
    pub fn table(self) -> &'static str {
        match self {
            Family::Cpu => CpuRow::TABLE,
            Family::Memory => MemoryRow::TABLE,
            Family::Disk => DiskRow::TABLE,
            Family::Network => NetworkRow::TABLE,
            Family::Load => LoadRow::TABLE,
        }
    }

    /// The column that tells an agent's series apart, where there is more than one.
    pub fn series_column(self) -> Option<&'static str> {
        match self {
            Family::Disk => Some("disk_key"),
            Family::Network => Some("interface_key"),
            Family::Cpu | Family::Memory | Family::Load => None,
        }
    }

    /// The family's metrics, the most telling first.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Family::Cpu => CPU,
            Family::Memory => MEMORY,
            Family::Disk => DISK,
            Family::Network => NETWORK,
            Family::Load => LOAD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::row::Column;

    fn columns(family: Family) -> &'static [Column] {
        match family {
            Family::Cpu => CpuRow::COLUMNS,
            Family::Memory => MemoryRow::COLUMNS,
            Family::Disk => DiskRow::COLUMNS,
            Family::Network => NetworkRow::COLUMNS,
            Family::Load => LoadRow::COLUMNS,
        }
    }

    #[test]
    fn every_metric_names_columns_that_the_row_has() {
        for family in Family::ALL {
            let has = |name: &str| columns(family).iter().any(|column| column.name == name);
            for metric in family.metrics() {
                assert!(has(metric.column), "{}.{}", family.table(), metric.column);
                if let MetricKind::Rate { interval_column } = metric.kind {
                    assert!(has(interval_column), "{}.{interval_column}", family.table());
                }
            }
            if let Some(series) = family.series_column() {
                assert!(has(series), "{}.{series}", family.table());
            }
        }
    }
}
