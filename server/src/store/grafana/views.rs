//! Views of what is stored: one of each tier of a table, one of what a table's series are called, and how far rollups are.

use crate::domain::family::{Metric, MetricKind, SeriesNames, Table, Unit};
use crate::domain::tier::Tier;
use crate::store::rollup::{self, Content, Definition};
use crate::store::series_names::NamingTable;

/// The view of a table's tier.
pub(super) fn name(table: &Table, tier: Tier) -> String {
    format!("grafana.{}_{}", table.subject(), tier.name())
}

/// What a metric is called.
pub(super) fn metric_name(metric: &Metric) -> String {
    snake_case(metric.name)
}

/// The columns of a table's views that name a series, and what they are of a row `names`: the identifying one first.
pub(super) fn labels(table: &Table) -> Vec<(String, String)> {
    let Some(naming) = NamingTable::of(table) else { return Vec::new() };
    let names = table.series.iter().flat_map(|series| series.labels).map(|label| snake_case(label.api_name));
    names.zip(naming.label_expressions("names")).collect()
}

/// What [`series`] calls the view.
pub(super) fn series_name(table: &Table) -> String {
    match table.series.map(|series| series.names) {
        Some(SeriesNames::Own(names)) => names.to_owned(),
        _ => format!("{}_series", table.subject()),
    }
}

/// The view of what a table's series are called; `None` where an agent has only one.
pub(super) fn series(table: &Table) -> Option<String> {
    let naming = NamingTable::of(table)?;
    let key = table.series_column()?;
    let view = series_name(table);
    let columns: String = labels(table).iter().map(|(name, of)| format!(", {of} AS {name}")).collect();
    Some(format!(
        "CREATE VIEW grafana.{view} AS SELECT names.key AS {key}, names.agent_key, agents.agent{columns}, \
             to_timestamp(names.named_at / 1000.0) AS last_named \
         FROM public.{names} AS names JOIN grafana.agents AS agents ON agents.agent_key = names.agent_key \
         WHERE true{is_of_kind}; \
         COMMENT ON VIEW grafana.{view} IS 'What {key} means in the views and functions of {subject}.'",
        names = naming.name(),
        is_of_kind = naming.is_of_kind("names"),
        subject = table.subject(),
    ))
}

/// The view of a tier: samples, or buckets of them.
pub(super) fn samples(table: &Table, tier: Tier) -> String {
    let view = name(table, tier);
    let relation = rollup::relation(table, tier, Content::Metrics);
    let time = rollup::time_column(tier);
    let mut columns = vec![
        format!("to_timestamp(m.{time} / 1000.0) AS \"time\""),
        format!("m.{time} AS time_ms"),
        "m.agent_key".to_owned(),
        "agents.agent".to_owned(),
    ];
    let mut joins = "LEFT JOIN grafana.agents AS agents ON agents.agent_key = m.agent_key".to_owned();
    if let (Some(naming), Some(key)) = (NamingTable::of(table), table.series_column()) {
        columns.push(format!("m.{key}"));
        columns.extend(labels(table).iter().map(|(name, of)| format!("{of} AS {name}")));
        joins += &format!(" LEFT JOIN public.{} AS names ON names.key = m.{key}", naming.name());
    }
    let values = match tier {
        Tier::Raw => raw_columns(table),
        _ => {
            let n = Column::new("samples", "m.n", "Samples in the bucket");
            [n].into_iter().chain(table.metrics.iter().flat_map(bucket_columns)).collect()
        }
    };
    columns.extend(values.iter().map(|column| format!("{} AS {}", column.of, column.name)));
    let holds = match tier {
        Tier::Raw => "Samples as they were reported",
        Tier::OneMinute => "Buckets of one minute",
        Tier::OneHour => "Buckets of one hour",
        Tier::OneDay => "Buckets of one day, UTC",
    };
    let mut sql = format!(
        "CREATE VIEW {view} AS SELECT {} FROM public.{relation} AS m {joins}; \
         COMMENT ON VIEW {view} IS '{holds}. Bound time_ms, not time: only that keeps a query from reading all there is.'; \
         COMMENT ON COLUMN {view}.time_ms IS 'The time in milliseconds since 1970; for buckets, when they begin.'",
        columns.join(", ")
    );
    for column in values {
        sql += &format!("; COMMENT ON COLUMN {view}.{} IS '{}.'", column.name, column.comment);
    }
    sql
}

