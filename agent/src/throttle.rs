//! Limits how often a log line is written.

use std::time::{Duration, Instant};

/// Minimum time between two lines about events that others can cause at will.
pub(crate) const LOG_INTERVAL_MIN: Duration = Duration::from_secs(60);

/// Lets one event through per interval, and counts all.
#[derive(Debug)]
pub(crate) struct Throttle {
    interval: Duration,
    last: Option<Instant>,
    count: u64,
}

impl Throttle {
    pub(crate) fn new(interval: Duration) -> Throttle {
        Throttle { interval, last: None, count: 0 }
    }

    /// Counts `count` more events. Returns the number since the last time if it is time to log.
    pub(crate) fn note(&mut self, count: u64) -> Option<u64> {
        self.count = self.count.saturating_add(count);
        let now = Instant::now();
        if self.count == 0 || self.last.is_some_and(|last| now.duration_since(last) < self.interval) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
#[test]
fn one_event_gets_through_and_the_others_are_counted() {
    let mut throttle = Throttle::new(Duration::from_secs(3_600));
    assert_eq!(throttle.note(0), None);
    assert_eq!(throttle.note(2), Some(2));
    assert_eq!(throttle.note(1), None);
    throttle.last = Instant::now().checked_sub(Duration::from_secs(3_601));
    assert_eq!(throttle.note(4), Some(5));
}
