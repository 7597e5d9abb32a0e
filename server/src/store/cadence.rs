//! The interval of an agent's samples, which distinguishes a hole in a chart from a bucket narrower than the interval.

use super::series_names::NamingTable;
use super::{ChartConnection, Error};
use crate::domain::family::Family;
use crate::domain::id::AgentKey;
use crate::domain::tier::DAY_MS;
use crate::domain::time_range::TimeRange;

/// Samples looked at, the newest in the range.
const SAMPLES: usize = 32;

/// Statement: agent, start, exclusive end → times, newest first. Of several series, the one that was named last is looked
/// at, which is still reported.
pub(super) fn statement(family: Family) -> String {
    let table = family.declaration();
    let is_of_series = match (NamingTable::of(table), table.series_column()) {
        (Some(naming), Some(key)) => format!(
            " AND {key} = (SELECT names.key FROM {names} AS names WHERE names.agent_key = $1{is_of_kind} \
             ORDER BY names.named_at DESC, names.key LIMIT 1)",
            names = naming.name(),
            is_of_kind = naming.is_of_kind("names"),
        ),
        _ => String::new(),
    };
    format!(
        "SELECT ts FROM {name} WHERE agent_key = $1{is_of_series} AND $2::int8 <= ts AND ts < $3::int8 \
         ORDER BY ts DESC LIMIT {SAMPLES}",
        name = table.name,
    )
}

impl ChartConnection<'_> {
    /// Returns the usual interval of an agent's samples at the end of a range, in milliseconds: the median of the
    /// newest ones. `None` if its last day holds fewer than two, or they are no longer kept.
    ///
    /// # Errors
    /// If the database is unavailable.
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
