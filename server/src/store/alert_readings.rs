//! Reads windows of samples for alert rules: one statement per family and window, for the whole fleet. The only file of
//! alerting that knows tables, columns and tiers.

use std::collections::HashMap;

use tokio_postgres::{Row, Transaction};

use super::rollup::{self, Content};
use super::series_names::NamingTable;
use crate::domain::TimestampMs;
use crate::domain::alert::condition::{Function, RAW_WINDOW_MS_MAX};
use crate::domain::alert::coverage::Window;
use crate::domain::alert::reading::{Readings, SeriesReading, WindowQuery};
use crate::domain::alert::trend::History;
use crate::domain::family::{Family, Metric, Table};
use crate::domain::tier::{HOUR_MS, Tier};

/// Windows of at least this length are read from hourly rollups as far as these are complete, in milliseconds; they may
/// therefore begin up to an hour too early.
const HOURS_WINDOW_MS_MIN: i64 = 6 * HOUR_MS;

/// Up to where the rollups of a kind are complete.
const WATERMARKS: &str = "SELECT pika_rollup_watermark($1, '1m'), pika_rollup_watermark($2, '1h')";

/// The free space of disks at the end of each hour, and the average usage in the last one, in percent.
const DISK_HISTORIES: &str = "SELECT disk_key, array_agg(bucket ORDER BY bucket), \
         array_agg(free_bytes_last::float8 ORDER BY bucket), \
         (array_agg((usage_percent_sum / nullif(n, 0))::float8 ORDER BY bucket DESC))[1] \
     FROM disk_metrics_1h WHERE $1 <= bucket AND free_bytes_last IS NOT NULL GROUP BY 1";

pub(super) const STATEMENTS: &[&str] = &[WATERMARKS, DISK_HISTORIES];

/// Returns the statement that lists the series of a family: key, agent, name, file system type; `None` if each agent has
/// one.
pub(super) fn series_statement(family: Family) -> Option<String> {
    let naming = NamingTable::of(family.declaration())?;
    let fs_type = if family == Family::Disk { "names.fs_type" } else { "''" };
    Some(format!(
        "SELECT names.key, names.agent_key, names.{}, {fs_type} FROM {} AS names WHERE true{}",
        naming.identifier(),
        naming.name(),
        naming.is_of_kind("names"),
    ))
}

/// Returns the tiers that a window of a table is read from, the coarsest first.
fn tiers(table: &Table, window_ms: i64) -> Vec<Tier> {
    let coarsest = if window_ms <= RAW_WINDOW_MS_MAX {
        Tier::Raw
    } else if window_ms < HOURS_WINDOW_MS_MIN {
        Tier::OneMinute
    } else {
        Tier::OneHour
    };
    coarsest.and_finer(table).collect()
}

/// Returns the columns of one tier that a value is computed from, with unique names.
fn inner_columns(index: usize, metric: &Metric, function: Function, tier: Tier) -> String {
    let [weight, total, low, high] = rollup::chart_expressions(metric, tier);
    match function {
        Function::Avg => format!(", {weight} AS weight{index}, {total} AS total{index}"),
        Function::Min => format!(", {low} AS value{index}"),
        Function::Max => format!(", {high} AS value{index}"),
        // Its windows are read from raw samples alone.
        Function::Last => format!(
            ", last({value}, ts) FILTER (WHERE {column} IS NOT NULL) AS value{index}",
            value = rollup::sample_expression(metric),
            column = metric.column
        ),
    }
}

/// Returns the expression that combines the tiers' columns.
fn outer_column(index: usize, function: Function) -> String {
    match function {
        Function::Avg => format!(", (sum(total{index}) / nullif(sum(weight{index}), 0))::float8"),
        Function::Min => format!(", min(value{index})::float8"),
        Function::Max | Function::Last => format!(", max(value{index})::float8"),
    }
}

