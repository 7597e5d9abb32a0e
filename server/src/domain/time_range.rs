//! The time range of a query and its buckets.

use std::fmt;

use pika_protocol::limits;

use super::TimestampMs;
use super::tier::{DAY_MS, MINUTE_MS, Tier, bucket_start};

/// Minimum number of buckets of a query.
pub const POINTS_MIN: u32 = 1;
/// Maximum number of buckets of a query.
pub const POINTS_MAX: u32 = 5_000;
/// Default number of buckets.
pub const POINTS_DEFAULT: u32 = 600;
/// Default span: one hour.
pub const SPAN_MS_DEFAULT: i64 = 60 * 60 * 1000;
/// Maximum span of a query: ten years.
pub const SPAN_MS_MAX: i64 = 3_660 * 24 * 60 * 60 * 1000;
/// Maximum width of a bucket: as wide as the maximum span.
pub const INTERVAL_MS_MAX: i64 = SPAN_MS_MAX;
/// Maximum time of a query: the year 10000. Keeps all arithmetic far from overflow.
const TIMESTAMP_MS_MAX: i64 = 253_402_300_800_000;

/// Maximum number of rows of one series that a query reads: a day of samples, two months of minutes, ten years of
/// hours. Beyond that, wider buckets of a coarser tier look the same on a screen.
const SERIES_ROWS_MAX: i64 = 100_000;
/// Maximum number of rows that a query of one metric of the whole fleet reads, assuming one series per agent.
const FLEET_ROWS_MAX: i64 = 2_000_000;
/// The minimum sampling interval of agents.
const SAMPLE_INTERVAL_MS_MIN: i64 = limits::INTERVAL_MS_MIN.cast_signed();

/// A half-open span `start..end` of whole buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First millisecond of the bucket in which the requested span begins.
    pub start: TimestampMs,
    /// First millisecond after the bucket in which the requested span ends.
    pub end: TimestampMs,
    /// Width of a bucket. Buckets start at multiples of it.
    pub interval_ms: i64,
}

/// The parameters of a query, all optional.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeRangeRequest {
    /// First millisecond of the span.
    pub start: Option<TimestampMs>,
    /// First millisecond after the span.
    pub end: Option<TimestampMs>,
    /// Maximum number of buckets.
    pub points: Option<u32>,
    /// Width of a bucket, instead of `points`.
    pub interval_ms: Option<i64>,
}

/// Why a range is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeRangeError {
    /// The name of the invalid parameter.
    pub parameter: &'static str,
    /// The reason.
    pub message: String,
}

impl fmt::Display for TimeRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.parameter, self.message)
    }
}

impl std::error::Error for TimeRangeError {}

impl TimeRange {
    /// Applies defaults and checks the limits.
    ///
    /// # Errors
    /// If a parameter exceeds its limits or the parameters contradict one another.
    pub fn resolve(request: TimeRangeRequest, now: TimestampMs) -> Result<Self, TimeRangeError> {
        let SampleRange { start, end, points } = SampleRange::resolve(request, now)?;
        let span_ms = end - start;
        let Some(interval_ms) = request.interval_ms else {
            return Ok(Self::narrowest(start, end, points));
        };
        if !(1..=INTERVAL_MS_MAX).contains(&interval_ms) {
            return refused("interval", format!("must be 1–{INTERVAL_MS_MAX} ms, but is {interval_ms}"));
        }
        // One bucket more than the quotient if neither end is aligned.
        let buckets = span_ms / interval_ms + 1;
        if i64::from(POINTS_MAX) < buckets {
            return refused(
                "interval",
                format!(
                    "{interval_ms} ms would cut the span into {buckets} buckets; {POINTS_MAX} is the most"
                ),
            );
        }
        Ok(Self::covering(start, end, interval_ms))
    }

    /// Returns the narrowest round buckets of which a span touches at most `points`.
    fn narrowest(start: TimestampMs, end: TimestampMs, points: u32) -> Self {
        let fits = |range: &Self| (range.end - range.start) / range.interval_ms <= i64::from(points);
        let pleasant = PLEASANT_SECONDS.into_iter().map(|seconds| seconds * 1000);
        let days = (1..=SPAN_MS_MAX / DAY_MS).map(|days| days * DAY_MS);
        let mut ranges = pleasant.chain(days).map(|interval_ms| Self::covering(start, end, interval_ms));
        // A single bucket that begins in 1970 covers everything.
        ranges.find(fits).unwrap_or_else(|| Self::covering(0, end, bucket_start(end, DAY_MS) + DAY_MS))
    }

