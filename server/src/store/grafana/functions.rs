//! The functions that panels call: a table's metrics in buckets, of each series or of all agents together, from whichever
//! tiers hold them. PostgreSQL writes a call's text into the query that it is in, so that what is asked of the answer
//! reaches the tables; it does so only for functions of this form. The bodies are texts, which takes less time than
//! reading bodies that have been parsed.

use super::views::{labels, metric_name, name, series_name};
use crate::domain::family::{Metric, MetricKind, Table, Unit};
use crate::domain::tier::Tier;
use crate::store::rollup::{sample_expression, series_key};

const ARGUMENTS: &str = "(\"from\" timestamptz, \"to\" timestamptz, step_ms int8)";

/// `grafana.cpu(from, to, step_ms)` and its kin.
pub(super) fn by_series(table: &Table) -> String {
    let function = format!("grafana.{}", table.subject());
    let mut columns = vec![
        ("\"time\" timestamptz".to_owned(), "to_timestamp(buckets.bucket / 1000.0)".to_owned()),
        ("time_ms int8".to_owned(), "buckets.bucket".to_owned()),
        // Of the buckets: what is asked of it reaches the tables.
        ("agent_key int4".to_owned(), "buckets.agent_key".to_owned()),
        ("agent text".to_owned(), "agents.agent".to_owned()),
    ];
    let mut joins = "JOIN grafana.agents AS agents ON agents.agent_key = buckets.agent_key".to_owned();
    if let (Some(key), Some((label, _))) = (table.series_column(), labels(table).first()) {
        columns.push((format!("{key} int4"), format!("buckets.{key}")));
        columns.push((format!("{label} text"), format!("names.{label}")));
        joins +=
            &format!(" LEFT JOIN grafana.{} AS names ON names.{key} = buckets.{key}", series_name(table));
    }
    for (i, metric) in table.metrics.iter().enumerate() {
        let name = metric_name(metric);
        columns.push((format!("{name}_avg float8"), format!("total{i} / nullif(weight{i}, 0)")));
        columns.push((format!("{name}_min float8"), format!("low{i}")));
        columns.push((format!("{name}_max float8"), format!("high{i}")));
    }
    let body = format!("SELECT {} FROM {} {joins}", values(&columns), buckets(table));
    let comment = format!(
        "The metrics of {} in buckets of at least step_ms, whole ones, by agent{}: average, smallest and largest value. \
         Filter by agent_key, and hand over constants: $__timeFrom(), $__timeTo(), $__interval_ms. Buckets of hours and \
         days are those of UTC.",
        table.subject(),
        if table.series.is_some() { " and series" } else { "" },
    );
    create(&function, &columns, &body, &comment)
}

/// `grafana.cpu_fleet(from, to, step_ms)` and its kin.
pub(super) fn of_fleet(table: &Table) -> String {
    let function = format!("grafana.{}_fleet", table.subject());
    let counted = if table.series.is_some() { "series" } else { "agents" };
    let mut columns = vec![
        ("\"time\" timestamptz".to_owned(), "to_timestamp(buckets.bucket / 1000.0)".to_owned()),
        ("time_ms int8".to_owned(), "buckets.bucket".to_owned()),
        (format!("{counted} int8"), "count(*)".to_owned()),
    ];
    for (i, metric) in table.metrics.iter().enumerate() {
        let name = metric_name(metric);
        columns.push((format!("{name}_avg float8"), format!("sum(total{i}) / nullif(sum(weight{i}), 0)")));
        columns.push((format!("{name}_min float8"), format!("min(low{i})")));
        columns.push((format!("{name}_max float8"), format!("max(high{i})")));
        if metric.unit != Unit::Percent {
            columns.push((format!("{name}_total float8"), format!("sum(total{i} / nullif(weight{i}, 0))")));
        }
    }
    let body = format!("SELECT {} FROM {} GROUP BY buckets.bucket", values(&columns), buckets(table));
    let comment = format!(
        "The metrics of {} in buckets of at least step_ms, whole ones, over all agents: average, smallest and largest \
         value of all samples, and the sum of the averages of each {}.",
        table.subject(),
        if table.series.is_some() { "series" } else { "agent" },
    );
    create(&function, &columns, &body, &comment)
}

