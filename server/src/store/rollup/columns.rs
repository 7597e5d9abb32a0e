//! The columns of a rollup, and how each is aggregated from raw samples and from the finer rollup.
//!
//! Averages are stored as sum and count, so that tiers compose exactly. Sums of integers saturate instead of failing:
//! one agent that reports absurd amounts must not stop the rollups of all others.

use crate::domain::family::{ColumnType, Histogram, Metric, MetricKind, Table};
use crate::domain::tier::Tier;

const INT8_MAX: i64 = i64::MAX;

/// A column of a rollup.
#[derive(Clone, Debug)]
pub(in crate::store) struct RollupColumn {
    /// The column's name.
    pub(in crate::store) name: String,
    /// The column's type.
    pub(in crate::store) sql_type: &'static str,
    /// The aggregate over raw samples.
    pub(in crate::store) from_raw: String,
    /// The aggregate over the finer rollup's column of the same name.
    pub(in crate::store) from_rollup: String,
}

pub(super) fn metric_columns(table: &Table) -> Vec<RollupColumn> {
    let mut columns = vec![RollupColumn {
        name: "n".to_owned(),
        sql_type: "int8",
        from_raw: "count(*)".to_owned(),
        from_rollup: "sum(n)".to_owned(),
    }];
    for metric in table.metrics {
        match metric.kind {
            MetricKind::Gauge { is_optional, keeps_last } => {
                columns.extend(gauge_columns(
                    metric,
                    sql_type(table, metric.column),
                    is_optional,
                    keeps_last,
                ));
            }
            MetricKind::Ratio { over, .. } => columns.extend(ratio_columns(metric, over)),
        }
    }
    columns
}

pub(super) fn histogram_columns(table: &Table) -> Vec<RollupColumn> {
    let histogram = table.histogram.as_ref().map(|histogram| RollupColumn {
        name: "histogram".to_owned(),
        sql_type: "int4[]",
        from_raw: histogram_expression(histogram),
        from_rollup: "pika_sum_histograms(histogram)".to_owned(),
    });
    histogram.into_iter().collect()
}

/// Returns the aggregate that builds a histogram from raw samples.
pub(in crate::store) fn histogram_expression(histogram: &Histogram) -> String {
    let value = format!("{}::float8", histogram.column);
    let counted = match histogram.logarithm_offset {
        Some(offset) => format!("ln({value} + {offset})"),
        None => value,
    };
    format!("histogram({counted}, {:.1}, {:.1}, {})", histogram.min, histogram.max, histogram.n_bins)
}

fn gauge_columns(
    metric: &Metric,
    sql_type: &'static str,
    is_optional: bool,
    keeps_last: bool,
) -> impl Iterator<Item = RollupColumn> {
    let column = metric.column;
    let count = is_optional.then(|| RollupColumn {
        name: format!("{column}_n"),
        sql_type: "int8",
        from_raw: format!("count({column})"),
        from_rollup: format!("sum({column}_n)"),
    });
    let sum = RollupColumn {
        name: format!("{column}_sum"),
        sql_type: "float8",
        from_raw: format!("sum({column}::float8)"),
        from_rollup: format!("sum({column}_sum)"),
    };
    let extreme = move |function: &str| RollupColumn {
        name: format!("{column}_{function}"),
        sql_type,
        from_raw: format!("{function}({column})"),
        from_rollup: format!("{function}({column}_{function})"),
    };
    // The last value, not the last sample, which may lack one.
    let known = |column: &str| {
        if is_optional { format!(" FILTER (WHERE {column} IS NOT NULL)") } else { String::new() }
    };
    let last = keeps_last.then(|| RollupColumn {
        name: format!("{column}_last"),
        sql_type,
        from_raw: format!("last({column}, ts){}", known(column)),
        from_rollup: format!("last({column}_last, bucket){}", known(&format!("{column}_last"))),
    });
    count.into_iter().chain([sum, extreme("min"), extreme("max")]).chain(last)
}

