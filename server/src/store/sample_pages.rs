//! Samples as reported, a page at a time.

use tokio_postgres::Row;

use super::metrics::{self, BUCKETS_MAX, MetricBuckets};
use super::{ChartConnection, Error, rollup};
use crate::domain::TimestampMs;
use crate::domain::family::Family;
use crate::domain::id::AgentKey;
use crate::domain::time_range::SampleRange;

/// Maximum rows read for a page.
const ROWS_MAX: usize = 50_000;

/// A page of samples in time order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SamplePage {
    /// The samples: buckets holding one each.
    pub samples: MetricBuckets,
    /// Where the next page starts; `None` at the end.
    pub next: Option<TimestampMs>,
}

/// Statement of a page: agent, start, exclusive end, number of rows → time, series, and the value of each metric. The
/// rows of a sample are never split. Chunks are read in time order, so none is read after the last row.
pub(super) fn statement(family: Family) -> String {
    let columns: String =
        family.metrics().iter().map(|metric| format!(", {}", rollup::sample_expression(metric))).collect();
    format!(
        "SELECT ts, {series}::int4{columns} FROM {table} \
         WHERE agent_key = $1 AND $2::int8 <= ts AND ts < $3::int8 \
         ORDER BY ts FETCH FIRST ($4::int8) ROWS WITH TIES",
        series = family.series_column().unwrap_or("0"),
        table = family.table(),
    )
}

impl ChartConnection<'_> {
    /// Returns the first samples of a range: as many as it has points, or fewer for an agent with very many disks or
    /// interfaces.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn samples(
        &self,
        agent: AgentKey,
        family: Family,
        range: SampleRange,
    ) -> Result<SamplePage, Error> {
        let connection = &*self.connection;
        let labels = metrics::labels(connection, agent, family.declaration()).await?;
        let points = usize::try_from(range.points).unwrap_or(usize::MAX);
        let n_rows = points.saturating_mul(labels.len().max(1)).min(ROWS_MAX);
        let limit = i64::try_from(n_rows).unwrap_or(i64::MAX);
        let mut rows =
            connection.query(&statement(family), &[&agent.0, &range.start, &range.end, &limit]).await?;
        let next = cut(&mut rows, points, n_rows, labels.len());
        let samples = metrics::arrange(family, &rows, &labels, 1).ok_or(Error::TooManyBuckets)?;
        Ok(SamplePage { samples, next })
    }
}

/// Cuts off the rows beyond a page. Returns where the next page starts.
fn cut(rows: &mut Vec<Row>, points: usize, n_rows: usize, n_series: usize) -> Option<TimestampMs> {
    let ts = |row: &Row| row.get::<_, TimestampMs>(0);
    let times_max = points.min(BUCKETS_MAX / n_series.max(1)).max(1);
    let mut times: Vec<TimestampMs> = rows.iter().map(ts).collect();
    times.dedup();
    if let Some(next) = times.get(times_max) {
        rows.retain(|row| ts(row) < *next);
        return Some(*next);
    }
    let is_full = n_rows <= rows.len();
    times.last().filter(|_| is_full).map(|last| last + 1)
}