/// Returns the statement that reads a window: agent, series, number of samples, the oldest, the newest, and the values.
/// The bounds of the pieces are constants, so that no chunk outside them is planned for.
pub(super) fn statement(query: &WindowQuery, pieces: &[Piece]) -> String {
    let table = query.family.declaration();
    let series = table.series_column().unwrap_or("0");
    let values = || query.values.iter().enumerate();
    let pieces: Vec<String> = pieces
        .iter()
        .map(|(tier, start, end)| {
            let relation = rollup::relation(table, *tier, Content::Metrics);
            let time = rollup::time_column(*tier);
            let n = if *tier == Tier::Raw { "count(*)" } else { "sum(n)" };
            let last = tier.bucket_ms() - 1;
            let columns: String = values()
                .map(|(index, (metric, function))| inner_columns(index, metric, *function, *tier))
                .collect();
            format!(
                "SELECT agent_key, {series}::int4 AS series, {n}::int8 AS n, min({time}) AS oldest, \
                 max({time}) + {last} AS newest{columns} FROM {relation} \
                 WHERE {start} <= {time} AND {time} < {end} GROUP BY 1, 2"
            )
        })
        .collect();
    let columns: String = values().map(|(index, (_, function))| outer_column(index, *function)).collect();
    format!(
        "SELECT agent_key, series, sum(n)::int8, min(oldest)::int8, max(newest)::int8{columns} \
         FROM ({}) AS pieces GROUP BY 1, 2",
        pieces.join(" UNION ALL ")
    )
}

/// A tier, and the start and the exclusive end of what is read from it.
pub(super) type Piece = (Tier, TimestampMs, TimestampMs);

/// Returns what is read from each tier of a span: rollups as far as they are complete. The start is a multiple of the
/// coarsest tier's buckets.
pub(super) fn pieces(
    tiers: &[Tier],
    start: TimestampMs,
    end: TimestampMs,
    complete_until: impl Fn(Tier) -> Option<TimestampMs>,
) -> Vec<Piece> {
    let mut reached = start;
    let mut pieces = Vec::new();
    for tier in tiers {
        let until = if *tier == Tier::Raw { Some(end) } else { complete_until(*tier) };
        let until = until.map_or(reached, |until| until.clamp(reached, end.max(reached)));
        let until = until.div_euclid(tier.bucket_ms()) * tier.bucket_ms();
        if reached < until {
            pieces.push((*tier, reached, until));
            reached = until;
        }
    }
    pieces
}

/// Returns the pieces of the window that ends at `end`, inclusive.
fn window_pieces(
    query: &WindowQuery,
    end: TimestampMs,
    complete_until: impl Fn(Tier) -> Option<TimestampMs>,
) -> Vec<Piece> {
    let tiers = tiers(query.family.declaration(), query.window_ms);
    let grid_ms = tiers.first().map_or(1, |tier| tier.bucket_ms());
    let start = (end + 1 - query.window_ms).div_euclid(grid_ms) * grid_ms;
    pieces(&tiers, start, end + 1, complete_until)
}

/// Up to where a family's rollups are complete.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watermarks {
    one_minute: Option<TimestampMs>,
    one_hour: Option<TimestampMs>,
}

impl Watermarks {
    /// Returns up to where a tier is complete; `None` if it has no rollups yet.
    pub(super) fn of(&self, tier: Tier) -> Option<TimestampMs> {
        if tier == Tier::OneHour { self.one_hour } else { self.one_minute }
    }
}

/// Reads up to where a family's rollups are complete.
pub(super) async fn watermarks(
    transaction: &Transaction<'_>,
    family: Family,
) -> Result<Watermarks, tokio_postgres::Error> {
    let relation = |tier| rollup::relation(family.declaration(), tier, Content::Metrics);
    let relations = [relation(Tier::OneMinute), relation(Tier::OneHour)];
    let row = transaction.query_opt(WATERMARKS, &[&relations[0], &relations[1]]).await?;
    Ok(row.map_or(Watermarks::default(), |row| Watermarks { one_minute: row.get(0), one_hour: row.get(1) }))
}

