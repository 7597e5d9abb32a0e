//! Checks afterwards that every sent row is in the database once, at its time.

use pika_server::domain::family::Table;
use serde::Serialize;
use tokio_postgres::Client;

use super::frames::Shape;
use crate::error::BenchError;

/// Count and checksum of an agent's samples, or of its rows in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) samples: i64,
    /// Sum of the times, in milliseconds since the Unix epoch, which detects wrong times.
    pub(super) timestamp_sum: i64,
}

/// The result of the check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowCount {
    pub(crate) sent: i64,
    pub(crate) stored: i64,
    /// Rows sent but not stored.
    pub(crate) missing: i64,
    /// Rows stored more often than sent.
    pub(crate) duplicates: i64,
    /// Series with the right number of rows, but at other times.
    pub(crate) altered_series: i64,
}

impl RowCount {
    /// Returns whether exactly the sent rows are stored.
    pub(crate) fn is_exact(&self) -> bool {
        self.sent == self.stored && self.missing == 0 && self.duplicates == 0 && self.altered_series == 0
    }

    /// Compares an agent's rows of a table with its samples.
    fn compare(&mut self, expected: Expected, found: Expected) {
        self.sent += expected.samples;
        self.stored += found.samples;
        self.missing += (expected.samples - found.samples).max(0);
        self.duplicates += (found.samples - expected.samples).max(0);
        let is_altered = expected.samples == found.samples && expected.timestamp_sum != found.timestamp_sum;
        self.altered_series += i64::from(is_altered);
    }
}

/// Counts the rows of every agent in every table. `expected` is in the order of the agents' numbers.
pub(super) async fn count(
    client: &Client,
    shape: Shape,
    expected: &[Expected],
) -> Result<RowCount, BenchError> {
    let mut counted = RowCount::default();
    for (_, table, rows_per_sample) in shape.rows_per_sample().iter() {
        let sql = format!(
            "SELECT count(metric.ts), coalesce(sum(metric.ts), 0)::text \
             FROM agents LEFT JOIN {} AS metric ON metric.agent_key = agents.key \
             GROUP BY agents.key ORDER BY agents.key",
            table.name
        );
        let factor = i64::try_from(*rows_per_sample).unwrap_or(i64::MAX);
        let rows = client.query(&sql, &[]).await?;
        if rows.len() != expected.len() {
            let (found, expected) = (rows.len(), expected.len());
            return Err(BenchError::Answer(format!("of {found} agents where there are {expected}")));
        }
        for (expected, row) in expected.iter().zip(rows) {
            let found = Expected {
                samples: row.get(0),
                timestamp_sum: row.get::<_, String>(1).parse().unwrap_or(i64::MAX),
            };
            let expected = Expected {
                samples: factor * expected.samples,
                timestamp_sum: factor * expected.timestamp_sum,
            };
            counted.compare(expected, found);
        }
    }
    Ok(counted)
}

/// Returns the number of rows of all tables in a time range.
pub(super) async fn count_between(client: &Client, start: i64, end: i64) -> Result<i64, BenchError> {
    let mut n_rows = 0;
    for table in Table::ALL {
        let sql = format!("SELECT count(*) FROM {} WHERE $1 <= ts AND ts < $2", table.name);
        n_rows += client.query_one(&sql, &[&start, &end]).await?.get::<_, i64>(0);
    }
    Ok(n_rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of pairs of what was sent and what was found.
    fn compared(pairs: &[[(i64, i64); 2]]) -> RowCount {
        let mut counted = RowCount::default();
        let of = |(samples, timestamp_sum)| Expected { samples, timestamp_sum };
        pairs.iter().for_each(|[expected, found]| counted.compare(of(*expected), of(*found)));
        counted
    }

    #[test]
    fn what_was_sent_has_to_be_there_once() {
        let exact = compared(&[[(2, 30), (2, 30)], [(1, 7), (1, 7)]]);
        assert!(exact.is_exact(), "{exact:?}");
        assert_eq!((exact.sent, exact.stored), (3, 3));
    }

    #[test]
    fn what_is_missing_is_not_made_up_for_by_what_is_there_twice() {
        let counted = compared(&[[(2, 30), (1, 10)], [(1, 7), (2, 14)]]);
        assert_eq!((counted.sent, counted.stored), (3, 3));
        assert_eq!((counted.missing, counted.duplicates), (1, 1));
        assert!(!counted.is_exact());
    }

    #[test]
    fn a_row_at_another_time_is_noticed() {
        let counted = compared(&[[(2, 30), (2, 31)]]);
        assert_eq!((counted.missing, counted.duplicates, counted.altered_series), (0, 0, 1));
        assert!(!counted.is_exact());
    }
}
