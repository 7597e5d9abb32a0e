//! How often a sensor is read, by how long it takes to answer.

use std::time::Duration;

/// Two readings in a row that take longer than this make a sensor slow. A single one may be slow only because the
/// machine is busy.
const SLOW: Duration = Duration::from_millis(20);

/// Three readings that take longer than this are the last ones.
const VERY_SLOW: Duration = Duration::from_millis(200);

/// The time between two readings of a slow sensor, in milliseconds.
const SLOW_INTERVAL_MS: i64 = 600_000;

/// Ticks are not exactly on time.
const TOLERANCE_MS: i64 = 2_000;

/// What is known about a sensor.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    was_slow: bool,
    n_very_slow: u8,
    /// When it may be read again, in milliseconds since boot.
    due_ms: i64,
}

impl Pace {
    pub(super) fn is_due(&self, uptime_ms: i64) -> bool {
        self.n_very_slow < 3 && self.due_ms <= uptime_ms
    }

    /// Notes how long a reading took. Returns whether it was the last.
    pub(super) fn note(&mut self, took: Duration, uptime_ms: i64) -> bool {
        let is_slow = SLOW < took;
        if VERY_SLOW < took {
            self.n_very_slow += 1;
        }
        if is_slow && self.was_slow {
            self.due_ms = uptime_ms.saturating_add(SLOW_INTERVAL_MS - TOLERANCE_MS);
        }
        self.was_slow = is_slow;
        self.n_very_slow == 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how often a sensor that always takes that long is read at a minute's interval in two hours, and whether
    /// it is left out in the end.
    fn readings(took_ms: u64) -> (usize, bool) {
        let (mut pace, mut count, mut is_out) = (Pace::default(), 0, false);
        for minute in 0..120 {
            if pace.is_due(minute * 60_000) {
                assert!(!is_out);
                count += 1;
                is_out = pace.note(Duration::from_millis(took_ms), minute * 60_000);
            }
        }
        (count, is_out)
    }

    #[test]
    fn slow_sensors_are_read_rarely_and_very_slow_ones_no_more() {
        assert_eq!(readings(0), (120, false));
        assert_eq!(readings(20), (120, false));
        assert_eq!(readings(21), (13, false), "twice, then every ten minutes");
        assert_eq!(readings(201), (3, true));
    }

    #[test]
    fn a_busy_machine_makes_no_sensor_slow() {
        let mut pace = Pace::default();
        for minute in 0..60 {
            assert!(pace.is_due(minute * 60_000));
            pace.note(Duration::from_millis(if minute % 2 == 0 { 150 } else { 1 }), minute * 60_000);
        }
    }

    #[test]
    fn a_sensor_that_answers_fast_again_is_read_as_often_as_others() {
        let mut pace = Pace::default();
        pace.note(SLOW * 2, 0);
        pace.note(SLOW * 2, 60_000);
        assert!(!pace.is_due(120_000));
        assert!(pace.is_due(660_000));
        pace.note(Duration::ZERO, 660_000);
        assert!(pace.is_due(720_000));
    }
}
