//! When a disk will be full, by the median of the slopes of all pairs of hours (Theil–Sen). Least squares would follow every
//! nightly dump and every rotation of a log.

use crate::domain::TimestampMs;
use crate::domain::tier::{DAY_MS, HOUR_MS};

/// Minimum hours of a trend.
const POINTS_MIN: usize = 24;
/// Minimum time span of a trend, in milliseconds.
const SPAN_MS_MIN: i64 = DAY_MS;
/// Minimum percentage of pairs that must fall.
const FALLING_PERCENT_MIN: usize = 70;
/// Below this usage a disk is not considered full soon, whatever its trend.
const USED_PERCENT_MIN: f64 = 60.0;
/// With more free space than this, it is so only above [`USED_PERCENT_PLENTY`].
const FREE_BYTES_PLENTY: f64 = 500.0 * 1_073_741_824.0;
const USED_PERCENT_PLENTY: f64 = 85.0;
/// The number of days returned if there is no end in sight.
pub const DAYS_MAX: f64 = 36_500.0;

/// The free space of a disk over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The free space in bytes at the end of each hour, the oldest first.
    pub points: Vec<(TimestampMs, f64)>,
    /// The last usage, in percent.
    pub used_percent: f64,
}

impl History {
    /// Returns in how many days the disk will be full if the trend continues, [`DAYS_MAX`] if it will not be. `None` if
    /// there is not enough history to tell.
    pub fn days_left(&self) -> Option<f64> {
        let ((first, _), (last, free)) = (self.points.first()?, self.points.last()?);
        if self.points.len() < POINTS_MIN || last - first < SPAN_MS_MIN {
            return None;
        }
        let is_plenty = FREE_BYTES_PLENTY <= *free && self.used_percent < USED_PERCENT_PLENTY;
        if self.used_percent < USED_PERCENT_MIN || is_plenty {
            return Some(DAYS_MAX);
        }
        let slopes = slopes(&self.points);
        let n_falling = slopes.iter().filter(|slope| **slope < 0.0).count();
        let slope = median(slopes.clone())?;
        let newest = median(self::slopes(&self.points[self.points.len() * 2 / 3..]))?;
        let goes_on = n_falling * 100 >= FALLING_PERCENT_MIN * slopes.len() && newest <= slope / 2.0;
        if 0.0 <= slope || !goes_on {
            return Some(DAYS_MAX);
        }
        Some((free / -slope).clamp(0.0, DAYS_MAX))
    }
}

/// The slopes of all pairs, in bytes per day.
#[expect(clippy::cast_precision_loss, reason = "hours of days")]
fn slopes(points: &[(TimestampMs, f64)]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (index, (at, value)) in points.iter().enumerate() {
        for (later, other) in &points[index + 1..] {
            if at < later {
                slopes.push((other - value) / ((later - at) as f64 / DAY_MS as f64));
            }
        }
    }
    slopes
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    (middle < values.len()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// Returns the start of the history to read, in milliseconds, so that the hours are whole.
pub fn start_of(end: TimestampMs, history_ms: i64) -> TimestampMs {
    (end - history_ms).div_euclid(HOUR_MS) * HOUR_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: f64 = 1_073_741_824.0;

    /// 72 hours of a disk of 100 GiB with this much free space at each.
    fn history(free_gib: impl Fn(f64) -> f64) -> History {
        let noise = |hour: i32| f64::from(hour * 7919 % 13 - 6) * 0.02;
        let point = |hour: i32| (i64::from(hour) * HOUR_MS, (free_gib(f64::from(hour)) + noise(hour)) * GIB);
        let points: Vec<_> = (0..72).map(point).collect();
        let used_percent = 100.0 - points[71].1 / GIB;
        History { points, used_percent }
    }

    #[test]
    fn falling_free_space_will_run_out() {
        let days = history(|hour| 10.0 - hour / 24.0).days_left().unwrap();
        assert!((6.5..7.5).contains(&days), "{days}");
        // A dump of 3 GiB every day, which is deleted five hours later.
        let dump = |hour: f64| if (10.0..15.0).contains(&(hour % 24.0)) { 3.0 } else { 0.0 };
        let days = history(|hour| 10.0 - hour / 24.0 - dump(hour)).days_left().unwrap();
        assert!((6.0..8.0).contains(&days), "{days}");
    }

    #[test]
    fn other_changes_are_not_a_trend() {
        let dump = |hour: f64| if hour % 24.0 < 5.0 { 12.0 } else { 0.0 };
        for (what, history) in [
            ("flat", history(|_| 20.0)),
            ("a dump each night", history(|hour| 30.0 - dump(hour))),
            ("one step", history(|hour| if hour < 66.0 { 30.0 } else { 10.0 })),
            ("it has turned", history(|hour| if hour < 40.0 { 30.0 - hour / 4.0 } else { 20.0 })),
            ("most of it is free", history(|hour| 90.0 - hour / 4.0)),
        ] {
            assert_eq!(history.days_left(), Some(DAYS_MAX), "{what}");
        }
    }

    #[test]
    fn a_trend_takes_at_least_a_day() {
        let mut short = history(|hour| 10.0 - hour / 24.0);
        short.points.truncate(POINTS_MIN - 1);
        assert_eq!(short.days_left(), None);
        assert_eq!(History::default().days_left(), None);
    }
}
