//! Gaps: samples that an agent had to drop.

use pika_protocol::message::{Gap, GapReason};
use pika_protocol::{ErrorCode, limits};

use super::TimestampMs;
use super::refused::Refused;

/// Maximum number of stored gaps per agent; beyond that, the oldest are deleted.
pub const GAPS_PER_AGENT_MAX: i64 = 1_000;

/// A gap as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleGap {
    /// The time of the first dropped sample, by the server's clock, in milliseconds since the Unix epoch.
    pub start: TimestampMs,
    /// The time of the last dropped sample.
    pub end: TimestampMs,
    /// How many samples were dropped.
    pub samples: i64,
    /// The reason.
    pub reason: GapReason,
    /// When the server received the report.
    pub reported_at: TimestampMs,
}

impl SampleGap {
    /// Validates a reported gap, and adds the clock offset to its times.
    ///
    /// # Errors
    /// If the gap ends before it begins, is in the future, or has no samples.
    pub fn reported(gap: Gap, clock_offset_ms: i64, now: TimestampMs) -> Result<Self, Refused> {
        let invalid = |message: String| Err(Refused::new(ErrorCode::OutOfRange, message));
        let Gap { start, end, samples, reason } = gap;
        if samples < 1 {
            return invalid(format!("gap: samples is {samples}; a gap has at least one"));
        }
        if end < start {
            return invalid(format!("gap: end {end} is before start {start}"));
        }
        let (start, end) = (start.saturating_add(clock_offset_ms), end.saturating_add(clock_offset_ms));
        if start < 0 || now.saturating_add(limits::FUTURE_MS_MAX) < end {
            return invalid(format!("gap: {start} to {end} is not in the past"));
        }
        Ok(Self { start, end, samples, reason, reported_at: now })
    }
}

/// Returns the reason with this stored name. The database contains no others.
pub fn parse_reason(name: &str) -> GapReason {
    GapReason::ALL.into_iter().find(|known| known.as_str() == name).unwrap_or(GapReason::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gaps_that_can_be_are_believed() {
        let gap = Gap { start: 1_000, end: 2_000, samples: 3, reason: GapReason::SpoolFull };
        let stored = SampleGap::reported(gap, 500, 10_000).unwrap();
        assert_eq!((stored.start, stored.end, stored.samples), (1_500, 2_500, 3));
        for bad in [
            Gap { samples: 0, ..gap },
            Gap { samples: -1, ..gap },
            Gap { end: 999, ..gap },
            Gap { start: -1_000, ..gap },
            Gap { end: i64::MAX, ..gap },
            Gap { start: i64::MIN, ..gap },
        ] {
            assert!(SampleGap::reported(bad, 500, 10_000).is_err(), "{bad:?}");
        }
    }
}
