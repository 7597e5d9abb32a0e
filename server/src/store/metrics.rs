//! Samples in buckets, as charts need them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Row;

use super::connection::{Connection, Parameter};
use super::rollup::{self, Content};
use super::series_names::NamingTable;
use super::{ChartConnection, Error};
use crate::domain::TimestampMs;
use crate::domain::family::{Family, Metric, Table, percentile};
use crate::domain::id::AgentKey;
use crate::domain::series::SeriesLabels;
use crate::domain::tier::Tier;
use crate::domain::time_range::TimeRange;

/// Up to where the rollups of a kind are complete.
const WATERMARKS: &str = "SELECT pika_rollup_watermark($1, '1m'), pika_rollup_watermark($2, '1h'), \
     pika_rollup_watermark($3, '1d')";

pub(super) const STATEMENTS: &[&str] = &[WATERMARKS];

/// Maximum buckets of all series together in one answer: with a dozen numbers each, some tens of megabytes.
pub(super) const BUCKETS_MAX: usize = 300_000;

/// The buckets of one query, ready to draw: one list of times, shared by all series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricBuckets {
    /// Where the buckets start. Buckets without samples are left out.
    pub timestamps: Vec<TimestampMs>,
    /// One entry per series, in the order of their labels.
    pub series: Vec<SeriesBuckets>,
}

/// One series of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesBuckets {
    /// The disk, interface or the like; `None` for families with only one series.
    pub labels: Option<SeriesLabels>,
    /// For each metric of the family, in its order, one entry per timestamp.
    pub metrics: Vec<MetricValues>,
}

/// The values of one metric of one series, one per timestamp; `None` where there was no sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricValues {
    /// Averages.
    pub avg: Vec<Option<f64>>,
    /// Smallest values.
    pub min: Vec<Option<f64>>,
    /// Largest values.
    pub max: Vec<Option<f64>>,
}

/// Statement that cuts some metrics of an agent's table into buckets: agent, width, then one bound more than there are
/// tiers → bucket, series, and for each metric average, minimum and maximum. Each tier covers the span for which it is
/// complete, and the next finer one continues from there, so that a chart reaches up to now. The planner sees the
/// bounds as constants, so it reads no chunks outside them.
pub(super) fn buckets_statement(table: &Table, metrics: &[Metric], coarsest: Tier) -> String {
    let pieces: Vec<String> = coarsest
        .and_finer(table)
        .zip(3..)
        .map(|(tier, bound)| buckets_of_tier(table, metrics, tier, bound))
        .collect();
    let columns: String = (0..metrics.len())
        .map(|i| format!(", sum(total{i}) / nullif(sum(weight{i}), 0), min(low{i}), max(high{i})"))
        .collect();
    format!(
        "SELECT bucket, series{columns} FROM ({}) AS pieces GROUP BY 1, 2 ORDER BY 2, 1 LIMIT {}",
        pieces.join(" UNION ALL "),
        BUCKETS_MAX + 1
    )
}

fn buckets_of_tier(table: &Table, metrics: &[Metric], tier: Tier, bound: usize) -> String {
    let relation = rollup::relation(table, tier, Content::Metrics);
    let time = rollup::time_column(tier);
    let series = table.series_column().unwrap_or("0");
    let columns: String = (0..)
        .zip(metrics)
        .map(|(i, metric)| {
            let [weight, total, low, high] = rollup::chart_expressions(metric, tier);
            format!(", {weight} AS weight{i}, {total} AS total{i}, {low} AS low{i}, {high} AS high{i}")
        })
        .collect();
    format!(
        "SELECT time_bucket($2::int8, {time}) AS bucket, {series}::int4 AS series{columns} FROM {relation} \
         WHERE agent_key = $1 AND ${bound}::int8 <= {time} AND {time} < ${next}::int8 GROUP BY 1, 2",
        next = bound + 1
    )
}

