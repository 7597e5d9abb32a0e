//! The families of metrics: what each measures, in which unit, and how it is averaged; and the tables that keep them.

use super::row::{Column, CpuRow, DiskRow, LoadRow, MemoryRow, MetricRow, NetworkRow};

/// A family of metrics, as the API names it.
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

/// A table of raw samples, and what is rolled up of it. A value, so that a test can declare one that the product does
/// not have.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The table's name, after which its rollups are named.
    pub name: &'static str,
    /// The family that the table belongs to, after which its histograms are named.
    pub family: Family,
    /// The column that tells an agent's series apart, where there is more than one.
    pub series_column: Option<&'static str>,
    /// The columns of raw samples.
    pub columns: &'static [Column],
    /// What is rolled up, the most telling first.
    pub metrics: &'static [Metric],
    /// The distribution that is kept for percentiles, where there is one.
    pub histogram: Option<&'static Histogram>,
    /// Columns of raw samples that were metrics once, and whose part of the rollups is to be removed. A metric that is
    /// not declared any more and not named here keeps its columns, so that an older server loses nothing for a newer one.
    pub retired: &'static [&'static str],
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
    Gauge {
        /// Not every sample has it. True of every metric that joins a table that exists: earlier samples lack it.
        is_optional: bool,
        /// The last value of a bucket is kept, too: what was used at the end of the day, not on average.
        keeps_last: bool,
    },
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

/// A percentile that is kept beside a family's rollups, as a histogram of the raw samples.
#[derive(Clone, Copy, Debug)]
pub struct Histogram {
    /// Which metric.
    pub metric: &'static str,
    /// What is counted, in SQL, for a sample: the value, or its logarithm where it has no upper limit.
    pub expression: &'static str,
    /// Lower end of the first bin.
    pub min: f64,
    /// Upper end of the last bin.
    pub max: f64,
    /// How many bins there are between the two; one more at each end counts what lies outside.
    pub n_bins: u16,
    /// Whether `expression` is a logarithm.
    pub is_logarithmic: bool,
}

impl Histogram {
    /// The value below which this share of the counted samples lies, to within a bin; `None` where nothing was counted.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52, for a value to within a bin")]
    pub fn percentile(&self, counts: &[i64], share: f64) -> Option<f64> {
        let total: i64 = counts.iter().sum();
        if total <= 0 {
            return None;
        }
        let wanted = share * total as f64;
        let width = (self.max - self.min) / f64::from(self.n_bins);
        let mut reached = 0.0;
        for (index, count) in counts.iter().enumerate() {
            let count = *count as f64;
            if wanted <= reached + count && 0.0 < count {
                // The first bin counts what lies below the range, so the second begins at its lower end.
                let within = (wanted - reached) / count;
                let position = (index as f64 - 1.0 + within).clamp(0.0, f64::from(self.n_bins));
                return Some(self.value(self.min + width * position));
            }
            reached += count;
        }
        Some(self.value(self.max))
    }

    fn value(&self, counted: f64) -> f64 {
        if self.is_logarithmic { (counted.exp() - LOAD_LOGARITHM_OFFSET).max(0.0) } else { counted }
    }
}

/// What is added to a load before its logarithm is taken, so that an idle machine has one.
const LOAD_LOGARITHM_OFFSET: f64 = 0.01;

const fn gauge(name: &'static str, column: &'static str, unit: Unit) -> Metric {
    Metric { name, column, unit, kind: MetricKind::Gauge { is_optional: false, keeps_last: false } }
}

const fn level(name: &'static str, column: &'static str, unit: Unit) -> Metric {
    Metric { name, column, unit, kind: MetricKind::Gauge { is_optional: false, keeps_last: true } }
}

const fn optional(name: &'static str, column: &'static str, unit: Unit) -> Metric {
    Metric { name, column, unit, kind: MetricKind::Gauge { is_optional: true, keeps_last: false } }
}

const fn rate(name: &'static str, column: &'static str, unit: Unit) -> Metric {
    Metric { name, column, unit, kind: MetricKind::Rate { interval_column: "interval_ms" } }
}

const CPU: &[Metric] = &[
    gauge("usagePercent", "usage_percent", Unit::Percent),
    optional("userPercent", "user_percent", Unit::Percent),
    optional("systemPercent", "system_percent", Unit::Percent),
    optional("iowaitPercent", "iowait_percent", Unit::Percent),
    optional("stealPercent", "steal_percent", Unit::Percent),
    level("coreCount", "core_count", Unit::Count),
];

