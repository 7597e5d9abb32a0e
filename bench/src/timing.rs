//! Times of repeated work.

use std::time::Duration;

use serde::Serialize;

/// Percentiles of durations.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timing {
    pub(crate) runs: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
}

impl Timing {
    /// Summarizes durations; `None` if there are none.
    pub(crate) fn of(mut durations: Vec<Duration>) -> Option<Self> {
        durations.sort_unstable();
        // Nearest rank: the smallest value that is not less than this share of all.
        let percentile = |percent: usize| {
            let rank = (durations.len() * percent).div_ceil(100);
            durations.get(rank.checked_sub(1)?).map(|duration| duration.as_secs_f64() * 1000.0)
        };
        Some(Self { runs: durations.len(), p50_ms: percentile(50)?, p95_ms: percentile(95)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let timing = Timing::of((1..=50).rev().map(Duration::from_millis).collect()).unwrap();
        assert_eq!(timing.runs, 50);
        assert!((timing.p50_ms - 25.0).abs() < 1e-9, "{timing:?}");
        assert!((timing.p95_ms - 48.0).abs() < 1e-9, "{timing:?}");
        assert!(Timing::of(Vec::new()).is_none());
    }
}