/// Reads the samples of the window that ends at `end`, inclusive.
pub(super) async fn read(
    transaction: &Transaction<'_>,
    query: &WindowQuery,
    end: TimestampMs,
) -> Result<Readings, tokio_postgres::Error> {
    let complete_until = match tiers(query.family.declaration(), query.window_ms)[..] {
        [Tier::Raw] => Watermarks::default(),
        _ => watermarks(transaction, query.family).await?,
    };
    let pieces = window_pieces(query, end, |tier| complete_until.of(tier));
    let rows = transaction.query(&statement(query, &pieces), &[]).await?;
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), reading(row, query, end))).collect())
}

/// Returns the free space of all disks from `start` on, by their keys.
pub(super) async fn disk_histories(
    transaction: &Transaction<'_>,
    start: TimestampMs,
) -> Result<HashMap<i32, History>, tokio_postgres::Error> {
    let rows = transaction.query(DISK_HISTORIES, &[&start]).await?;
    let history = |row: &Row| {
        let (hours, free): (Vec<TimestampMs>, Vec<f64>) = (row.get(1), row.get(2));
        let used_percent = row.get::<_, Option<f64>>(3).unwrap_or(0.0);
        // A bucket's last value is that of its end.
        let points = hours.into_iter().map(|hour| hour + HOUR_MS).zip(free).collect();
        (row.get(0), History { points, used_percent })
    };
    Ok(rows.iter().map(history).collect())
}

fn reading(row: &Row, query: &WindowQuery, end: TimestampMs) -> SeriesReading {
    let newest: TimestampMs = row.get(4);
    let window = Window {
        n: row.get(2),
        oldest: row.get(3),
        newest: newest.min(end),
        end,
        length_ms: query.window_ms,
    };
    SeriesReading { window, values: (0..query.values.len()).map(|index| row.get(5 + index)).collect() }
}

/// Returns examples of the statements generated for rules, for tests that prepare them.
pub(super) fn examples(end: TimestampMs) -> Vec<String> {
    let of = |family: Family, window_ms: i64| {
        let functions: &[Function] = if window_ms <= RAW_WINDOW_MS_MAX {
            &[Function::Avg, Function::Min, Function::Max, Function::Last]
        } else {
            &[Function::Avg, Function::Min, Function::Max]
        };
        let mut query = WindowQuery { family, window_ms, values: Vec::new() };
        for metric in family.metrics() {
            for function in functions {
                query.add(metric, *function);
            }
        }
        let complete_until = |tier: Tier| Some(end - 2 * tier.bucket_ms());
        statement(&query, &window_pieces(&query, end, complete_until))
    };
    let windows = [RAW_WINDOW_MS_MAX, HOUR_MS, 24 * HOUR_MS];
    Family::ALL.into_iter().flat_map(|family| windows.map(|window_ms| of(family, window_ms))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_millisecond_of_a_window_is_read_once() {
        let query = |window_ms| WindowQuery { family: Family::Cpu, window_ms, values: Vec::new() };
        let end = 1_795_403_312_345;
        for (window_ms, complete) in [
            (60_000, None),
            (HOUR_MS, Some(end - 150_000)),
            (HOUR_MS, Some(end - 30 * HOUR_MS)),
            (12 * HOUR_MS, Some(end - 4_000_000)),
            (12 * HOUR_MS, None),
        ] {
            let pieces = window_pieces(&query(window_ms), end, |_| complete);
            assert_eq!(pieces.last().unwrap().2, end + 1);
            assert!(pieces[0].1 <= end + 1 - window_ms, "{pieces:?}");
            assert!(end + 1 - window_ms - pieces[0].1 < HOUR_MS);
            assert!(pieces.windows(2).all(|pair| pair[0].2 == pair[1].1), "{pieces:?}");
            assert!(pieces.iter().all(|(tier, start, _)| start % tier.bucket_ms() == 0), "{pieces:?}");
        }
    }
}