    /// Returns the whole buckets that a span touches.
    fn covering(start: TimestampMs, end: TimestampMs, interval_ms: i64) -> Self {
        let last = bucket_start(end - 1, interval_ms);
        Self { start: bucket_start(start, interval_ms), end: last + interval_ms, interval_ms }
    }

    /// Returns the tier to read, and the range in buckets that it fills: the coarsest tier whose buckets divide those
    /// of the range, or a coarser one with wider buckets if that tier no longer holds the range's start or has too many
    /// rows. A tier that is kept forever holds everything.
    pub fn tier(self, now: TimestampMs, keep_ms: impl Fn(Tier) -> Option<i64>) -> (Tier, Self) {
        self.tier_within(now, keep_ms, SERIES_ROWS_MAX)
    }

    /// Like [`TimeRange::tier`], for reading a series of each of so many agents. Buckets are at least a minute wide, so
    /// that raw samples are read only where minutes are not rolled up yet.
    pub fn tier_of_fleet(
        self,
        now: TimestampMs,
        keep_ms: impl Fn(Tier) -> Option<i64>,
        n_agents: usize,
    ) -> (Tier, Self) {
        let n_agents = i64::try_from(n_agents).unwrap_or(i64::MAX).max(1);
        self.widened(MINUTE_MS).tier_within(now, keep_ms, (FLEET_ROWS_MAX / n_agents).min(SERIES_ROWS_MAX))
    }

    /// Returns the number of buckets.
    pub fn n_buckets(self) -> usize {
        usize::try_from((self.end - self.start) / self.interval_ms).unwrap_or_default()
    }

    fn tier_within(
        self,
        now: TimestampMs,
        keep_ms: impl Fn(Tier) -> Option<i64>,
        rows_max: i64,
    ) -> (Tier, Self) {
        let holds =
            |tier: Tier| keep_ms(tier).is_none_or(|keep_ms| now.saturating_sub(keep_ms) <= self.start);
        let mut range = self;
        if MINUTE_MS <= self.interval_ms {
            range = self.widened(MINUTE_MS);
        }
        let mut tier = Tier::coarsest_for(range.interval_ms);
        while let Some(coarser) = tier.coarser()
            && !(holds(tier) && range.rows_of(tier) <= rows_max)
        {
            tier = coarser;
            range = self.widened(tier.bucket_ms());
        }
        (tier, range)
    }

    /// Returns the same span in buckets whose width is a multiple of `bucket_ms`.
    fn widened(self, bucket_ms: i64) -> Self {
        let interval_ms = (self.interval_ms + bucket_ms - 1) / bucket_ms * bucket_ms;
        Self::covering(self.start, self.end, interval_ms)
    }

    /// Returns the maximum number of rows of one series that a tier has in the range.
    fn rows_of(self, tier: Tier) -> i64 {
        let row_ms = if tier == Tier::Raw { SAMPLE_INTERVAL_MS_MIN } else { tier.bucket_ms() };
        (self.end - self.start) / row_ms
    }
}

/// The range of a query for raw samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRange {
    /// First millisecond of the span.
    pub start: TimestampMs,
    /// First millisecond after the span.
    pub end: TimestampMs,
    /// Maximum number of samples.
    pub points: u32,
}

impl SampleRange {
    /// Applies defaults and checks the limits. The interval is ignored.
    ///
    /// # Errors
    /// If a parameter exceeds its limits or the parameters contradict one another.
    pub fn resolve(request: TimeRangeRequest, now: TimestampMs) -> Result<Self, TimeRangeError> {
        let end = request.end.unwrap_or(now);
        if !(0..=TIMESTAMP_MS_MAX).contains(&end) {
            return refused(
                "end",
                format!("must be milliseconds since the Unix epoch, 0–{TIMESTAMP_MS_MAX}"),
            );
        }
        let start = request.start.unwrap_or((end - SPAN_MS_DEFAULT).max(0));
        if !(0..=TIMESTAMP_MS_MAX).contains(&start) {
            return refused(
                "start",
                format!("must be milliseconds since the Unix epoch, 0–{TIMESTAMP_MS_MAX}"),
            );
        }
        if end <= start {
            return refused("start", format!("must be before end ({end}), but is {start}"));
        }
        let span_ms = end - start;
        if SPAN_MS_MAX < span_ms {
            return refused(
                "start",
                format!("the span may be {SPAN_MS_MAX} ms at most, but is {span_ms} ms"),
            );
        }
        let points = request.points.unwrap_or(POINTS_DEFAULT);
        if !(POINTS_MIN..=POINTS_MAX).contains(&points) {
            return refused("points", format!("must be {POINTS_MIN}–{POINTS_MAX}, but is {points}"));
        }
        Ok(Self { start, end, points })
    }
}

