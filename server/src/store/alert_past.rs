//! Reads what is stored of some agents over a span of time, for back-tests of alert rules.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::Error;
use super::alert_evaluation::{AlertConnection, Evaluation};
use super::alert_readings::{self, Piece};
use super::rollup::{self, Content};
use crate::domain::TimestampMs;
use crate::domain::alert::condition::Function;
use crate::domain::alert::past::{FreeSpace, Point, PointValue};
use crate::domain::alert::reading::WindowQuery;
use crate::domain::family::Family;
use crate::domain::presence::PresenceChange;
use crate::domain::tier::{HOUR_MS, Tier};

/// Maximum time of a single statement.
const LIMIT: &str = "SET LOCAL statement_timeout = 10000";
/// Beginning with the state at the start.
const PRESENCE: &str = "SELECT agent_key, at, online FROM agent_presence AS present \
     WHERE agent_key = ANY($1) AND at < $3 AND at >= coalesce((SELECT max(at) FROM agent_presence AS first \
         WHERE first.agent_key = present.agent_key AND first.at <= $2), $2) ORDER BY 1, 2";
const GAPS: &str = "SELECT agent_key, reported_at, samples FROM sample_gaps \
     WHERE agent_key = ANY($1) AND $2 <= reported_at AND reported_at < $3 ORDER BY 1, 2";
const FREE_SPACE: &str = "SELECT agent_key, disk_key, bucket, free_bytes_last::float8, \
         coalesce(usage_percent_sum / nullif(n, 0), 0)::float8 FROM disk_metrics_1h \
     WHERE agent_key = ANY($1) AND $2 <= bucket AND bucket < $3 AND free_bytes_last IS NOT NULL ORDER BY 1, 2, 3";
const BLIND_SPOTS: &str = "SELECT (details->>'from')::int8, (details->>'to')::int8 FROM alert_events \
     WHERE kind = 'system.blind' AND $1 <= at AND at < $2 ORDER BY at";

pub(super) const STATEMENTS: &[&str] = &[PRESENCE, GAPS, FREE_SPACE, BLIND_SPOTS];

/// A half-open span, and how it is read. Its bounds are multiples of the width of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastSpan {
    /// The first millisecond.
    pub start: TimestampMs,
    /// The first millisecond after it.
    pub end: TimestampMs,
    /// The coarsest tier that is read.
    pub tier: Tier,
    /// The width of a bucket, in milliseconds: a multiple of the tier's.
    pub bucket_ms: i64,
}

/// Points by agent and series.
pub type PastPoints = HashMap<i32, HashMap<i32, Vec<Point>>>;

/// Returns the statement that reads points: agents → agent, series, bucket, number of samples, the oldest, the newest, and
/// weight, total, minimum and maximum of each value.
fn statement(query: &WindowQuery, pieces: &[Piece], bucket_ms: i64) -> String {
    let table = query.family.declaration();
    let series = table.series_column().unwrap_or("0");
    let pieces: Vec<String> = pieces
        .iter()
        .map(|(tier, start, end)| {
            let relation = rollup::relation(table, *tier, Content::Metrics);
            let time = rollup::time_column(*tier);
            let n = if *tier == Tier::Raw { "count(*)" } else { "sum(n)" };
            let last = tier.bucket_ms() - 1;
            let columns: String = (0..)
                .zip(&query.values)
                .map(|(i, (metric, _))| {
                    let [weight, total, low, high] = rollup::chart_expressions(metric, *tier);
                    format!(", {weight} AS weight{i}, {total} AS total{i}, {low} AS low{i}, {high} AS high{i}")
                })
                .collect();
            format!(
                "SELECT agent_key, {series}::int4 AS series, time_bucket({bucket_ms}::int8, {time}) AS bucket, \
                 {n}::int8 AS n, min({time}) AS oldest, max({time}) + {last} AS newest{columns} FROM {relation} \
                 WHERE agent_key = ANY($1) AND {start} <= {time} AND {time} < {end} GROUP BY 1, 2, 3"
            )
        })
        .collect();
    let columns: String = (0..query.values.len())
        .map(|i| {
            format!(
                ", sum(weight{i})::float8, sum(total{i})::float8, min(low{i})::float8, max(high{i})::float8"
            )
        })
        .collect();
    format!(
        "SELECT agent_key, series, bucket, sum(n)::int8, min(oldest)::int8, max(newest)::int8{columns} \
         FROM ({}) AS pieces GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        pieces.join(" UNION ALL ")
    )
}

fn point(row: &Row, n_values: usize) -> Point {
    let value = |i: usize| {
        let part = |column: usize| row.get::<_, Option<f64>>(6 + 4 * i + column);
        Some(PointValue { weight: part(0)?, total: part(1)?, min: part(2)?, max: part(3)? })
    };
    Point {
        at: row.get(2),
        n: row.get(3),
        oldest: row.get(4),
        newest: row.get(5),
        values: (0..n_values).map(value).collect(),
    }
}