/// Statement that reads an agent's histograms; parameters as for the buckets, without the one-minute tier. Several may
/// belong to one bucket: adding them up in SQL takes ten times as long as reading them.
pub(super) fn histogram_statement(family: Family, coarsest: Tier) -> Option<String> {
    let from_raw = rollup::histogram_expression(family.histogram()?);
    let pieces: Vec<String> = histogram_tiers_from(family.declaration(), coarsest)
        .zip(3..)
        .map(|(tier, bound)| {
            let relation = rollup::relation(family.declaration(), tier, Content::Histogram);
            let time = rollup::time_column(tier);
            let (histogram, group_by) = match tier {
                Tier::Raw => (from_raw.as_str(), "GROUP BY 1"),
                _ => ("histogram", ""),
            };
            format!(
                "SELECT time_bucket($2::int8, {time}) AS bucket, {histogram} AS histogram FROM {relation} \
                 WHERE agent_key = $1 AND ${bound}::int8 <= {time} AND {time} < ${next}::int8 {group_by}",
                next = bound + 1
            )
        })
        .collect();
    Some(pieces.join(" UNION ALL "))
}

/// Like [`Tier::and_finer`], for histograms, which have no one-minute tier.
fn histogram_tiers_from(table: &Table, coarsest: Tier) -> impl Iterator<Item = Tier> {
    coarsest.and_finer(table).filter(|tier| *tier != Tier::OneMinute)
}

