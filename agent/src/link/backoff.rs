//! The delay before the next attempt.

use std::time::Duration;

use super::Timing;

/// Minimum delay, so that a server that closes every connection immediately is not asked hundreds of times a second.
const DELAY_MIN: Duration = Duration::from_millis(100);

/// Exponential backoff with full jitter: the delay is random up to a bound that doubles with every attempt, so that a
/// fleet does not reconnect all at once after a server restart.
#[derive(Debug)]
pub(super) struct Backoff {
    timing: Timing,
    n_attempts: u32,
}

impl Backoff {
    pub(super) fn new(timing: Timing) -> Backoff {
        Backoff { timing, n_attempts: 0 }
    }

    /// Resets the delays after a good connection.
    pub(super) fn reset(&mut self) {
        self.n_attempts = 0;
    }

    /// Returns the delay before the next attempt.
    pub(super) fn next_delay(&mut self) -> Duration {
        let factor = 2u32.saturating_pow(self.n_attempts);
        let bound = self.timing.retry_delay_first.saturating_mul(factor).min(self.timing.retry_delay_max);
        self.n_attempts = self.n_attempts.saturating_add(1);
        bound.mul_f64(random()).max(DELAY_MIN.min(bound))
    }

    /// Returns the delay after a refusal: between half of it and all of it.
    pub(super) fn refused_delay(&self) -> Duration {
        self.timing.refused_delay.mul_f64(0.5 + random() / 2.0)
    }
}

/// Returns a uniformly distributed number from 0 to 1.
fn random() -> f64 {
    // Without randomness, which every running system has, delays are merely not jittered.
    getrandom::u32().map_or(1.0, |value| f64::from(value) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing::STANDARD;

    #[test]
    fn delays_stay_within_their_bounds() {
        for _ in 0..100 {
            let mut backoff = Backoff::new(TIMING);
            for bound_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
                let delay = backoff.next_delay();
                assert!(
                    DELAY_MIN <= delay && delay <= Duration::from_millis(bound_ms),
                    "{delay:?} of {bound_ms}"
                );
            }
            backoff.reset();
            assert!(backoff.next_delay() <= Duration::from_secs(1));
            let delay = backoff.refused_delay();
            assert!(TIMING.refused_delay / 2 <= delay && delay <= TIMING.refused_delay);
        }
    }

    #[test]
    fn delays_are_spread() {
        let delays: Vec<Duration> =
            (0..200).map(|_| Backoff { timing: TIMING, n_attempts: 20 }.next_delay()).collect();
        let early = delays.iter().filter(|delay| **delay < Duration::from_secs(30)).count();
        assert!((50..150).contains(&early), "{early} of 200 in the first half");
        assert_eq!(Backoff { timing: TIMING, n_attempts: u32::MAX }.n_attempts, u32::MAX);
    }
}
