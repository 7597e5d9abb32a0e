//! Whether a window's samples suffice for a verdict, relative to the agent's own sample interval.

use super::verdict::Reason;

/// Samples closer together than this count as this far apart, in milliseconds.
const INTERVAL_MS_MIN: i64 = 5_000;
/// A sample younger than this is always fresh, in milliseconds.
const FRESH_MS_MIN: i64 = 30_000;
/// Number of intervals after which a sample is no longer fresh.
const FRESH_INTERVALS: i64 = 3;

/// The samples of one series in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Number of samples.
    pub n: i64,
    /// The time of the oldest sample.
    pub oldest: i64,
    /// The time of the newest sample.
    pub newest: i64,
    /// The end of the window.
    pub end: i64,
    /// The length of the window, in milliseconds.
    pub length_ms: i64,
}

impl Window {
    /// Returns the sample interval as seen in the window, in milliseconds; a hole makes it too long.
    pub fn interval_ms(&self) -> Option<i64> {
        (2 <= self.n).then(|| ((self.newest - self.oldest) / (self.n - 1)).max(INTERVAL_MS_MIN))
    }

    /// Returns how much of the window the samples cover, in percent, given their interval.
    pub fn coverage_percent(&self, interval_ms: i64) -> i64 {
        let covered = self.n.saturating_mul(interval_ms.max(INTERVAL_MS_MIN)).min(self.length_ms);
        covered.saturating_mul(100) / self.length_ms.max(1)
    }

    /// Returns why no verdict may be given, if so. `known_interval_ms` is the agent's own interval, if known.
    pub fn insufficiency(&self, known_interval_ms: Option<i64>, min_percent: i64) -> Option<Reason> {
        if self.n <= 0 {
            return Some(Reason::NoData);
        }
        let Some(interval_ms) = known_interval_ms.or_else(|| self.interval_ms()) else {
            return Some(Reason::LowCoverage);
        };
        if (FRESH_INTERVALS * interval_ms).max(FRESH_MS_MIN) < self.end - self.newest {
            return Some(Reason::Stale);
        }
        (self.coverage_percent(interval_ms) < min_percent).then_some(Reason::LowCoverage)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(times: &[i64], length_ms: i64) -> Window {
        Window {
            n: times.len().try_into().unwrap(),
            oldest: times.iter().copied().min().unwrap_or(0),
            newest: times.iter().copied().max().unwrap_or(0),
            end: 0,
            length_ms,
        }
    }

    #[test]
    fn one_sample_is_not_enough_unless_the_agent_is_that_slow() {
        let one = window(&[-1_000], 300_000);
        assert_eq!(one.insufficiency(None, 60), Some(Reason::LowCoverage));
        assert_eq!(one.insufficiency(Some(15_000), 60), Some(Reason::LowCoverage));
        assert_eq!(one.insufficiency(Some(300_000), 60), None);
        assert_eq!(window(&[], 300_000).insufficiency(Some(15_000), 60), Some(Reason::NoData));
    }

    #[test]
    fn a_window_after_an_outage_is_fresh_and_half_empty() {
        let newest_first: Vec<i64> = (0..8).map(|i| -i * 15_000).collect();
        assert_eq!(window(&newest_first, 300_000).insufficiency(Some(15_000), 60), Some(Reason::LowCoverage));
        let enough: Vec<i64> = (0..12).map(|i| -i * 15_000).collect();
        assert_eq!(window(&enough, 300_000).insufficiency(Some(15_000), 60), None);
        let stale: Vec<i64> = (4..20).map(|i| -i * 15_000).collect();
        assert_eq!(window(&stale, 300_000).insufficiency(Some(15_000), 60), Some(Reason::Stale));
    }

    proptest! {
        /// Compared with a slow reference that marks every millisecond a sample stands for.
        #[test]
        fn regular_samples_cover_what_they_stand_for(interval in 5_i64..60, n in 2_i64..40, length in 60_i64..600) {
            let times: Vec<i64> = (0..n).map(|i| -i * interval * 1_000).collect();
            let times: Vec<i64> = times.into_iter().filter(|at| -length * 1_000 < *at).collect();
            let painted = (0..length).filter(|second| times.iter().any(|at| {
                (-at / 1_000..-at / 1_000 + interval).contains(second)
            })).count();
            let window = window(&times, length * 1_000);
            let painted = i64::try_from(painted).unwrap() * 100 / length;
            prop_assert_eq!(window.coverage_percent(interval * 1_000), painted);
        }
    }
}
