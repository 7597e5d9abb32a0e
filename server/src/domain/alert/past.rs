//! What is stored of an agent over a span of time, and windows cut from it, for back-tests.

use std::collections::HashMap;

use super::condition::Function;
use super::coverage::Window;
use super::reading::{SeriesReading, WindowQuery};
use super::trend::History;
use crate::domain::TimestampMs;
use crate::domain::presence::PresenceChange;
use crate::domain::tier::HOUR_MS;

/// What is stored of one agent.
#[derive(Clone, Debug, Default)]
pub struct AgentPast {
    /// When it went online and offline, beginning with the state at the start.
    pub presence: Vec<PresenceChange>,
    /// When it reported that it had dropped samples, and how many.
    pub gaps: Vec<(TimestampMs, i64)>,
    /// The samples of each query, by the key of the disk or interface; 0 for the agent itself.
    pub points: Vec<HashMap<i32, Vec<Point>>>,
    /// The free space of each disk at the end of each hour.
    pub free_space: HashMap<i32, Vec<FreeSpace>>,
}

/// The samples of one series in one bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The start of the bucket.
    pub at: TimestampMs,
    /// Number of samples.
    pub n: i64,
    /// The time of the oldest sample.
    pub oldest: TimestampMs,
    /// The time of the newest sample.
    pub newest: TimestampMs,
    /// The values in the order of the query; `None` if no sample has one.
    pub values: Vec<Option<PointValue>>,
}

/// A metric's values in one bucket. Their average is `total / weight`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "described above")]
pub struct PointValue {
    pub weight: f64,
    pub total: f64,
    pub min: f64,
    pub max: f64,
}

/// The space of a disk at the end of an hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FreeSpace {
    /// The end of the hour.
    pub at: TimestampMs,
    /// The free space, in bytes.
    pub free_bytes: f64,
    /// The average usage in that hour, in percent.
    pub used_percent: f64,
}

impl AgentPast {
    /// Returns when the agent had come back after being offline, until `end`.
    pub fn restarts(&self, end: TimestampMs) -> Vec<TimestampMs> {
        let pairs = self.presence.iter().zip(self.presence.iter().skip(1));
        let back = pairs.filter(|(before, back)| before.online == Some(false) && back.online == Some(true));
        back.map(|(_, back)| back.at).take_while(|at| *at <= end).collect()
    }
}

/// Cuts the window that ends at `end` from points in buckets of `bucket_ms`, of which both are multiples. Returns `None`
/// if there is no sample in it. The window is widened to whole buckets.
pub fn window_of(
    points: &[Point],
    query: &WindowQuery,
    bucket_ms: i64,
    end: TimestampMs,
) -> Option<SeriesReading> {
    let length_ms = query.window_ms.div_euclid(bucket_ms) * bucket_ms;
    let length_ms = if length_ms < query.window_ms { length_ms + bucket_ms } else { length_ms };
    let first = points.partition_point(|point| point.at < end - length_ms);
    let until = points.partition_point(|point| point.at + bucket_ms <= end);
    let points = points.get(first..until).filter(|points| !points.is_empty())?;
    let window = Window {
        n: points.iter().map(|point| point.n).sum(),
        oldest: points.first()?.oldest,
        newest: points.last()?.newest.min(end),
        end,
        length_ms,
    };
    let values = query.values.iter().enumerate();
    let values = values.map(|(index, (_, function))| value_of(points, index, *function)).collect();
    Some(SeriesReading { window, values })
}

fn value_of(points: &[Point], index: usize, function: Function) -> Option<f64> {
    let mut values = points.iter().filter_map(|point| point.values.get(index).copied().flatten());
    match function {
        Function::Avg => {
            let (weight, total) = values
                .fold((0.0, 0.0), |(weight, total), value| (weight + value.weight, total + value.total));
            (0.0 < weight).then(|| total / weight)
        }
        Function::Min => values.map(|value| value.min).reduce(f64::min),
        Function::Max => values.map(|value| value.max).reduce(f64::max),
        // The average of the newest bucket.
        Function::Last => {
            values.next_back().filter(|value| 0.0 < value.weight).map(|value| value.total / value.weight)
        }
    }
}

/// Returns a disk's history of `history_ms` as it was known at `end`.
pub fn history_of(free_space: &[FreeSpace], history_ms: i64, end: TimestampMs) -> History {
    let first = free_space.partition_point(|hour| hour.at <= end - history_ms - HOUR_MS);
    let until = free_space.partition_point(|hour| hour.at <= end);
    let hours = free_space.get(first..until).unwrap_or_default();
    History {
        points: hours.iter().map(|hour| (hour.at, hour.free_bytes)).collect(),
        used_percent: hours.last().map_or(0.0, |hour| hour.used_percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::family::Family;
    use crate::domain::tier::MINUTE_MS;

    fn point(minute: i64, weight: f64, total: f64, max: f64) -> Point {
        let (at, min) = (minute * MINUTE_MS, 0.0);
        let value = PointValue { weight, total, min, max };
        Point { at, n: 4, oldest: at, newest: at + MINUTE_MS - 1, values: vec![Some(value)] }
    }

    #[test]
    fn windows_are_cut_and_combined() {
        let points = [point(0, 1.0, 90.0, 90.0), point(1, 1.0, 10.0, 10.0), point(3, 3.0, 90.0, 50.0)];
        let metric = &Family::Cpu.metrics()[0];
        let read = |function, window_ms, end| {
            let query = WindowQuery { family: Family::Cpu, window_ms, values: vec![(metric, function)] };
            let reading = window_of(&points, &query, MINUTE_MS, end * MINUTE_MS)?;
            Some((reading.window.n, reading.window.length_ms / MINUTE_MS, reading.values[0]?))
        };
        assert_eq!(read(Function::Avg, 3 * MINUTE_MS, 4), Some((8, 3, 25.0)));
        assert_eq!(read(Function::Max, 3 * MINUTE_MS, 4), Some((8, 3, 50.0)));
        assert_eq!(read(Function::Max, 4 * MINUTE_MS, 4), Some((12, 4, 90.0)));
        assert_eq!(read(Function::Last, 4 * MINUTE_MS, 4), Some((12, 4, 30.0)));
        assert_eq!(read(Function::Min, 90_000, 2), Some((8, 2, 0.0)), "whole buckets");
        assert_eq!(read(Function::Avg, MINUTE_MS, 3), None, "nothing in that minute");
        assert_eq!(read(Function::Avg, MINUTE_MS, 0), None, "what is not over is not known");
    }

    #[test]
    fn a_history_ends_with_what_was_known() {
        let hour = |hour: i64| FreeSpace { at: hour * HOUR_MS, free_bytes: 1.0, used_percent: 50.0 };
        let hours: Vec<FreeSpace> = (0..100).map(hour).collect();
        let history = history_of(&hours, 72 * HOUR_MS, 90 * HOUR_MS);
        assert_eq!(history.points.last(), Some(&(90 * HOUR_MS, 1.0)));
        assert_eq!(history.points.len(), 73);
    }
}
