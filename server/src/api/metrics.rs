//! Agents' metrics in buckets, for charts.

use std::collections::BTreeMap;

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::interval::Interval;
use super::metric_names::{MetricType, TierName};
use super::rounding::rounded;
use super::security::UserAuth;
use super::serialized::Serialized;
use super::series_filter::{Candidate, SeriesFilter};
use super::{ApiContext, ApiError, Tag, agents};
use crate::domain::TimestampMs;
use crate::domain::family::Family;
use crate::domain::id::AgentId;
use crate::domain::permission::Permission;
use crate::domain::series::SeriesLabels;
use crate::domain::time_range::{SampleRange, TimeRange, TimeRangeRequest};
use crate::store::{self, MetricBuckets, Store};

/// Agents' metrics.
#[derive(Debug)]
pub struct MetricsApi;

/// Samples of one family in buckets. All series share one list of times; a bucket in which no series has a sample is
/// omitted, and one in which only some have is null in the others.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub(super) struct Metrics {
    /// The agent's id.
    agent_id: Uuid,
    /// The family of the metrics.
    #[serde(rename = "type")]
    #[oai(rename = "type")]
    metric_type: MetricType,
    /// Start of the range, in milliseconds since the Unix epoch, inclusive.
    start: i64,
    /// End of the range, in milliseconds since the Unix epoch, exclusive.
    end: i64,
    /// Width of a bucket in milliseconds. Buckets start at multiples of it, so the first may start before `start`. 1 if
    /// the samples themselves were requested.
    interval_ms: i64,
    /// The usual interval of the samples at the end of the range, in milliseconds: a longer pause is a hole. Absent if
    /// unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_interval_ms: Option<i64>,
    /// The stored resolution of the answer; its newest part, which is not rolled up yet, comes from finer ones.
    tier: TierName,
    /// Where each bucket starts, in milliseconds since the Unix epoch.
    timestamps: Vec<i64>,
    /// The series.
    series: Vec<Series>,
    /// The `start` of the next page of samples, in milliseconds since the Unix epoch. Only present if the samples
    /// themselves were requested and there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

/// One metric, of one disk or interface if there are several.
#[derive(Debug, Object, Serialize)]
#[serde(rename_all = "camelCase")]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
struct Series {
    /// The name of the metric, for example `usagePercent`.
    metric: String,
    /// The unit of the values. Known are `percent` (0–100), `bytes`, `bytesPerSecond`, `perSecond` and `perHour`
    /// (events), `count` (plain numbers), `milliseconds`, `seconds`, `bitsPerSecond`, `celsius`, `watts`,
    /// `revolutionsPerMinute`, `hertz`, `boolean` (0 or 1; an average is the share of the time) and `code` (a state);
    /// others may follow.
    unit: String,
    /// The mount point; only for disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_point: Option<String>,
    /// The device; only for disks and block devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// The interface; only for networks and links.
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<String>,
    /// The labels that distinguish the series from the agent's others; only if there may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
    /// The average of each bucket. For rates, the amount divided by the time it covers.
    avg: Vec<Option<f64>>,
    /// The smallest value of each bucket.
    min: Vec<Option<f64>>,
    /// The largest value of each bucket.
    max: Vec<Option<f64>>,
    /// The 95th percentile of the samples in each bucket, for `usagePercent` of the CPU to within one percentage point,
    /// for `load1` to within a tenth of its value; only if buckets consist of whole hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    p95: Option<Vec<Option<f64>>>,
}

impl Series {
    fn candidate(&self) -> Candidate<'_> {
        Candidate { metric: &self.metric, labels: self.labels.as_ref(), avg: &self.avg }
    }
}