/// How far the rollups are.
pub(super) fn freshness(definition: &Definition) -> String {
    let rollups: Vec<String> = definition
        .rollups()
        .filter(|rollup| rollup.content == Content::Metrics)
        .map(|rollup| {
            let (subject, tier) = (rollup.table.subject(), rollup.tier.name());
            format!("('{subject}', '{tier}', grafana.watermark('{}', '{tier}'))", rollup.relation())
        })
        .collect();
    // What is complete for ever is so because there is nothing left that it could be made of.
    format!(
        "CREATE VIEW grafana.freshness AS SELECT family, tier, watermark_ms, \
             CASE WHEN watermark_ms < 253402300800000 THEN to_timestamp(watermark_ms / 1000.0) END AS complete_until, \
             CASE WHEN watermark_ms IS NOT NULL THEN greatest(public.pika_now_ms() - watermark_ms, 0) END AS lag_ms \
         FROM (VALUES {}) AS watermarks (family, tier, watermark_ms); \
         COMMENT ON VIEW grafana.freshness IS 'Up to when each rollup is complete; from then on the functions read the finer tier.'",
        rollups.join(", ")
    )
}

/// A column of a view.
struct Column {
    name: String,
    /// What it is of a row `m`.
    of: String,
    comment: String,
}

impl Column {
    fn new(name: impl Into<String>, of: impl Into<String>, comment: impl Into<String>) -> Self {
        Self { name: name.into(), of: of.into(), comment: comment.into() }
    }
}

/// The numbers of a sample under their own names, and the metrics that are reckoned from them.
fn raw_columns(table: &Table) -> Vec<Column> {
    let mut columns: Vec<Column> = table
        .number_columns()
        .iter()
        .map(|column| {
            let is_metric = |metric: &&Metric| {
                metric.column == column.name && matches!(metric.kind, MetricKind::Gauge { .. })
            };
            let metric = table.metrics.iter().find(is_metric);
            let comment = metric.map_or_else(|| "As it was reported".to_owned(), describe);
            Column::new(column.name, format!("m.{}", column.name), comment)
        })
        .collect();
    for metric in table.metrics {
        let name = metric_name(metric);
        if columns.iter().all(|column| column.name != name) {
            columns.push(Column::new(name, rollup::sample_expression(metric), describe(metric)));
        }
    }
    columns
}

/// The columns of a metric in a rollup.
fn bucket_columns(metric: &Metric) -> Vec<Column> {
    let (name, column) = (metric_name(metric), metric.column);
    let named = |suffix: &str| format!("{name}_{suffix}");
    let said = |what: &str| format!("{}, {what}", describe(metric));
    match metric.kind {
        MetricKind::Gauge { is_optional, keeps_last } => {
            // Buckets from before there was the metric have no sum, and do not count.
            let n = if is_optional {
                format!("m.{column}_n")
            } else {
                format!("CASE WHEN m.{column}_sum IS NOT NULL THEN m.n END")
            };
            let mut columns = vec![
                Column::new(
                    named("avg"),
                    format!("m.{column}_sum / nullif({n}, 0)"),
                    said("average of the samples"),
                ),
                Column::new(named("min"), format!("m.{column}_min"), said("smallest")),
                Column::new(named("max"), format!("m.{column}_max"), said("largest")),
                Column::new(named("sum"), format!("m.{column}_sum"), said("sum of the samples")),
                Column::new(named("n"), n.clone(), said("how many samples have it")),
            ];
            if keeps_last {
                columns.push(Column::new(named("last"), format!("m.{column}_last"), said("last")));
            }
            columns
        }
        MetricKind::Ratio { over, scale } => vec![
            Column::new(
                named("avg"),
                format!("m.{column}_sum::float8 * {scale} / nullif(m.{column}_{over}, 0)"),
                said("average over all that was moved"),
            ),
            Column::new(named("min"), format!("m.{column}_rate_min"), said("smallest of a sample")),
            Column::new(named("max"), format!("m.{column}_rate_max"), said("largest of a sample")),
            Column::new(format!("{column}_sum"), format!("m.{column}_sum"), "All of it in the bucket"),
            Column::new(
                format!("{column}_{over}"),
                format!("m.{column}_{over}"),
                format!("What {column}_sum was divided by"),
            ),
        ],
    }
}

fn describe(metric: &Metric) -> String {
    let unit = match metric.unit {
        Unit::Percent => "percent (0-100)",
        Unit::Bytes => "bytes",
        Unit::BytesPerSecond => "bytes a second",
        Unit::PerSecond => "a second",
        Unit::Count => "a bare number",
        Unit::Milliseconds => "milliseconds",
        Unit::Seconds => "seconds",
        Unit::PerHour => "an hour",
        Unit::BitsPerSecond => "bits a second",
        Unit::Celsius => "degrees Celsius",
        Unit::Watts => "watts",
        Unit::RevolutionsPerMinute => "revolutions a minute",
        Unit::Hertz => "hertz",
        Unit::Boolean => "0 or 1",
        Unit::Code => "a number that stands for a state",
    };
    format!("{}: {unit}", metric.name)
}

/// The snake case of a name in camel case.
fn snake_case(name: &str) -> String {
    let mut snake_case = String::new();
    for char in name.chars() {
        if char.is_ascii_uppercase() {
            snake_case.push('_');
        }
        snake_case.push(char.to_ascii_lowercase());
    }
    snake_case
}
