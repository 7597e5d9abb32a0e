//! What can be measured: the families, their labels and metrics, from which clients learn how to show those that they
//! do not know.

use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::security::UserAuth;
use super::{ApiError, Tag};
use crate::domain::family::{Family, Label, Metric, MetricKind, Table};
use crate::domain::permission::Permission;

/// The description of metrics.
#[derive(Debug)]
pub struct MetricTypesApi;

/// What can be measured.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct MetricTypes {
    /// The families, in an order that makes sense to people.
    items: Vec<MetricFamily>,
}

/// A family of metrics.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct MetricFamily {
    /// The name, as in the parameter `type`.
    #[oai(rename = "type")]
    metric_type: String,
    /// What it is about.
    description: String,
    /// The field of an agent's latest metrics that holds the family's values; other families may share it.
    latest_field: String,
    /// Whether an agent may have several series, such as one per disk.
    has_series: bool,
    /// What distinguishes and describes the series; the first label identifies one within its agent. Empty if an agent
    /// has only one.
    labels: Vec<MetricLabel>,
    /// The metrics, the most important first.
    metrics: Vec<MetricDescription>,
}

/// A label of a series.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct MetricLabel {
    /// The name.
    name: String,
    /// What it says.
    description: String,
}

/// A metric.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct MetricDescription {
    /// The name.
    name: String,
    /// The unit of the values. `boolean` is 0 or 1, and its average the share of the time; the average of a `code`
    /// means nothing.
    unit: String,
    /// `gauge`: a level, averaged over the samples. `rate`: an amount since the previous sample, divided by the time.
    /// `ratio`: an amount divided by another one. The average of the last two is that of all amounts together. Others
    /// may follow.
    kind: String,
    /// What it is.
    description: String,
}

impl From<Family> for MetricFamily {
    fn from(family: Family) -> Self {
        let table = family.declaration();
        let labels: Vec<MetricLabel> =
            table.series.iter().flat_map(|series| series.labels).map(MetricLabel::from).collect();
        Self {
            metric_type: family.name().to_owned(),
            description: table.doc.trim_start().to_owned(),
            latest_field: table.sample_field().to_owned(),
            has_series: table.series.is_some(),
            labels,
            metrics: family.metrics().iter().map(|metric| MetricDescription::of(table, metric)).collect(),
        }
    }
}

impl From<&Label> for MetricLabel {
    fn from(label: &Label) -> Self {
        Self { name: label.api_name.to_owned(), description: label.doc.trim_start().to_owned() }
    }
}

impl MetricDescription {
    fn of(table: &Table, metric: &Metric) -> Self {
        let field = table.fields.iter().find(|field| field.column.name == metric.column);
        Self {
            name: metric.name.to_owned(),
            unit: metric.unit.name().to_owned(),
            kind: match metric.kind {
                MetricKind::Gauge { .. } => "gauge",
                MetricKind::Ratio { over: "interval_ms", .. } => "rate",
                MetricKind::Ratio { .. } => "ratio",
            }
            .to_owned(),
            description: field.map_or("", |field| field.doc.trim_start()).to_owned(),
        }
    }
}

#[OpenApi(prefix_path = "/api/metric-types", tag = "Tag::Agents")]
impl MetricTypesApi {
    /// List what can be measured
    ///
    /// All families with their labels and metrics. A client that reads it can show families that it does not know.
    #[oai(path = "/", method = "get", operation_id = "listMetricTypes")]
    async fn list(&self, auth: UserAuth) -> Result<Json<MetricTypes>, ApiError> {
        auth.require(Permission::Read)?;
        Ok(Json(MetricTypes { items: Family::ALL.into_iter().map(MetricFamily::from).collect() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_described() {
        for family in Family::ALL.map(MetricFamily::from) {
            assert!(!family.description.is_empty() && !family.latest_field.is_empty(), "{family:?}");
            assert!(!family.metrics.is_empty(), "{family:?}");
            for metric in &family.metrics {
                assert!(metric.description.ends_with('.'), "{metric:?}");
            }
        }
    }
}
