//! Reading samples back: buckets for charts, and the latest values.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join5;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connection::Connection;
use super::rollup::{self, Content};
use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::family::{Family, Table};
use crate::domain::id::AgentKey;
use crate::domain::row::{CpuRow, DiskRow, LoadRow, MemoryRow, NetworkRow};
use crate::domain::tier::Tier;
use crate::domain::time_range::TimeRange;

const LATEST_CPU: &str = "SELECT ts, agent_key, core_count, usage_percent, user_percent, system_percent, \
     iowait_percent, steal_percent FROM cpu_metrics WHERE agent_key = $1 ORDER BY ts DESC LIMIT 1";
const LATEST_MEMORY: &str = "SELECT ts, total_bytes, used_bytes, free_bytes, available_bytes, swap_total_bytes, \
     swap_used_bytes, agent_key, usage_percent FROM memory_metrics WHERE agent_key = $1 ORDER BY ts DESC LIMIT 1";
const LATEST_DISK: &str = "SELECT latest.ts, total_bytes, used_bytes, free_bytes, disks.agent_key, disk_key, \
     usage_percent, inodes_usage_percent, mount_point, device, fs_type \
     FROM disks CROSS JOIN LATERAL (SELECT * FROM disk_metrics AS m \
         WHERE m.agent_key = $1 AND m.disk_key = disks.key ORDER BY ts DESC LIMIT 1) AS latest \
     WHERE disks.agent_key = $1 ORDER BY mount_point";
const LATEST_NETWORK: &str = "SELECT latest.ts, received_bytes_total, sent_bytes_total, received_bytes, sent_bytes, \
     interval_ms, receive_errors, send_errors, interfaces.agent_key, interface_key, name \
     FROM network_interfaces AS interfaces CROSS JOIN LATERAL (SELECT * FROM network_metrics AS m \
         WHERE m.agent_key = $1 AND m.interface_key = interfaces.key ORDER BY ts DESC LIMIT 1) AS latest \
     WHERE interfaces.agent_key = $1 ORDER BY name";
const LATEST_LOAD: &str = "SELECT ts, agent_key, load1, load5, load15 \
     FROM load_metrics WHERE agent_key = $1 ORDER BY ts DESC LIMIT 1";
const DISK_LABELS: &str = "SELECT key, mount_point, device FROM disks WHERE agent_key = $1";
const INTERFACE_LABELS: &str = "SELECT key, name, '' FROM network_interfaces WHERE agent_key = $1";

/// Up to where the rollups of a kind are complete.
const WATERMARKS: &str = "SELECT pika_rollup_watermark($1, '1m'), pika_rollup_watermark($2, '1h'), \
     pika_rollup_watermark($3, '1d')";

/// The newest row of each series of an agent.
pub(super) const LATEST_METRICS: &[&str] =
    &[LATEST_CPU, LATEST_MEMORY, LATEST_DISK, LATEST_NETWORK, LATEST_LOAD];

pub(super) const LATEST_STATEMENTS: &[&str] = &[
    LATEST_CPU,
    LATEST_MEMORY,
    LATEST_DISK,
    LATEST_NETWORK,
    LATEST_LOAD,
    DISK_LABELS,
    INTERFACE_LABELS,
    WATERMARKS,
];

/// Most buckets of all series together that one query answers: with a dozen numbers each, some tens of megabytes.
const BUCKETS_MAX: usize = 300_000;

/// A disk or interface that was last reported this long before the newest one is gone from its machine.
const SERIES_GONE_MS: i64 = 5 * 60 * 1000;

/// The buckets of one query, ready to be drawn: one list of times, shared by all series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricBuckets {
    /// Where the buckets start. Buckets without any sample are left out.
    pub timestamps: Vec<TimestampMs>,
    /// One entry a series, in the order of their labels.
    pub series: Vec<SeriesBuckets>,
}

/// One series of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesBuckets {
    /// Which disk or interface; nothing for families that have only one series.
    pub label: Option<SeriesLabel>,
    /// For each metric of the family, in its order, one entry a timestamp.
    pub metrics: Vec<MetricValues>,
}

/// What tells a series from its siblings.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesLabel {
    /// The mount point or interface.
    pub name: String,
    /// The device of a mount point; empty for interfaces.
    pub device: String,
}

/// The values of one metric of one series, one a timestamp; `None` where there was no sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricValues {
    /// Averages.
    pub avg: Vec<Option<f64>>,
    /// Smallest values.
    pub min: Vec<Option<f64>>,
    /// Largest values.
    pub max: Vec<Option<f64>>,
}

/// The newest row of each series of an agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatestMetrics {
    /// Processor.
    pub cpu: Option<CpuRow>,
    /// Memory and swap.
    pub memory: Option<MemoryRow>,
    /// By mount point, with device and file system type.
    pub disks: Vec<(DiskRow, SeriesLabel, String)>,
    /// By interface.
    pub networks: Vec<(NetworkRow, SeriesLabel)>,
    /// Load averages.
    pub load: Option<LoadRow>,
}