impl ChartConnection<'_> {
    /// Returns an agent's metrics of one family in buckets. The range's bounds are multiples of its interval,
    /// which is a multiple of the tier's bucket.
    ///
    /// # Errors
    /// If the database is unavailable, or there would be too many buckets.
    pub async fn metric_buckets(
        &self,
        agent: AgentKey,
        family: Family,
        tier: Tier,
        range: TimeRange,
    ) -> Result<MetricBuckets, Error> {
        let connection = &*self.connection;
        let tiers = tier.and_finer(family.declaration());
        let bounds = bounds(connection, family, Content::Metrics, tiers, range).await?;
        let mut parameters: Vec<Parameter<'_>> = vec![&agent.0, &range.interval_ms];
        parameters.extend(bounds.iter().map(|bound| bound as Parameter<'_>));
        let statement = buckets_statement(family.declaration(), family.metrics(), tier);
        let (rows, labels) = tokio::try_join!(
            async { Ok(connection.query(&statement, &parameters).await?) },
            labels(connection, agent, family.declaration()),
        )?;
        arrange(family, &rows, &labels, 3).ok_or(Error::TooManyBuckets)
    }

    /// Returns the 95th percentile of a family's histogram metric in buckets, by the start of each; empty for families
    /// without one, and for buckets shorter than an hour.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn percentiles(
        &self,
        agent: AgentKey,
        family: Family,
        tier: Tier,
        range: TimeRange,
    ) -> Result<BTreeMap<TimestampMs, f64>, Error> {
        let (Some(histogram), Some(statement)) = (family.histogram(), histogram_statement(family, tier))
        else {
            return Ok(BTreeMap::new());
        };
        if tier < Tier::OneHour {
            return Ok(BTreeMap::new());
        }
        let connection = &*self.connection;
        let tiers = histogram_tiers_from(family.declaration(), tier);
        let bounds = bounds(connection, family, Content::Histogram, tiers, range).await?;
        let mut parameters: Vec<Parameter<'_>> = vec![&agent.0, &range.interval_ms];
        parameters.extend(bounds.iter().map(|bound| bound as Parameter<'_>));
        let mut counts: BTreeMap<TimestampMs, Vec<i64>> = BTreeMap::new();
        for row in connection.query(&statement, &parameters).await? {
            let addend = row.get::<_, Vec<i32>>(1).into_iter().map(i64::from);
            match counts.entry(row.get(0)) {
                Entry::Vacant(entry) => {
                    entry.insert(addend.collect());
                }
                Entry::Occupied(entry) => {
                    entry.into_mut().iter_mut().zip(addend).for_each(|(count, addend)| *count += addend);
                }
            }
        }
        let percentile_of =
            |(bucket, counts): (TimestampMs, Vec<i64>)| Some((bucket, percentile(histogram, &counts, 0.95)?));
        Ok(counts.into_iter().filter_map(percentile_of).collect())
    }
}

/// Where each tier's part of a range begins, and where the last one's ends: a rollup is read up to where it is
/// complete.
pub(super) async fn bounds(
    connection: &Connection,
    family: Family,
    content: Content,
    tiers: impl Iterator<Item = Tier>,
    range: TimeRange,
) -> Result<Vec<TimestampMs>, Error> {
    let relations = Tier::ROLLUPS.map(|tier| rollup::relation(family.declaration(), tier, content));
    let row = connection.query_opt(WATERMARKS, &[&relations[0], &relations[1], &relations[2]]).await?;
    let complete_until = |tier: Tier| {
        let position = Tier::ROLLUPS.iter().position(|rollup| *rollup == tier)?;
        row.as_ref()?.get::<_, Option<TimestampMs>>(position)
    };
    let mut bounds = vec![range.start];
    let mut reached = range.start;
    for tier in tiers {
        let until = if tier == Tier::Raw { range.end } else { complete_until(tier).unwrap_or(range.start) };
        reached = until.clamp(reached, range.end.max(reached));
        bounds.push(reached);
    }
    Ok(bounds)
}

/// Returns the statement that reads the labels of an agent's series: agent → key, labels in order of declaration.
/// `None` for tables with one series per agent.
pub(super) fn labels_statement(table: &Table) -> Option<String> {
    let naming = NamingTable::of(table)?;
    Some(format!(
        "SELECT key, {} FROM {} AS names WHERE agent_key = $1{}",
        naming.labels("names"),
        naming.name(),
        naming.is_of_kind("names")
    ))
}

/// Returns the labels of an agent's series.
pub(super) async fn labels(
    connection: &Connection,
    agent: AgentKey,
    table: &Table,
) -> Result<BTreeMap<i32, SeriesLabels>, Error> {
    let Some(statement) = labels_statement(table) else {
        return Ok(BTreeMap::new());
    };
    let rows = connection.query(&statement, &[&agent.0]).await?;
    Ok(rows.iter().map(|row| (row.get(0), SeriesLabels { texts: row.get(1) })).collect())
}

/// Turns rows of (time, series, values…) into columns over one common list of times; `None` if there are too many. For
/// each metric a row has average, minimum and maximum, or one value that is all three.
pub(super) fn arrange(
    family: Family,
    rows: &[Row],
    labels: &BTreeMap<i32, SeriesLabels>,
    n_values: usize,
) -> Option<MetricBuckets> {
    let mut timestamps: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    timestamps.sort_unstable();
    timestamps.dedup();
    let n_series = rows.iter().map(|row| row.get::<_, i32>(1)).collect::<BTreeSet<_>>().len();
    if BUCKETS_MAX < rows.len() || BUCKETS_MAX < timestamps.len() * n_series {
        return None;
    }
    let empty = MetricValues {
        avg: vec![None; timestamps.len()],
        min: vec![None; timestamps.len()],
        max: vec![None; timestamps.len()],
    };
    let mut by_series: BTreeMap<i32, Vec<MetricValues>> = BTreeMap::new();
    for row in rows {
        let Ok(position) = timestamps.binary_search(&row.get::<_, i64>(0)) else {
            continue;
        };
        let metrics =
            by_series.entry(row.get(1)).or_insert_with(|| vec![empty.clone(); family.metrics().len()]);
        for (index, values) in metrics.iter_mut().enumerate() {
            let value = |which: usize| row.get(2 + n_values * index + which.min(n_values - 1));
            values.avg[position] = value(0);
            values.min[position] = value(1);
            values.max[position] = value(2);
        }
    }
    let mut series: Vec<SeriesBuckets> = by_series
        .into_iter()
        .map(|(key, metrics)| SeriesBuckets { labels: labels.get(&key).cloned(), metrics })
        .collect();
    series.sort_by(|one, other| one.labels.cmp(&other.labels));
    Some(MetricBuckets { timestamps, series })
}
