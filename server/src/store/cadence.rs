//! How far apart an agent takes its samples: tells a hole in a chart from a bucket that is narrower than that.

use super::{ChartConnection, Error};
use crate::domain::family::Family;
use crate::domain::id::AgentKey;
use crate::domain::tier::DAY_MS;
use crate::domain::time_range::TimeRange;

/// Samples that are looked at, the newest of the range.
const SAMPLES: usize = 32;

/// The statement behind it: agent, first time, first time not wanted → times, the newest first. Families of several series
/// are sampled together with the processor.
pub(super) fn statement(family: Family) -> String {
    let table = if family.series_column().is_some() { Family::Cpu.table() } else { family.table() };
    format!(
        "SELECT ts FROM {table} WHERE agent_key = $1 AND $2::int8 <= ts AND ts < $3::int8 \
         ORDER BY ts DESC LIMIT {SAMPLES}"
    )
}

impl ChartConnection<'_> {
    /// The usual distance of an agent's samples at the end of a range, in milliseconds: the median of the newest ones. `None`
    /// where there are no two on its last day, or are kept no longer.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sample_interval_ms(
        &self,
        agent: AgentKey,
        family: Family,
        range: TimeRange,
    ) -> Result<Option<i64>, Error> {
        let start = range.start.max(range.end - DAY_MS);
        let rows = self.connection.query(&statement(family), &[&agent.0, &start, &range.end]).await?;
        let times: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let mut distances: Vec<i64> = times.windows(2).map(|pair| pair[0] - pair[1]).collect();
        distances.sort_unstable();
        Ok(distances.get(distances.len() / 2).copied())
    }
}
