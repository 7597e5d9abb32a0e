//! Which span of time a query covers and into how many buckets it is cut.

use std::fmt;

use super::TimestampMs;

/// Fewest buckets that can be asked for.
pub const POINTS_MIN: u32 = 1;
/// Most buckets that a query answers.
pub const POINTS_MAX: u32 = 5_000;
/// Buckets where the query does not say.
pub const POINTS_DEFAULT: u32 = 600;
/// The span where the query does not say: one hour.
pub const SPAN_MS_DEFAULT: i64 = 60 * 60 * 1000;
/// The longest span of one query: ten years.
pub const SPAN_MS_MAX: i64 = 3_660 * 24 * 60 * 60 * 1000;
/// The latest time that can be asked for: the year 10000. Keeps all arithmetic far from overflow.
const TIMESTAMP_MS_MAX: i64 = 253_402_300_800_000;

/// A half-open span `start..end` cut into buckets of `interval_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// First millisecond covered.
    pub start: TimestampMs,
    /// First millisecond not covered.
    pub end: TimestampMs,
    /// Width of a bucket. Buckets start at multiples of it.
    pub interval_ms: i64,
}

/// What a query asked for; everything may be left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeRangeRequest {
    /// First millisecond wanted.
    pub start: Option<TimestampMs>,
    /// First millisecond not wanted.
    pub end: Option<TimestampMs>,
    /// How many buckets at most.
    pub points: Option<u32>,
    /// Width of a bucket, instead of `points`.
    pub interval_ms: Option<i64>,
}

/// Why a range was refused, naming the parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeRangeError {
    /// The parameter at fault.
    pub parameter: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for TimeRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.parameter, self.message)
    }
}

impl std::error::Error for TimeRangeError {}

impl TimeRange {
    /// Completes a request with defaults and holds it to the limits.
    ///
    /// # Errors
    /// When a parameter is out of its limits or the parameters contradict one another.
    pub fn resolve(request: TimeRangeRequest, now: TimestampMs) -> Result<Self, TimeRangeError> {
        let error = |parameter, message| Err(TimeRangeError { parameter, message });
        let end = request.end.unwrap_or(now);
        if !(0..=TIMESTAMP_MS_MAX).contains(&end) {
            return error("end", format!("must be milliseconds since the Unix epoch, 0–{TIMESTAMP_MS_MAX}"));
        }
        let start = request.start.unwrap_or((end - SPAN_MS_DEFAULT).max(0));
        if !(0..=TIMESTAMP_MS_MAX).contains(&start) {
            return error(
                "start",
                format!("must be milliseconds since the Unix epoch, 0–{TIMESTAMP_MS_MAX}"),
            );
        }
        if end <= start {
            return error("start", format!("must be before end ({end}), but is {start}"));
        }
        let span_ms = end - start;
        if SPAN_MS_MAX < span_ms {
            return error("start", format!("the span may be {SPAN_MS_MAX} ms at most, but is {span_ms} ms"));
        }
        let points = request.points.unwrap_or(POINTS_DEFAULT);
        if !(POINTS_MIN..=POINTS_MAX).contains(&points) {
            return error("points", format!("must be {POINTS_MIN}–{POINTS_MAX}, but is {points}"));
        }
        let Some(interval_ms) = request.interval_ms else {
            return Ok(Self { start, end, interval_ms: interval_for(span_ms, points) });
        };
        if interval_ms < 1 {
            return error("interval", format!("must be at least 1 ms, but is {interval_ms}"));
        }
        // One bucket more than the quotient where neither end is aligned.
        let buckets = span_ms / interval_ms + 1;
        if i64::from(POINTS_MAX) < buckets {
            return error(
                "interval",
                format!(
                    "{interval_ms} ms would cut the span into {buckets} buckets; {POINTS_MAX} is the most"
                ),
            );
        }
        Ok(Self { start, end, interval_ms })
    }
}

/// The narrowest pleasant bucket that cuts `span_ms` into at most `points` of them.
fn interval_for(span_ms: i64, points: u32) -> i64 {
    const PLEASANT_SECONDS: [i64; 16] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200];
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    // An unaligned span touches one bucket more than it holds.
    let buckets = i64::from(points).max(2) - 1;
    let narrowest = (span_ms + buckets - 1) / buckets;
    PLEASANT_SECONDS
        .into_iter()
        .map(|seconds| seconds * 1000)
        .find(|interval_ms| narrowest <= *interval_ms)
        .unwrap_or_else(|| (narrowest + DAY_MS - 1) / DAY_MS * DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn an_empty_request_is_the_last_hour() {
        let range = TimeRange::resolve(TimeRangeRequest::default(), NOW).unwrap();
        assert_eq!(range, TimeRange { start: NOW - SPAN_MS_DEFAULT, end: NOW, interval_ms: 10_000 });
    }

    #[test]
    fn no_span_and_no_points_make_more_buckets_than_asked_for() {
        for span_ms in [1, 999, 60_000, 3_600_000, 86_400_000, 30 * 86_400_000, SPAN_MS_MAX] {
            for points in [2, 3, 600, 5_000] {
                let interval_ms = interval_for(span_ms, points);
                // The worst alignment: the span starts at the last millisecond of a bucket.
                let buckets = (span_ms - 1 + interval_ms - 1) / interval_ms + 1;
                assert!(
                    buckets <= i64::from(points),
                    "{span_ms} ms in {points}: {interval_ms} ms gives {buckets}"
                );
            }
        }
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
    }
}
