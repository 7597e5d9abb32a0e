//! The parts of a declaration: the table of samples, its columns and series, and the metrics made of them.

use super::number::{Bounds, ColumnType};

/// A table of raw samples and its rollups. It is a value, so that tests can declare others.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The table's name, after which its rollups are named.
    pub name: &'static str,
    /// What the samples are about.
    pub doc: &'static str,
    /// The numbers of a sample.
    pub fields: &'static [Field],
    /// The key and labels of an agent's series, if there may be several.
    pub series: Option<Series>,
    /// The columns of raw samples: time, agent, the key of the series if there are several, and the numbers in the
    /// order of [`Numbers::for_each_value`](super::Numbers::for_each_value).
    pub columns: &'static [Column],
    /// The families that the table stores.
    pub families: &'static [FamilyMetrics],
    /// The metrics of all its families, which are rolled up, the most important first.
    pub metrics: &'static [Metric],
    /// The histogram kept for percentiles, if any.
    pub histogram: Option<Histogram>,
    /// The finest rollup.
    pub finest_rollup: FinestRollup,
    /// Columns of raw samples that are no longer metrics and are to be removed from the rollups. A metric that is
    /// neither declared nor listed here keeps its columns, so that an older server does not delete the data of a newer
    /// one.
    pub retired: &'static [&'static str],
}

impl Table {
    /// Returns the column of the series key, if an agent has several series.
    pub fn series_column(&self) -> Option<&'static str> {
        self.series.map(|series| series.key_column)
    }

    /// Returns the columns of the numbers: all except time and keys.
    pub fn number_columns(&self) -> &'static [Column] {
        let n_keys = if self.series.is_some() { 3 } else { 2 };
        self.columns.get(n_keys..).unwrap_or_default()
    }

    /// Returns the table's name without the common suffix.
    pub fn subject(&self) -> &'static str {
        self.name.strip_suffix("_metrics").unwrap_or(self.name)
    }
}

/// The finest rollup of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinestRollup {
    /// Buckets of one minute.
    Minute,
    /// Buckets of one hour, for what is sampled about once a minute.
    Hour,
}

/// A column of a metric table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the database.
    pub name: &'static str,
    /// Its type in the database.
    pub column_type: ColumnType,
    /// Whether a sample may lack it.
    pub is_optional: bool,
}

/// One number of a sample, on the wire and in the database.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name on the wire.
    pub name: &'static str,
    /// Its name in the API, if it is not a metric.
    pub api_name: &'static str,
    /// Its column.
    pub column: Column,
    /// Its bounds.
    pub bounds: Bounds,
    /// Its description.
    pub doc: &'static str,
}

/// The key and labels of the series in a table.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// The column that holds a series' key.
    pub key_column: &'static str,
    /// The table that assigns the keys.
    pub names: SeriesNames,
    /// The labels of a series: the first identifies it within its agent, the others describe it.
    pub labels: &'static [Label],
    /// Maximum number of series in one sample.
    pub per_sample_max: usize,
}

/// The database table with the names of series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesNames {
    /// The table shared by all kinds.
    Shared,
    /// A table of its own, with one column per label.
    Own(&'static str),
}

/// A label of a series.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name on the wire.
    pub name: &'static str,
    /// Its name in the API.
    pub api_name: &'static str,
    /// Its column, if the series have their own table.
    pub column: &'static str,
    /// Minimum length, in characters.
    pub chars_min: usize,
    /// Maximum length, in characters.
    pub chars_max: usize,
    /// Its description.
    pub doc: &'static str,
}

/// A part of a table that has its own name in the API.
#[derive(Clone, Copy, Debug)]
pub struct FamilyMetrics {
    /// The family's name in the API.
    pub name: &'static str,
    /// Its metrics, the most important first.
    pub metrics: &'static [Metric],
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 0–100.
    Percent,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// Events per second.
    PerSecond,
    /// A dimensionless number.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Events per hour.
    PerHour,
    /// Bits per second.
    BitsPerSecond,
    /// Degrees Celsius.
    Celsius,
    /// Watts.
    Watts,
    /// Revolutions per minute.
    RevolutionsPerMinute,
    /// Hertz.
    Hertz,
    /// 0 or 1; an average is the share of the time that it was 1.
    Boolean,
    /// A number that stands for a state; the description of the metric's field says which. Its average means nothing.
    Code,
}

impl Unit {
    /// All units.
    pub const ALL: [Unit; 15] = [
        Unit::Percent,
        Unit::Bytes,
        Unit::BytesPerSecond,
        Unit::PerSecond,
        Unit::Count,
        Unit::Milliseconds,
        Unit::Seconds,
        Unit::PerHour,
        Unit::BitsPerSecond,
        Unit::Celsius,
        Unit::Watts,
        Unit::RevolutionsPerMinute,
        Unit::Hertz,
        Unit::Boolean,
        Unit::Code,
    ];

    /// Returns the unit's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Percent => "percent",
            Unit::Bytes => "bytes",
            Unit::BytesPerSecond => "bytesPerSecond",
            Unit::PerSecond => "perSecond",
            Unit::Count => "count",
            Unit::Milliseconds => "milliseconds",
            Unit::Seconds => "seconds",
            Unit::PerHour => "perHour",
            Unit::BitsPerSecond => "bitsPerSecond",
            Unit::Celsius => "celsius",
            Unit::Watts => "watts",
            Unit::RevolutionsPerMinute => "revolutionsPerMinute",
            Unit::Hertz => "hertz",
            Unit::Boolean => "boolean",
            Unit::Code => "code",
        }
    }
}

/// How a metric's values within a bucket are aggregated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricKind {
    /// A level, averaged over the samples.
    Gauge {
        /// Whether samples may lack it. True for every metric added to an existing table: earlier samples lack it.
        is_optional: bool,
        /// Whether the last value of a bucket is kept as well, such as the usage at the end of the day.
        keeps_last: bool,
    },
    /// An amount since the previous sample, relative to another one: its average is the sum of the amounts divided by
    /// the sum of the divisors, which stays correct when samples are irregular, missing, or span a reboot.
    Ratio {
        /// The column of the divisor: the time that the amount covers in milliseconds, or a number of events.
        over: &'static str,
        /// The factor applied to the quotient.
        scale: f64,
    },
}

/// One metric of a table.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in the API.
    pub name: &'static str,
    /// The column of raw samples.
    pub column: &'static str,
    /// The unit.
    pub unit: Unit,
    /// How it is aggregated.
    pub kind: MetricKind,
}

/// A histogram of raw samples, kept alongside a table's rollups for percentiles.
#[derive(Clone, Copy, Debug)]
pub struct Histogram {
    /// The metric's name.
    pub metric: &'static str,
    /// The column of raw samples.
    pub column: &'static str,
    /// Lower end of the first bin.
    pub min: f64,
    /// Upper end of the last bin.
    pub max: f64,
    /// The number of bins between `min` and `max`; one more at each end counts values outside.
    pub n_bins: u16,
    /// For metrics without an upper limit: the bins are on a logarithmic scale, and this is added to a value before
    /// taking its logarithm.
    pub logarithm_offset: Option<f64>,
}

/// Returns the column of this name. An unknown name does not compile.
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

/// Returns the family of this name. An unknown name does not compile.
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

pub(crate) const fn per_hour(columns: &[Column], name: &'static str, of: &str, unit: Unit) -> Metric {
    ratio(columns, name, of, unit, "interval_ms", 3_600_000.0)
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
