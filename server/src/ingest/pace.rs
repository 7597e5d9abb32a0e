//! How fast one agent is read: a bucket that fills with so many samples a second and holds those of one second.

use std::time::Duration;

use tokio::time::Instant;

/// What one agent may still send.
#[derive(Debug)]
pub(super) struct Pace {
    samples_per_second_max: u32,
    /// Negative after a frame that was larger than what was left.
    allowance: f64,
    filled_at: Instant,
}

impl Pace {
    pub(super) fn new(samples_per_second_max: u32, now: Instant) -> Self {
        Self { samples_per_second_max, allowance: f64::from(samples_per_second_max), filled_at: now }
    }

    /// A frame with so many samples has come. Answers until when no further one should be read.
    pub(super) fn take(&mut self, samples: usize, now: Instant) -> Option<Instant> {
        let rate = f64::from(self.samples_per_second_max);
        let filled = self.allowance + rate * now.duration_since(self.filled_at).as_secs_f64();
        let samples = u32::try_from(samples).unwrap_or(u32::MAX);
        self.allowance = filled.min(rate) - f64::from(samples);
        self.filled_at = now;
        let is_used_up = self.allowance < 0.0;
        is_used_up.then(|| now + Duration::from_secs_f64(-self.allowance / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_samples_may_come_at_once_and_the_rest_at_its_pace() {
        let start = Instant::now();
        let mut pace = Pace::new(100, start);
        assert_eq!(pace.take(100, start), None);
        assert_eq!(pace.take(50, start), Some(start + Duration::from_millis(500)));
        let later = start + Duration::from_millis(500);
        assert_eq!(pace.take(0, later), None);
        assert_eq!(pace.take(200, later + Duration::from_secs(60)), Some(later + Duration::from_secs(61)));
    }
}
