//! The allowed times of samples, and clock correction.

use pika_protocol::{ErrorCode, Sample, limits};

use super::TimestampMs;
use super::refused::Refused;

/// The allowed times of a sample.
#[derive(Clone, Copy, Debug)]
pub struct TimeWindow {
    /// The server's clock.
    pub now: TimestampMs,
    /// Maximum age of a sample, in milliseconds.
    pub late_limit_ms: i64,
    /// The clock offset of samples without their own, in milliseconds.
    pub clock_offset_ms: i64,
    /// Minimum span of three consecutive samples, in milliseconds; 0 means no limit.
    pub spacing_ms_min: i64,
}

impl TimeWindow {
    /// Returns the time at which a sample is stored. It uses the sample's own offset if it has one, so that resending
    /// gives the same time. Only if the result is in the future, which means that the clock was set since the agent got
    /// the offset, it uses the offset of the frame.
    ///
    /// # Errors
    /// If the time is too far in the future or in the past.
    pub fn corrected(&self, sample: &Sample) -> Result<TimestampMs, Refused> {
        let by = |offset_ms| sample.timestamp.saturating_add(offset_ms);
        let own = by(sample.clock_offset_ms.unwrap_or(self.clock_offset_ms));
        let is_ahead = self.now + limits::CLOCK_OFFSET_TOLERANCE_MS < own;
        let ts = if is_ahead { own.min(by(self.clock_offset_ms)) } else { own };
        if self.now + limits::FUTURE_MS_MAX < ts {
            return Err(Refused::new(
                ErrorCode::TimestampInFuture,
                format!(
                    "timestamp {} is {} ms ahead of the server's clock; {} ms is the most",
                    sample.timestamp,
                    ts.saturating_sub(self.now),
                    limits::FUTURE_MS_MAX
                ),
            ));
        }
        if ts < self.now - self.late_limit_ms {
            return Err(Refused::new(
                ErrorCode::TimestampTooOld,
                format!(
                    "timestamp {} is {} ms old; {} ms is the most",
                    sample.timestamp,
                    self.now.saturating_sub(ts),
                    self.late_limit_ms
                ),
            ));
        }
        Ok(ts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: TimeWindow =
        TimeWindow { now: 1_000_000_000, late_limit_ms: 86_400_000, clock_offset_ms: 0, spacing_ms_min: 500 };

    #[test]
    fn the_window_holds_future_and_past() {
        let window = WINDOW;
        let at = |timestamp| window.corrected(&Sample { timestamp, ..Sample::default() });
        assert_eq!(at(window.now + limits::FUTURE_MS_MAX), Ok(window.now + limits::FUTURE_MS_MAX));
        assert_eq!(
            at(window.now + limits::FUTURE_MS_MAX + 1).unwrap_err().code,
            ErrorCode::TimestampInFuture
        );
        assert_eq!(at(window.now - 86_400_000), Ok(window.now - 86_400_000));
        assert_eq!(at(window.now - 86_400_001).unwrap_err().code, ErrorCode::TimestampTooOld);
        assert_eq!(at(i64::MAX).unwrap_err().code, ErrorCode::TimestampInFuture);
        assert_eq!(at(i64::MIN).unwrap_err().code, ErrorCode::TimestampTooOld);
    }

    #[test]
    fn the_offset_of_the_sample_beats_that_of_the_connection() {
        let window = TimeWindow { now: 1_000_000, late_limit_ms: 900_000, clock_offset_ms: 50, ..WINDOW };
        let sample = |clock_offset_ms| Sample { timestamp: 900_000, clock_offset_ms, ..Sample::default() };
        assert_eq!(window.corrected(&sample(Some(7))), Ok(900_007));
        assert_eq!(window.corrected(&sample(Some(0))), Ok(900_000), "0 is an offset like any other");
        assert_eq!(window.corrected(&sample(None)), Ok(900_050));
    }

    #[test]
    fn a_stale_offset_does_not_cost_the_sample() {
        let hour_ms = 3_600_000;
        let window = TimeWindow { now: 100 * hour_ms, clock_offset_ms: -hour_ms, ..WINDOW };
        let sample = |timestamp| Sample { timestamp, clock_offset_ms: Some(0), ..Sample::default() };
        assert_eq!(window.corrected(&sample(101 * hour_ms)), Ok(100 * hour_ms), "the clock has been set");
        assert_eq!(window.corrected(&sample(99 * hour_ms)), Ok(99 * hour_ms), "taken before that");
        let refused = window.corrected(&sample(102 * hour_ms)).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TimestampInFuture, "ahead of the agent's own frame");
    }

    #[test]
    fn a_stale_offset_does_not_put_the_sample_into_the_future() {
        let window =
            TimeWindow { now: 1_000_000, late_limit_ms: 900_000, clock_offset_ms: -60_000, ..WINDOW };
        let corrected = |timestamp| {
            let sample = Sample { timestamp, clock_offset_ms: Some(0), ..Sample::default() };
            window.corrected(&sample)
        };
        assert_eq!(corrected(1_060_000), Ok(1_000_000));
        assert_eq!(corrected(1_002_000), Ok(1_002_000), "within what is not blamed on the clock");
        assert_eq!(corrected(1_002_001), Ok(942_001));
        let window = TimeWindow { clock_offset_ms: 60_000, ..window };
        let sample = Sample { timestamp: 1_100_000, clock_offset_ms: Some(0), ..Sample::default() };
        assert_eq!(window.corrected(&sample), Ok(1_100_000), "the connection's would be even further ahead");
    }
}