fn ratio_columns(metric: &Metric, over: &str) -> [RollupColumn; 4] {
    let column = metric.column;
    let rate = sample_expression(metric);
    // Not `least`, which ignores NULL.
    let capped = |sum: String| format!("CASE WHEN {INT8_MAX} < {sum} THEN {INT8_MAX} ELSE ({sum})::int8 END");
    let extreme = |function: &str| RollupColumn {
        name: format!("{column}_rate_{function}"),
        sql_type: "float8",
        from_raw: format!("{function}({rate})"),
        from_rollup: format!("{function}({column}_rate_{function})"),
    };
    let sum = RollupColumn {
        name: format!("{column}_sum"),
        sql_type: "int8",
        from_raw: capped(format!("sum({column})")),
        from_rollup: capped(format!("sum({column}_sum)")),
    };
    let divisor = RollupColumn {
        name: format!("{column}_{over}"),
        sql_type: "int8",
        from_raw: capped(format!("sum({over}) FILTER (WHERE {column} IS NOT NULL)")),
        from_rollup: capped(format!("sum({column}_{over})")),
    };
    [sum, divisor, extreme("min"), extreme("max")]
}

fn sql_type(table: &Table, name: &str) -> &'static str {
    match table.columns.iter().find(|column| column.name == name).map(|column| column.column_type) {
        Some(ColumnType::Int4) => "int4",
        Some(ColumnType::Int8) => "int8",
        Some(ColumnType::Float4) | None => "float4",
    }
}

/// Returns the value of a metric in one sample, in SQL.
pub(in crate::store) fn sample_expression(metric: &Metric) -> String {
    let column = metric.column;
    match metric.kind {
        MetricKind::Gauge { .. } => format!("{column}::float8"),
        MetricKind::Ratio { over, scale } => format!("{column}::float8 * {scale} / nullif({over}, 0)"),
    }
}

/// Returns the columns a metric may have in a rollup, whatever its kind.
pub(super) fn possible_columns(table: &Table, column: &str) -> impl Iterator<Item = String> {
    const SUFFIXES: [&str; 7] = ["n", "sum", "min", "max", "last", "rate_min", "rate_max"];
    let divisors = table.columns.iter().map(|divisor| divisor.name);
    SUFFIXES.into_iter().chain(divisors).map(move |suffix| format!("{column}_{suffix}"))
}

/// Returns a metric's part of a chart from a tier, in SQL: weight, total, smallest and largest value. The average is
/// total / weight, whatever the tier.
pub(in crate::store) fn chart_expressions(metric: &Metric, tier: Tier) -> [String; 4] {
    let column = metric.column;
    match (metric.kind, tier) {
        (MetricKind::Gauge { .. }, Tier::Raw) => [
            format!("count({column})::float8"),
            format!("sum({column}::float8)"),
            format!("min({column})::float8"),
            format!("max({column})::float8"),
        ],
        (MetricKind::Gauge { is_optional, .. }, _) => [
            if is_optional {
                format!("sum({column}_n)::float8")
            } else {
                // Buckets from before the metric existed have no sum, and must not count.
                format!("(sum(n) FILTER (WHERE {column}_sum IS NOT NULL))::float8")
            },
            format!("sum({column}_sum)"),
            format!("min({column}_min)::float8"),
            format!("max({column}_max)::float8"),
        ],
        (MetricKind::Ratio { over, scale }, Tier::Raw) => {
            let rate = sample_expression(metric);
            [
                format!("sum({over}::float8) FILTER (WHERE {column} IS NOT NULL)"),
                format!("sum({column}::float8) * {scale}"),
                format!("min({rate})"),
                format!("max({rate})"),
            ]
        }
        (MetricKind::Ratio { over, scale }, _) => [
            format!("sum({column}_{over}::float8)"),
            format!("sum({column}_sum::float8) * {scale}"),
            format!("min({column}_rate_min)"),
            format!("max({column}_rate_max)"),
        ],
    }
}