#[OpenApi(prefix_path = "/api/agents", tag = "Tag::Agents")]
impl MetricsApi {
    /// Get an agent's metrics
    ///
    /// Samples of one family between `start` and `end` in buckets with average, minimum and maximum. With
    /// `interval=raw` the samples themselves, oldest first, for as long as raw samples are kept: every bucket holds
    /// one, whose value is average, minimum and maximum at once; `points` is the size of a page, and `next` the `start`
    /// of the next one.
    #[oai(path = "/:id/metrics", method = "get", operation_id = "getAgentMetrics")]
    #[expect(clippy::too_many_arguments, reason = "one argument a parameter")]
    async fn metrics(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The agent's id.
        id: Path<Uuid>,
        /// The family of the metrics.
        #[oai(name = "type")]
        metric_type: Query<MetricType>,
        /// Start of the range, in milliseconds since the Unix epoch, inclusive; by default an hour before `end`.
        start: Query<Option<i64>>,
        /// End of the range, in milliseconds since the Unix epoch, exclusive; by default now.
        end: Query<Option<i64>>,
        /// Maximum number of buckets (1–5000).
        #[oai(default = "default_points")]
        points: Query<u32>,
        /// Width of a bucket in milliseconds (1–316224000000), instead of `points`; or `raw`. A width that does not fit
        /// the rollups is increased to the next one that does: whole minutes from one minute on, and more for long
        /// ranges.
        interval: Query<Option<Interval>>,
        /// Only series of these metrics, for example `usagePercent`; may be repeated.
        #[oai(default, validator(max_items = "50"))]
        metric: Query<Vec<String>>,
        /// Only series with this label, `name:value`, for example `kind:container`; may be repeated. Of several values
        /// of one label, one has to match.
        #[oai(default, validator(max_items = "50"))]
        label: Query<Vec<String>>,
        /// Only the series with the largest values (1–50).
        #[oai(validator(minimum(value = "1"), maximum(value = "50")))]
        top: Query<Option<u16>>,
        /// The metric by whose average over the range `top` ranks; by default the family's first.
        #[oai(validator(max_length = 64))]
        by: Query<Option<String>>,
    ) -> Result<Serialized<Metrics>, ApiError> {
        let caller = auth.require(Permission::Read)?;
        let family = metric_type.0.into();
        let filter = SeriesFilter::new(family, metric.0, &label.0, top.0, by.0)?;
        let mut request =
            TimeRangeRequest { start: start.0, end: end.0, points: Some(points.0), interval_ms: None };
        let now = context.clock.now();
        let charts = &context.charts;
        let read = if interval.0 == Some(Interval::Raw) {
            let range = SampleRange::resolve(request, now)?;
            charts.read(caller.user.id, read_samples(&context.store, AgentId(id.0), family, range)).await?
        } else {
            request.interval_ms = interval.0.and_then(Interval::ms);
            let range = TimeRange::resolve(request, now)?;
            charts
                .read(caller.user.id, read_buckets(&context.store, AgentId(id.0), family, range, now))
                .await?
        };
        let mut found = read.ok_or_else(|| agents::no_agent(id.0))?;
        found.keep(&filter);
        Ok(Serialized(found))
    }
}

impl Metrics {
    /// Removes all series of other metrics.
    pub(super) fn keep_only(&mut self, metric: &str) {
        self.series.retain(|series| series.metric == metric);
    }

    /// Removes all series that a filter does not want.
    fn keep(&mut self, filter: &SeriesFilter) {
        let candidates: Vec<Candidate<'_>> = self.series.iter().map(Series::candidate).collect();
        let mut wanted = filter.wanted(&candidates).into_iter();
        self.series.retain(|_| wanted.next().unwrap_or(true));
    }

    /// Returns the number of buckets of all series together.
    pub(super) fn n_values(&self) -> usize {
        self.timestamps.len() * self.series.len()
    }
}

/// Reads a chart in buckets; `None` if there is no such agent.
pub(super) async fn read_buckets(
    store: &Store,
    agent: AgentId,
    family: Family,
    range: TimeRange,
    now: TimestampMs,
) -> Result<Option<Metrics>, store::Error> {
    let connection = store.chart_connection().await?;
    let (agent, retention) = tokio::try_join!(connection.agent(agent), connection.retention())?;
    let Some(agent) = agent else {
        return Ok(None);
    };
    let table = family.declaration();
    let (tier, range) = range.tier(now, |tier| retention.keep_ms(tier.stored(table)));
    let tier = tier.stored(table);
    let (buckets, percentiles, sample_interval_ms) = tokio::try_join!(
        connection.metric_buckets(agent.key, family, tier, range),
        connection.percentiles(agent.key, family, tier, range),
        connection.sample_interval_ms(agent.key, family, range),
    )?;
    Ok(Some(Metrics {
        agent_id: agent.id.0,
        metric_type: family.into(),
        start: range.start,
        end: range.end,
        interval_ms: range.interval_ms,
        sample_interval_ms,
        tier: tier.into(),
        series: series(family, &buckets, &percentiles),
        timestamps: buckets.timestamps,
        next: None,
    }))
}