/// The statement that cuts an agent's metrics into buckets: agent, width, then one bound more than there are tiers →
/// bucket, series, and for each metric average, minimum and maximum. Each tier answers for the span that it holds
/// complete, and the next finer one goes on from there, so that a chart reaches now. The bounds are constants to the
/// planner, which so reads no chunk outside of them.
pub(super) fn buckets_statement(table: &Table, coarsest: Tier) -> String {
    let pieces: Vec<String> =
        tiers_from(coarsest).zip(3..).map(|(tier, bound)| buckets_of_tier(table, tier, bound)).collect();
    let columns: String = (0..table.metrics.len())
        .map(|i| format!(", sum(total{i}) / nullif(sum(weight{i}), 0), min(low{i}), max(high{i})"))
        .collect();
    format!(
        "SELECT bucket, series{columns} FROM ({}) AS pieces GROUP BY 1, 2 ORDER BY 2, 1 LIMIT {}",
        pieces.join(" UNION ALL "),
        BUCKETS_MAX + 1
    )
}

fn buckets_of_tier(table: &Table, tier: Tier, bound: usize) -> String {
    let relation = rollup::relation(table, tier, Content::Metrics);
    let time = if tier == Tier::Raw { "ts" } else { "bucket" };
    let series = table.series_column.unwrap_or("0");
    let columns: String = (0..)
        .zip(table.metrics)
        .map(|(i, metric)| {
            let (from_raw, from_rollup) = rollup::chart_expressions(metric);
            let [weight, total, low, high] = if tier == Tier::Raw { from_raw } else { from_rollup };
            format!(", {weight} AS weight{i}, {total} AS total{i}, {low} AS low{i}, {high} AS high{i}")
        })
        .collect();
    format!(
        "SELECT time_bucket($2::int8, {time}) AS bucket, {series}::int4 AS series{columns} FROM {relation} \
         WHERE agent_key = $1 AND ${bound}::int8 <= {time} AND {time} < ${next}::int8 GROUP BY 1, 2",
        next = bound + 1
    )
}

/// The statement that reads an agent's histograms; parameters as for the buckets, without the tier of minutes. Several
/// may belong to one bucket: adding them up in SQL takes ten times as long as reading them.
pub(super) fn histogram_statement(family: Family, coarsest: Tier) -> Option<String> {
    let from_raw = rollup::histogram_expression(family)?;
    let pieces: Vec<String> = histogram_tiers_from(coarsest)
        .zip(3..)
        .map(|(tier, bound)| {
            let relation = rollup::relation(family.declaration(), tier, Content::Histogram);
            let (time, histogram, group_by) = match tier {
                Tier::Raw => ("ts", from_raw.as_str(), "GROUP BY 1"),
                _ => ("bucket", "histogram", ""),
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

/// A tier and all finer ones.
fn tiers_from(coarsest: Tier) -> impl Iterator<Item = Tier> {
    Tier::ALL.into_iter().rev().filter(move |tier| *tier <= coarsest)
}

/// The same of histograms, which there are none of minutes of.
fn histogram_tiers_from(coarsest: Tier) -> impl Iterator<Item = Tier> {
    tiers_from(coarsest).filter(|tier| *tier != Tier::OneMinute)
}

impl Store {
    /// An agent's metrics of one family, in buckets. The range's bounds are multiples of its interval, and its interval
    /// one of the tier's buckets.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn metric_buckets(
        &self,
        agent: AgentKey,
        family: Family,
        tier: Tier,
        range: TimeRange,
    ) -> Result<MetricBuckets, Error> {
        let mut connection = self.connection().await?;
        let bounds = bounds(&mut connection, family, Content::Metrics, tiers_from(tier), range).await?;
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&agent.0, &range.interval_ms];
        parameters.extend(bounds.iter().map(|bound| bound as &(dyn ToSql + Sync)));
        let rows = connection.query(&buckets_statement(family.declaration(), tier), &parameters).await?;
        let labels = match family {
            Family::Disk => connection.query(DISK_LABELS, &[&agent.0]).await?,
            Family::Network => connection.query(INTERFACE_LABELS, &[&agent.0]).await?,
            Family::Cpu | Family::Memory | Family::Load => Vec::new(),
        };
        let labels = labels
            .iter()
            .map(|row| (row.get::<_, i32>(0), SeriesLabel { name: row.get(1), device: row.get(2) }))
            .collect();
        arrange(family, &rows, &labels).ok_or(Error::TooManyBuckets)
    }

    /// The 95th percentile of a family's histogram metric in buckets, by the start of each; empty for families that have
    /// none, and for buckets of less than an hour.
    ///
    /// # Errors
    /// When the database is away.
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
        let mut connection = self.connection().await?;
        let tiers = histogram_tiers_from(tier);
        let bounds = bounds(&mut connection, family, Content::Histogram, tiers, range).await?;
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&agent.0, &range.interval_ms];
        parameters.extend(bounds.iter().map(|bound| bound as &(dyn ToSql + Sync)));
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
        let percentile =
            |(bucket, counts): (TimestampMs, Vec<i64>)| Some((bucket, histogram.percentile(&counts, 0.95)?));
        Ok(counts.into_iter().filter_map(percentile).collect())
    }

    /// The newest values of an agent, however old they are.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn latest_metrics(&self, agent: AgentKey) -> Result<LatestMetrics, Error> {
        let mut connection = self.connection().await?;
        let cpu = connection.prepare(LATEST_CPU).await?;
        let memory = connection.prepare(LATEST_MEMORY).await?;
        let disk = connection.prepare(LATEST_DISK).await?;
        let network = connection.prepare(LATEST_NETWORK).await?;
        let load = connection.prepare(LATEST_LOAD).await?;
        let client = connection.client();
        let (cpu, memory, disk, network, load) = try_join5(
            client.query_opt(&cpu, &[&agent.0]),
            client.query_opt(&memory, &[&agent.0]),
            client.query(&disk, &[&agent.0]),
            client.query(&network, &[&agent.0]),
            client.query_opt(&load, &[&agent.0]),
        )
        .await?;
        let mut latest = LatestMetrics {
            cpu: cpu.as_ref().map(cpu_row),
            memory: memory.as_ref().map(memory_row),
            disks: disk.iter().map(disk_row).collect(),
            networks: network.iter().map(network_row).collect(),
            load: load.as_ref().map(load_row),
        };
        if let Some(newest) = latest.disks.iter().map(|(row, ..)| row.ts).max() {
            latest.disks.retain(|(row, ..)| newest - SERIES_GONE_MS <= row.ts);
        }
        if let Some(newest) = latest.networks.iter().map(|(row, _)| row.ts).max() {
            latest.networks.retain(|(row, _)| newest - SERIES_GONE_MS <= row.ts);
        }
        Ok(latest)
    }
}

