//! The offset between an agent's clock and the server's, measured by the timestamp of each frame.
//!
//! A frame's timestamp plus the offset is the moment it was sent. A frame can arrive later than that but never earlier:
//! one that seems to come from the future shows that the agent's clock was set forward. One that seems late may only
//! have been delayed, so a clock set back is believed only when all frames keep showing it.

use pika_protocol::limits::CLOCK_OFFSET_TOLERANCE_MS;

use crate::domain::TimestampMs;

/// This many frames, over this long, must be late before the clock is blamed.
const LATE_FRAMES_MIN: u32 = 5;
const LATE_SPAN_MS_MIN: i64 = 60_000;
/// No frame is in transit for longer than this while its receiver is waiting for it.
const LATENCY_MS_MAX: i64 = 600_000;

/// Server's clock minus agent's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockOffset {
    offset_ms: i64,
    late: Option<Late>,
}

/// An unbroken run of late frames.
#[derive(Clone, Copy, Debug)]
struct Late {
    since: TimestampMs,
    n_frames: u32,
    /// The offset shown by the fastest of them.
    offset_ms: i64,
}

impl ClockOffset {
    /// Measures by `register`, which has just arrived over a fresh connection: anything above normal latency is the
    /// clock. An agent that sends no timestamp is assumed to be right.
    pub(super) fn measured(now: TimestampMs, sent_at: Option<TimestampMs>) -> Self {
        let offset_ms = sent_at.map_or(0, |sent_at| believable(now.saturating_sub(sent_at)));
        Self { offset_ms, late: None }
    }

    pub(super) fn ms(&self) -> i64 {
        self.offset_ms
    }

    /// Observes a frame. Returns the new offset if the frame shows that the agent's clock was set. `was_awaited` is
    /// false for a frame that may have been buffered here unread: its lateness proves nothing.
    pub(super) fn observe(
        &mut self,
        now: TimestampMs,
        sent_at: TimestampMs,
        was_awaited: bool,
    ) -> Option<i64> {
        let shown_ms = now.saturating_sub(sent_at);
        let lateness_ms = shown_ms.saturating_sub(self.offset_ms);
        if lateness_ms < -CLOCK_OFFSET_TOLERANCE_MS {
            return self.believe(shown_ms);
        }
        if lateness_ms <= CLOCK_OFFSET_TOLERANCE_MS {
            self.late = None;
            return None;
        }
        if !was_awaited {
            return None;
        }
        if LATENCY_MS_MAX < lateness_ms {
            return self.believe(shown_ms);
        }
        let late = self.late.get_or_insert(Late { since: now, n_frames: 0, offset_ms: shown_ms });
        late.n_frames += 1;
        late.offset_ms = late.offset_ms.min(shown_ms);
        let is_clock = LATE_FRAMES_MIN <= late.n_frames && LATE_SPAN_MS_MIN <= now.saturating_sub(late.since);
        let least_ms = late.offset_ms;
        if is_clock { self.believe(least_ms) } else { None }
    }

    fn believe(&mut self, shown_ms: i64) -> Option<i64> {
        let offset_ms = believable(shown_ms);
        let is_new = offset_ms != self.offset_ms;
        *self = Self { offset_ms, late: None };
        is_new.then_some(offset_ms)
    }
}

fn believable(offset_ms: i64) -> i64 {
    if offset_ms.saturating_abs() <= CLOCK_OFFSET_TOLERANCE_MS { 0 } else { offset_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent whose clock is right, at ten million.
    fn right() -> ClockOffset {
        ClockOffset::measured(10_000_000, Some(10_000_000))
    }

    #[test]
    fn latency_is_not_a_wrong_clock() {
        let measured = |now, sent_at| ClockOffset::measured(now, sent_at).ms();
        assert_eq!(measured(10_000, None), 0);
        assert_eq!(measured(10_000, Some(9_000)), 0);
        assert_eq!(measured(10_000, Some(11_000)), 0);
        assert_eq!(measured(10_000, Some(4_000)), 6_000);
        assert_eq!(measured(10_000, Some(70_000)), -60_000);
        assert_eq!(measured(10_000, Some(i64::MIN)), i64::MAX);
    }

    #[test]
    fn a_frame_from_the_future_is_believed_at_once() {
        let mut offset = right();
        assert_eq!(offset.observe(10_000_000, 10_002_000, true), None, "within the tolerance");
        assert_eq!(offset.observe(10_000_000, 13_600_000, false), Some(-3_600_000));
        assert_eq!(offset.observe(10_005_000, 13_605_000, true), None, "it is known by now");
        assert_eq!(offset.observe(10_000_000, i64::MAX, true), Some(10_000_000 - i64::MAX));
    }

    #[test]
    fn a_late_frame_is_believed_when_all_others_are_late_too() {
        let mut offset = right();
        for n in 0..12 {
            let now = 10_000_000 + n * 5_000;
            assert_eq!(offset.observe(now, now - 30_000 - n, true), None, "{n}");
        }
        let now = 10_060_000;
        assert_eq!(offset.observe(now, now - 40_000, true), Some(30_000), "the quickest tells");
        assert_eq!(offset.ms(), 30_000);
    }

    #[test]
    fn one_frame_in_time_acquits_the_clock() {
        let mut offset = right();
        for n in 0..100 {
            let now = 10_000_000 + n * 5_000;
            let latency_ms = if n % 10 == 9 { 100 } else { 30_000 };
            assert_eq!(offset.observe(now, now - latency_ms, true), None, "{n}");
        }
    }

    #[test]
    fn a_few_late_frames_are_not_enough_however_long_it_takes() {
        let mut offset = right();
        for n in 0..4 {
            let now = 10_000_000 + n * 3_600_000;
            assert_eq!(offset.observe(now, now - 30_000, true), None, "{n}");
        }
    }

    #[test]
    fn what_lay_here_unread_says_nothing() {
        let mut offset = right();
        for n in 0..1_000 {
            let now = 10_000_000 + n * 5_000;
            assert_eq!(offset.observe(now, now - 3_600_000, false), None, "{n}");
        }
    }

    #[test]
    fn nothing_is_on_its_way_for_an_hour() {
        let mut offset = right();
        assert_eq!(offset.observe(10_000_000, 6_400_000, true), Some(3_600_000));
    }

    #[test]
    fn a_clock_that_is_right_again_is_told_so() {
        let mut offset = ClockOffset::measured(10_000_000, Some(9_000_000));
        assert_eq!(offset.observe(10_000_000, 9_999_900, true), Some(0));
    }
}