fn refused<T>(parameter: &'static str, message: String) -> Result<T, TimeRangeError> {
    Err(TimeRangeError { parameter, message })
}

/// Round bucket widths that are easy to read on an axis.
const PLEASANT_SECONDS: [i64; 16] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tier::HOUR_MS;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn an_empty_request_is_the_last_hour() {
        let range = TimeRange::resolve(TimeRangeRequest::default(), NOW).unwrap();
        assert_eq!(range, TimeRange { start: NOW - SPAN_MS_DEFAULT, end: NOW, interval_ms: 10_000 });
    }

    #[test]
    fn no_span_and_no_points_make_more_buckets_than_asked_for() {
        for span_ms in [1, 999, 60_000, 3_600_000, 86_400_000, 30 * 86_400_000, SPAN_MS_MAX] {
            for points in [1, 2, 3, 600, 5_000] {
                // Any alignment, the worst included: a span that starts at the last millisecond of a bucket.
                for shift_ms in [0, 1, 999, 59_999, 86_399_999] {
                    let end = Some(NOW + shift_ms);
                    let start = Some(NOW + shift_ms - span_ms);
                    let request = TimeRangeRequest { start, end, points: Some(points), interval_ms: None };
                    let range = TimeRange::resolve(request, NOW).unwrap();
                    let buckets = (range.end - range.start) / range.interval_ms;
                    assert!(
                        buckets <= i64::from(points),
                        "{span_ms} ms in {points}: {range:?} gives {buckets}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_range_is_made_of_whole_buckets() {
        let request =
            TimeRangeRequest { start: Some(61_000), end: Some(119_000), ..TimeRangeRequest::default() };
        let range =
            TimeRange::resolve(TimeRangeRequest { interval_ms: Some(60_000), ..request }, NOW).unwrap();
        assert_eq!(range, TimeRange { start: 60_000, end: 120_000, interval_ms: 60_000 });
    }

    #[test]
    fn a_tier_that_has_dropped_the_start_is_passed_over() {
        let keep_ms = |tier| match tier {
            Tier::Raw => Some(30 * DAY_MS),
            Tier::OneMinute => Some(90 * DAY_MS),
            Tier::OneHour => Some(400 * DAY_MS),
            Tier::OneDay => None,
        };
        let tier = |days: i64, interval_ms| {
            let start = Some(NOW - days * DAY_MS);
            let end = Some(NOW - days * DAY_MS + HOUR_MS);
            let request = TimeRangeRequest { start, end, interval_ms: Some(interval_ms), points: None };
            let (tier, range) = TimeRange::resolve(request, NOW).unwrap().tier(NOW, keep_ms);
            (tier, range.interval_ms)
        };
        assert_eq!(tier(1, 5_000), (Tier::Raw, 5_000));
        assert_eq!(tier(31, 5_000), (Tier::OneMinute, MINUTE_MS));
        assert_eq!(tier(31, 90_000), (Tier::OneMinute, 2 * MINUTE_MS));
        assert_eq!(tier(91, 5_000), (Tier::OneHour, HOUR_MS));
        assert_eq!(tier(2_000, 5_000), (Tier::OneDay, DAY_MS));
    }

    #[test]
    fn an_interval_becomes_one_that_a_rollup_fills() {
        let tier = |span_ms: i64, interval_ms| {
            let request = TimeRangeRequest {
                start: Some(NOW - span_ms),
                end: Some(NOW),
                interval_ms: Some(interval_ms),
                points: None,
            };
            let (tier, range) = TimeRange::resolve(request, NOW).unwrap().tier(NOW, |_| None);
            (tier, range.interval_ms)
        };
        assert_eq!(tier(HOUR_MS, 59_000), (Tier::Raw, 59_000));
        assert_eq!(tier(HOUR_MS, 90_000), (Tier::OneMinute, 2 * MINUTE_MS));
        assert_eq!(tier(30 * DAY_MS, 599_000), (Tier::OneMinute, 10 * MINUTE_MS));
        assert_eq!(tier(DAY_MS, 59_000), (Tier::Raw, 59_000));
        assert_eq!(tier(3 * DAY_MS, 59_000), (Tier::OneMinute, MINUTE_MS), "too many samples");
        assert_eq!(tier(30 * DAY_MS, 90 * MINUTE_MS), (Tier::OneMinute, 90 * MINUTE_MS));
        assert_eq!(tier(300 * DAY_MS, 90 * MINUTE_MS), (Tier::OneHour, 2 * HOUR_MS), "too many minutes");
        assert_eq!(tier(SPAN_MS_MAX, 25 * HOUR_MS), (Tier::OneHour, 25 * HOUR_MS));
        assert_eq!(tier(SPAN_MS_MAX, INTERVAL_MS_MAX), (Tier::OneDay, INTERVAL_MS_MAX));
    }

    #[test]
    fn no_request_reads_many_more_rows_of_a_series_than_it_may() {
        for span_ms in [1, DAY_MS, 2 * DAY_MS, 70 * DAY_MS, 400 * DAY_MS, SPAN_MS_MAX] {
            for interval_ms in [1, 1_000, 59_999, 60_001, 599_000, 5_399_999, 7 * HOUR_MS + 1, 31 * DAY_MS] {
                let start = Some(NOW - span_ms);
                let request =
                    TimeRangeRequest { start, end: Some(NOW), interval_ms: Some(interval_ms), points: None };
                let Ok(range) = TimeRange::resolve(request, NOW) else { continue };
                let (tier, range) = range.tier(NOW, |_| None);
                let n_rows = (range.end - range.start) / tier.bucket_ms().max(1_000);
                assert!(n_rows <= SERIES_ROWS_MAX, "{span_ms} by {interval_ms}: {n_rows} rows of {tier:?}");
                assert_eq!(range.interval_ms % tier.bucket_ms(), 0);
                assert!(range.start <= NOW - span_ms && NOW <= range.end);
            }
        }
    }

    #[test]
    fn large_fleets_are_read_from_coarser_tiers() {
        let hours = TimeRangeRequest {
            start: Some(NOW - 6 * 60 * MINUTE_MS),
            end: Some(NOW),
            points: Some(30),
            interval_ms: None,
        };
        let range = TimeRange::resolve(hours, NOW).unwrap();
        let of = |n_agents| range.tier_of_fleet(NOW, |_| None, n_agents);
        assert_eq!((of(0).0, of(100).0, of(20_000).0), (Tier::OneMinute, Tier::OneMinute, Tier::OneHour));
        assert_eq!(of(20_000).1.interval_ms % Tier::OneHour.bucket_ms(), 0);
        let minute = TimeRangeRequest {
            start: Some(NOW - 600_000),
            end: Some(NOW),
            points: Some(100),
            interval_ms: None,
        };
        let (tier, range) = TimeRange::resolve(minute, NOW).unwrap().tier_of_fleet(NOW, |_| None, 1);
        assert_eq!((tier, range.interval_ms), (Tier::OneMinute, MINUTE_MS));
        assert!((10..=11).contains(&range.n_buckets()));
    }

    #[test]
    fn refusals_name_the_parameter() {
        let parameter = |request| TimeRange::resolve(request, NOW).unwrap_err().parameter;
        let request = TimeRangeRequest::default();
        assert_eq!(parameter(TimeRangeRequest { start: Some(NOW), end: Some(NOW), ..request }), "start");
        assert_eq!(parameter(TimeRangeRequest { start: Some(-1), ..request }), "start");
        assert_eq!(parameter(TimeRangeRequest { start: Some(0), ..request }), "start");
        assert_eq!(parameter(TimeRangeRequest { end: Some(i64::MAX), ..request }), "end");
        assert_eq!(parameter(TimeRangeRequest { end: Some(i64::MIN), ..request }), "end");
        assert_eq!(parameter(TimeRangeRequest { points: Some(0), ..request }), "points");
        assert_eq!(parameter(TimeRangeRequest { points: Some(5_001), ..request }), "points");
        assert_eq!(parameter(TimeRangeRequest { interval_ms: Some(0), ..request }), "interval");
        assert_eq!(parameter(TimeRangeRequest { interval_ms: Some(1), ..request }), "interval");
        assert_eq!(
            parameter(TimeRangeRequest { interval_ms: Some(INTERVAL_MS_MAX + 1), ..request }),
            "interval"
        );
        assert_eq!(parameter(TimeRangeRequest { interval_ms: Some(i64::MAX), ..request }), "interval");
    }
}
