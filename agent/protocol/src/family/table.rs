//! What a declaration says: the table that keeps samples, its columns and series, and the metrics that are made of them.

use super::number::{Bounds, ColumnType};

/// A table of raw samples, and what is rolled up of it. A value, so that a test can declare one that the product does
/// not have.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The table's name, after which its rollups are named.
    pub name: &'static str,
    /// What tells an agent's series apart, where there may be several.
    pub series: Option<Series>,
    /// The columns of raw samples: time, agent, the key of the series where there are several, and the numbers in the
    /// order in which a [`Numbers`](super::Numbers) hands them out.
    pub columns: &'static [Column],
    /// What the API names of it.
    pub families: &'static [FamilyMetrics],
    /// What is rolled up, the most telling first: the metrics of all its families.
    pub metrics: &'static [Metric],
    /// The distribution that is kept for percentiles, where there is one.
    pub histogram: Option<Histogram>,
    /// Columns of raw samples that were metrics once, and whose part of the rollups is to be removed. A metric that is
    /// not declared any more and not named here keeps its columns, so that an older server loses nothing for a newer one.
    pub retired: &'static [&'static str],
}

impl Table {
    /// The column that tells an agent's series apart, where there is more than one.
    pub fn series_column(&self) -> Option<&'static str> {
        self.series.map(|series| series.key_column)
    }

    /// The columns of the numbers: all but time and keys.
    pub fn number_columns(&self) -> &'static [Column] {
        let n_keys = if self.series.is_some() { 3 } else { 2 };
        self.columns.get(n_keys..).unwrap_or_default()
    }

    /// What the table keeps: its name without what the names of all tables end with.
    pub fn subject(&self) -> &'static str {
        self.name.strip_suffix("_metrics").unwrap_or(self.name)
    }
}

/// A column of a metric table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the database.
    pub name: &'static str,
    /// Its type in the database.
    pub column_type: ColumnType,
    /// A sample need not have it.
    pub is_optional: bool,
}

/// One number of a sample, on the wire and in the database.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name on the wire.
    pub name: &'static str,
    /// What the API calls it, where it is no metric.
    pub api_name: &'static str,
    /// Its column.
    pub column: Column,
    /// What it may be.
    pub bounds: Bounds,
    /// What it means.
    pub doc: &'static str,
}

/// What tells the series of an agent apart in a table.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// The column that holds a series' key.
    pub key_column: &'static str,
    /// Where the keys come from.
    pub names: SeriesNames,
    /// The names of a series: the first identifies it within its agent, the others describe it.
    pub labels: &'static [Label],
    /// Most series in one sample.
    pub per_sample_max: usize,
}

/// Which table of the database names series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesNames {
    /// The one that all kinds share.
    Shared,
    /// One of its own, with a column a label.
    Own(&'static str),
}

/// A name of a series.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name on the wire.
    pub name: &'static str,
    /// What the API calls it.
    pub api_name: &'static str,
    /// Its column, where the series have a table of their own.
    pub column: &'static str,
    /// Shortest text, in characters.
    pub chars_min: usize,
    /// Longest text, in characters.
    pub chars_max: usize,
    /// What it means.
    pub doc: &'static str,
}

/// The part of a table that the API gives a name of its own.
#[derive(Clone, Copy, Debug)]
pub struct FamilyMetrics {
    /// The name.
    pub name: &'static str,
    /// Its metrics, the most telling first.
    pub metrics: &'static [Metric],
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
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    /// All units.
    pub const ALL: [Unit; 6] =
        [Unit::Percent, Unit::Bytes, Unit::BytesPerSecond, Unit::PerSecond, Unit::Count, Unit::Milliseconds];

    /// What the API calls it.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Percent => "percent",
            Unit::Bytes => "bytes",
            Unit::BytesPerSecond => "bytesPerSecond",
            Unit::PerSecond => "perSecond",
            Unit::Count => "count",
            Unit::Milliseconds => "milliseconds",
        }
    }
}

/// How a metric's values within a bucket become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricKind {
    /// A level: its average is the mean of the samples.
    Gauge {
        /// Not every sample has it. True of every metric that joins a table that exists: earlier samples lack it.
        is_optional: bool,
        /// The last value of a bucket is kept, too: what was used at the end of the day, not on average.
        keeps_last: bool,
    },
    /// An amount since the previous sample, for each of another one: its average is the amount of all samples divided by
    /// the divisor of all samples, which stays right when samples are irregular, missing, or span a reboot.
    Ratio {
        /// The column of the divisor: the time that the amount covers in milliseconds, or a number of events.
        over: &'static str,
        /// What the quotient is multiplied by.
        scale: f64,
    },
}

/// One metric of a table.
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

/// A percentile that is kept beside a table's rollups, as a histogram of the raw samples.
#[derive(Clone, Copy, Debug)]
pub struct Histogram {
    /// Which metric.
    pub metric: &'static str,
    /// The column of raw samples.
    pub column: &'static str,
    /// Lower end of the first bin.
    pub min: f64,
    /// Upper end of the last bin.
    pub max: f64,
    /// How many bins there are between the two; one more at each end counts what lies outside.
    pub n_bins: u16,
    /// What is added to a value before its logarithm is taken, where that is what is counted: values without an upper
    /// limit.
    pub logarithm_offset: Option<f64>,
}

/// The column of this name. A declaration that names another does not compile.
pub(crate) const fn column(columns: &[Column], name: &str) -> Column {
    let mut index = 0;
    while index < columns.len() {
        if is_same(columns[index].name, name) {
            return columns[index];
        }
        index += 1;
    }
    panic!("a metric names a column that its table does not have");
}

/// The family of this name. A list that names another does not compile.
pub(crate) const fn family(families: &'static [FamilyMetrics], name: &str) -> FamilyMetrics {
    let mut index = 0;
    while index < families.len() {
        if is_same(families[index].name, name) {
            return families[index];
        }
        index += 1;
    }
    panic!("the list names a family that its table does not declare");
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}

pub(crate) const fn gauge(columns: &[Column], name: &'static str, of: &str, unit: Unit) -> Metric {
    let column = column(columns, of);
    let kind = MetricKind::Gauge { is_optional: column.is_optional, keeps_last: false };
    Metric { name, column: column.name, unit, kind }
}

pub(crate) const fn level(columns: &[Column], name: &'static str, of: &str, unit: Unit) -> Metric {
    let column = column(columns, of);
    let kind = MetricKind::Gauge { is_optional: column.is_optional, keeps_last: true };
    Metric { name, column: column.name, unit, kind }
}

pub(crate) const fn rate(columns: &[Column], name: &'static str, of: &str, unit: Unit) -> Metric {
    ratio(columns, name, of, unit, "interval_ms", 1000.0)
}

pub(crate) const fn ratio(
    columns: &[Column],
    name: &'static str,
    of: &str,
    unit: Unit,
    over: &str,
    scale: f64,
) -> Metric {
    let kind = MetricKind::Ratio { over: column(columns, over).name, scale };
    Metric { name, column: column(columns, of).name, unit, kind }
}