const MEMORY: &[Metric] = &[
    gauge("usagePercent", "usage_percent", Unit::Percent),
    level("usedBytes", "used_bytes", Unit::Bytes),
    gauge("freeBytes", "free_bytes", Unit::Bytes),
    optional("availableBytes", "available_bytes", Unit::Bytes),
    level("totalBytes", "total_bytes", Unit::Bytes),
    optional("swapUsedBytes", "swap_used_bytes", Unit::Bytes),
    optional("swapTotalBytes", "swap_total_bytes", Unit::Bytes),
];

const DISK: &[Metric] = &[
    gauge("usagePercent", "usage_percent", Unit::Percent),
    level("usedBytes", "used_bytes", Unit::Bytes),
    level("freeBytes", "free_bytes", Unit::Bytes),
    level("totalBytes", "total_bytes", Unit::Bytes),
    optional("inodesUsagePercent", "inodes_usage_percent", Unit::Percent),
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

/// Bins of one percentage point.
const CPU_HISTOGRAM: Histogram = Histogram {
    metric: "usagePercent",
    expression: "usage_percent::float8",
    min: 0.0,
    max: 100.0,
    n_bins: 100,
    is_logarithmic: false,
};

/// Bins a tenth wide, from 0 (e^-4.6 = 0.01, the offset) to 10,000 (e^9.2).
const LOAD_HISTOGRAM: Histogram = Histogram {
    metric: "load1",
    expression: "ln(load1::float8 + 0.01)",
    min: -4.6,
    max: 9.2,
    n_bins: 138,
    is_logarithmic: true,
};

/// What every table has in common with the others, unless it says otherwise.
const fn table<Row: MetricRow>(family: Family, metrics: &'static [Metric]) -> Table {
    Table {
        name: Row::TABLE,
        family,
        series_column: None,
        columns: Row::COLUMNS,
        metrics,
        histogram: None,
        retired: &[],
    }
}

const CPU_TABLE: Table = Table { histogram: Some(&CPU_HISTOGRAM), ..table::<CpuRow>(Family::Cpu, CPU) };
const MEMORY_TABLE: Table = table::<MemoryRow>(Family::Memory, MEMORY);
const DISK_TABLE: Table = Table { series_column: Some("disk_key"), ..table::<DiskRow>(Family::Disk, DISK) };
const NETWORK_TABLE: Table =
    Table { series_column: Some("interface_key"), ..table::<NetworkRow>(Family::Network, NETWORK) };
const LOAD_TABLE: Table = Table { histogram: Some(&LOAD_HISTOGRAM), ..table::<LoadRow>(Family::Load, LOAD) };

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

    /// What the family's table holds and what is rolled up of it.
    pub fn declaration(self) -> &'static Table {
        match self {
            Family::Cpu => &CPU_TABLE,
            Family::Memory => &MEMORY_TABLE,
            Family::Disk => &DISK_TABLE,
            Family::Network => &NETWORK_TABLE,
            Family::Load => &LOAD_TABLE,
        }
    }

    /// The table of raw samples.
    pub fn table(self) -> &'static str {
        self.declaration().name
    }

    /// The column that tells an agent's series apart, where there is more than one.
    pub fn series_column(self) -> Option<&'static str> {
        self.declaration().series_column
    }

    /// The distribution that is kept for the family's percentiles, where there is one.
    pub fn histogram(self) -> Option<&'static Histogram> {
        self.declaration().histogram
    }

    /// The columns of the family's raw table.
    pub fn columns(self) -> &'static [Column] {
        self.declaration().columns
    }

    /// The family's metrics, the most telling first.
    pub fn metrics(self) -> &'static [Metric] {
        self.declaration().metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn every_metric_names_columns_that_the_row_has() {
        for family in Family::ALL {
            let has = |name: &str| family.columns().iter().any(|column| column.name == name);
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

    #[test]
    fn percentiles_lie_within_their_bin() {
        let mut counts = vec![0; 102];
        // A hundred samples of 0.5, 1.5 … 99.5 percent.
        counts[1..=100].fill(1);
        let percentile = CPU_HISTOGRAM.percentile(&counts, 0.95).unwrap();
        assert!((94.0..=95.0).contains(&percentile), "{percentile}");
        assert_eq!(CPU_HISTOGRAM.percentile(&[0; 102], 0.95), None);
        let mut idle = vec![0; 140];
        idle[1] = 10;
        assert!(LOAD_HISTOGRAM.percentile(&idle, 0.95).unwrap() < 0.01);
    }
}