fn values(columns: &[(String, String)]) -> String {
    columns.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
}

fn create(function: &str, columns: &[(String, String)], body: &str, comment: &str) -> String {
    let declared: Vec<&str> = columns.iter().map(|(column, _)| column.as_str()).collect();
    format!(
        "CREATE FUNCTION {function}{ARGUMENTS} RETURNS TABLE ({}) LANGUAGE sql STABLE PARALLEL SAFE \
         AS $body${body}$body$; COMMENT ON FUNCTION {function} IS '{comment}'",
        declared.join(", "),
    )
}

/// The buckets of each series: for each metric weight, total, smallest and largest value. Where the bounds are
/// constants, so is what [`parts`](../../../../sql/grafana/schema.sql) answers, and nothing else is planned than the
/// tiers and chunks that hold the buckets.
fn buckets(table: &Table) -> String {
    let key = series_key(table);
    let pieces: Vec<String> = Tier::ALL
        .into_iter()
        .rev()
        .zip(1..)
        .filter(|(tier, _)| tier.is_of(table))
        .map(|(tier, part)| piece(table, &key, tier, part))
        .collect();
    let columns: String = (0..table.metrics.len())
        .map(|i| {
            format!(
                ", sum(weight{i}) AS weight{i}, sum(total{i}) AS total{i}, min(low{i}) AS low{i}, max(high{i}) AS high{i}"
            )
        })
        .collect();
    format!(
        "grafana.parts('{}', \"from\", \"to\", step_ms) AS parts (p) CROSS JOIN LATERAL ( \
             SELECT public.time_bucket(p[6], time_ms) AS bucket, {key}{columns} \
             FROM ({}) AS pieces GROUP BY 1, {key}) AS buckets",
        table.name,
        pieces.join(" UNION ALL ")
    )
}

/// What a tier has of the buckets: its part of the span, which may be empty.
fn piece(table: &Table, key: &str, tier: Tier, part: usize) -> String {
    let columns: String = table
        .metrics
        .iter()
        .enumerate()
        .map(|(i, metric)| {
            let [weight, total, low, high] = expressions(metric, tier);
            format!(", {weight} AS weight{i}, {total} AS total{i}, {low} AS low{i}, {high} AS high{i}")
        })
        .collect();
    format!(
        "SELECT time_ms, {key}{columns} FROM {view} AS m \
         WHERE p[{part}] < p[{next}] AND p[{part}] <= time_ms AND time_ms < p[{next}]",
        view = name(table, tier),
        next = part + 1,
    )
}

/// A metric's weight, total, smallest and largest value in a row of a tier's view.
fn expressions(metric: &Metric, tier: Tier) -> [String; 4] {
    let (name, column) = (metric_name(metric), metric.column);
    match (metric.kind, tier) {
        (MetricKind::Gauge { .. }, Tier::Raw) => {
            let value = sample_expression(metric);
            [
                format!("CASE WHEN {column} IS NOT NULL THEN 1::float8 END"),
                value.clone(),
                value.clone(),
                value,
            ]
        }
        (MetricKind::Gauge { .. }, _) => [
            format!("{name}_n::float8"),
            format!("{name}_sum"),
            format!("{name}_min::float8"),
            format!("{name}_max::float8"),
        ],
        (MetricKind::Ratio { over, scale }, Tier::Raw) => [
            format!("CASE WHEN {column} IS NOT NULL THEN {over}::float8 END"),
            format!("{column}::float8 * {scale}"),
            name.clone(),
            name,
        ],
        (MetricKind::Ratio { over, scale }, _) => [
            format!("{column}_{over}::float8"),
            format!("{column}_sum::float8 * {scale}"),
            format!("{name}_min"),
            format!("{name}_max"),
        ],
    }
}