/// Groups rows by agent, whose key is in the first column.
fn by_agent<T>(rows: &[Row], value: impl Fn(&Row) -> T) -> HashMap<i32, Vec<T>> {
    let mut by_agent: HashMap<i32, Vec<T>> = HashMap::new();
    for row in rows {
        by_agent.entry(row.get(0)).or_default().push(value(row));
    }
    by_agent
}

impl AlertConnection {
    /// Begins reading the past, with a short time limit per statement.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn past(&mut self) -> Result<Evaluation<'_>, Error> {
        let evaluation = self.look().await?;
        evaluation.0.batch_execute(LIMIT).await?;
        Ok(evaluation)
    }
}

impl Evaluation<'_> {
    /// Returns the points of a query for some agents.
    ///
    /// # Errors
    /// If it takes too long, or the database is unavailable.
    pub async fn past_points(
        &self,
        query: &WindowQuery,
        agents: &[i32],
        span: PastSpan,
    ) -> Result<PastPoints, Error> {
        let PastSpan { start, end, tier, bucket_ms } = span;
        let complete_until = alert_readings::watermarks(&self.0, query.family).await?;
        let tiers: Vec<Tier> = tier.and_finer(query.family.declaration()).collect();
        let pieces = alert_readings::pieces(&tiers, start, end, |tier| complete_until.of(tier));
        let mut points = PastPoints::new();
        if pieces.is_empty() {
            return Ok(points);
        }
        let statement = statement(query, &pieces, bucket_ms);
        for row in self.0.query(&statement, &[&agents]).await? {
            let series = points.entry(row.get(0)).or_default().entry(row.get(1)).or_default();
            series.push(point(&row, query.values.len()));
        }
        Ok(points)
    }

    /// Returns when some agents went online and offline, beginning with the state at the start.
    ///
    /// # Errors
    /// If it takes too long, or the database is unavailable.
    pub async fn past_presence(
        &self,
        agents: &[i32],
        start: TimestampMs,
        end: TimestampMs,
    ) -> Result<HashMap<i32, Vec<PresenceChange>>, Error> {
        let rows = self.0.query(PRESENCE, &[&agents, &start, &end]).await?;
        Ok(by_agent(&rows, |row| PresenceChange { at: row.get(1), online: row.get(2) }))
    }

    /// Returns when some agents reported that they had dropped samples, and how many.
    ///
    /// # Errors
    /// If it takes too long, or the database is unavailable.
    pub async fn past_gaps(
        &self,
        agents: &[i32],
        start: TimestampMs,
        end: TimestampMs,
    ) -> Result<HashMap<i32, Vec<(TimestampMs, i64)>>, Error> {
        let rows = self.0.query(GAPS, &[&agents, &start, &end]).await?;
        Ok(by_agent(&rows, |row| (row.get(1), row.get(2))))
    }

    /// Returns the free space of some agents' disks at the end of each hour.
    ///
    /// # Errors
    /// If it takes too long, or the database is unavailable.
    pub async fn past_free_space(
        &self,
        agents: &[i32],
        start: TimestampMs,
        end: TimestampMs,
    ) -> Result<HashMap<i32, HashMap<i32, Vec<FreeSpace>>>, Error> {
        let mut disks: HashMap<i32, HashMap<i32, Vec<FreeSpace>>> = HashMap::new();
        for row in self.0.query(FREE_SPACE, &[&agents, &start, &end]).await? {
            let at = row.get::<_, TimestampMs>(2) + HOUR_MS;
            let hour = FreeSpace { at, free_bytes: row.get(3), used_percent: row.get(4) };
            disks.entry(row.get(0)).or_default().entry(row.get(1)).or_default().push(hour);
        }
        Ok(disks)
    }

    /// Returns the spans in which no server evaluated rules, as far as they ended between `start` and `end`.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn blind_spots(
        &self,
        start: TimestampMs,
        end: TimestampMs,
    ) -> Result<Vec<(TimestampMs, TimestampMs)>, Error> {
        let rows = self.0.query(BLIND_SPOTS, &[&start, &end]).await?;
        let spot = |row: &Row| Some((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?));
        Ok(rows.iter().filter_map(spot).collect())
    }
}

/// Returns examples of the generated statements, for tests that prepare them.
pub(super) fn examples(end: TimestampMs) -> Vec<String> {
    let end = end - end % HOUR_MS;
    let of = |family: Family| {
        let values = family.metrics().iter().map(|metric| (metric, Function::Avg)).collect();
        let query = WindowQuery { family, window_ms: HOUR_MS, values };
        let complete_until = |tier: Tier| Some(end - 2 * tier.bucket_ms());
        let tiers: Vec<Tier> = Tier::OneHour.and_finer(family.declaration()).collect();
        let pieces = alert_readings::pieces(&tiers, end - 24 * HOUR_MS, end, complete_until);
        statement(&query, &pieces, HOUR_MS)
    };
    Family::ALL.into_iter().map(of).collect()
}