/// Where each tier's part of a range begins, and where the last one's ends: a rollup answers up to where it is complete.
async fn bounds(
    connection: &mut Connection,
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

/// Turns rows of (bucket, series, values…) into columns over one common list of times; `None` where they are too many.
fn arrange(family: Family, rows: &[Row], labels: &BTreeMap<i32, SeriesLabel>) -> Option<MetricBuckets> {
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
            values.avg[position] = row.get(2 + 3 * index);
            values.min[position] = row.get(3 + 3 * index);
            values.max[position] = row.get(4 + 3 * index);
        }
    }
    let mut series: Vec<SeriesBuckets> = by_series
        .into_iter()
        .map(|(key, metrics)| SeriesBuckets { label: labels.get(&key).cloned(), metrics })
        .collect();
    series.sort_by(|one, other| one.label.cmp(&other.label));
    Some(MetricBuckets { timestamps, series })
}

fn cpu_row(row: &Row) -> CpuRow {
    CpuRow {
        ts: row.get(0),
        agent_key: row.get(1),
        core_count: row.get(2),
        usage_percent: row.get(3),
        user_percent: row.get(4),
        system_percent: row.get(5),
        iowait_percent: row.get(6),
        steal_percent: row.get(7),
    }
}

fn memory_row(row: &Row) -> MemoryRow {
    MemoryRow {
        ts: row.get(0),
        total_bytes: row.get(1),
        used_bytes: row.get(2),
        free_bytes: row.get(3),
        available_bytes: row.get(4),
        swap_total_bytes: row.get(5),
        swap_used_bytes: row.get(6),
        agent_key: row.get(7),
        usage_percent: row.get(8),
    }
}

fn disk_row(row: &Row) -> (DiskRow, SeriesLabel, String) {
    let disk = DiskRow {
        ts: row.get(0),
        total_bytes: row.get(1),
        used_bytes: row.get(2),
        free_bytes: row.get(3),
        agent_key: row.get(4),
        disk_key: row.get(5),
        usage_percent: row.get(6),
        inodes_usage_percent: row.get(7),
    };
    (disk, SeriesLabel { name: row.get(8), device: row.get(9) }, row.get(10))
}

fn network_row(row: &Row) -> (NetworkRow, SeriesLabel) {
    let network = NetworkRow {
        ts: row.get(0),
        received_bytes_total: row.get(1),
        sent_bytes_total: row.get(2),
        received_bytes: row.get(3),
        sent_bytes: row.get(4),
        interval_ms: row.get(5),
        receive_errors: row.get(6),
        send_errors: row.get(7),
        agent_key: row.get(8),
        interface_key: row.get(9),
    };
    (network, SeriesLabel { name: row.get(10), device: String::new() })
}

fn load_row(row: &Row) -> LoadRow {
    LoadRow {
        ts: row.get(0),
        agent_key: row.get(1),
        load1: row.get(2),
        load5: row.get(3),
        load15: row.get(4),
    }
}