/// Reads a page of samples; `None` if there is no such agent.
async fn read_samples(
    store: &Store,
    agent: AgentId,
    family: Family,
    range: SampleRange,
) -> Result<Option<Metrics>, store::Error> {
    let connection = store.chart_connection().await?;
    let Some(agent) = connection.agent(agent).await? else {
        return Ok(None);
    };
    let whole = TimeRange { start: range.start, end: range.end, interval_ms: 1 };
    let (page, sample_interval_ms) = tokio::try_join!(
        connection.samples(agent.key, family, range),
        connection.sample_interval_ms(agent.key, family, whole),
    )?;
    Ok(Some(Metrics {
        agent_id: agent.id.0,
        metric_type: family.into(),
        start: range.start,
        end: range.end,
        interval_ms: 1,
        sample_interval_ms,
        tier: TierName::Raw,
        series: series(family, &page.samples, &BTreeMap::new()),
        timestamps: page.samples.timestamps,
        next: page.next,
    }))
}

pub(super) fn default_points() -> u32 {
    crate::domain::time_range::POINTS_DEFAULT
}

fn series(family: Family, buckets: &MetricBuckets, percentiles: &BTreeMap<TimestampMs, f64>) -> Vec<Series> {
    let percentiles_of =
        family.histogram().filter(|_| !percentiles.is_empty()).map(|histogram| histogram.metric);
    let p95 = || {
        buckets.timestamps.iter().map(|timestamp| percentiles.get(timestamp).copied().map(rounded)).collect()
    };

    let mut all = Vec::new();
    for buckets in &buckets.series {
        let labels = buckets.labels.as_ref().map(|labels| named(family, labels));
        let label = |name: &str| labels.as_ref()?.get(name).cloned();
        for (metric, values) in family.metrics().iter().zip(&buckets.metrics) {
            // A metric this machine does not have is omitted, rather than a series of nulls.
            if values.avg.iter().all(Option::is_none) {
                continue;
            }
            let round = |values: &[Option<f64>]| values.iter().map(|value| value.map(rounded)).collect();
            all.push(Series {
                metric: metric.name.to_owned(),
                unit: metric.unit.name().to_owned(),
                mount_point: label("mountPoint"),
                device: label("device"),
                interface: label("interface"),
                labels: labels.clone(),
                avg: round(&values.avg),
                min: round(&values.min),
                max: round(&values.max),
                p95: (percentiles_of == Some(metric.name)).then(p95),
            });
        }
    }
    all
}

/// Returns the labels of a series by name.
fn named(family: Family, labels: &SeriesLabels) -> BTreeMap<String, String> {
    let names = family.declaration().series.iter().flat_map(|series| series.labels);
    names.map(|label| label.api_name.to_owned()).zip(labels.texts.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::serialized::assert_described;
    use crate::domain::tier::Tier;

    #[test]
    fn metrics_are_written_as_described() {
        let series = |is_disk: bool| Series {
            metric: "usagePercent".to_owned(),
            unit: "bytesPerSecond".to_owned(),
            mount_point: is_disk.then(|| "/".to_owned()),
            device: is_disk.then(|| "sda1".to_owned()),
            interface: (!is_disk).then(|| "eth0".to_owned()),
            labels: is_disk.then(|| BTreeMap::from([("mountPoint".to_owned(), "/".to_owned())])),
            avg: vec![Some(0.1), None, Some(f64::MAX)],
            min: Vec::new(),
            max: vec![Some(-0.0)],
            p95: is_disk.then(|| vec![None, Some(1.0)]),
        };
        let metrics = |metric_type, tier, next| Metrics {
            agent_id: Uuid::from_u128(1),
            metric_type,
            start: i64::MIN,
            end: i64::MAX,
            interval_ms: 1,
            sample_interval_ms: next,
            tier,
            timestamps: vec![0],
            series: vec![series(true), series(false)],
            next,
        };
        for family in Family::ALL {
            assert_described(&metrics(family.into(), TierName::Raw, Some(2)));
        }
        for tier in Tier::ALL {
            assert_described(&metrics(MetricType::Cpu, tier.into(), None));
        }
    }
}
