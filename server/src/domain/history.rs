//! The history of an agent's samples on one connection, for checking spacing and deriving values.

use std::collections::HashMap;

use pika_protocol::families;

use super::TimestampMs;
use super::family::{Measurement, Numbers};

macro_rules! define_history {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        /// The history of an agent's samples on one connection.
        #[derive(Clone, Debug, Default)]
        pub struct SampleHistory {
            $(pub(super) $field: SeriesHistory<<$measurement as Measurement>::Numbers>,)+
        }
    };
}
families!(define_history);

/// Times earlier than any sample.
const LONG_AGO: [TimestampMs; 2] = [TimestampMs::MIN, TimestampMs::MIN];

/// The history of the series of one table.
///
/// Two samples may be arbitrarily close together: a late one is followed by one on time, and a clock that is set back
/// repeats a second. A third one does not fit any allowed interval.
#[derive(Clone, Debug)]
pub(super) struct SeriesHistory<N> {
    /// The times of the last two samples of each series.
    last: HashMap<i32, [TimestampMs; 2]>,
    /// The newest numbers of each series, if others are derived from them.
    newest: HashMap<i32, (TimestampMs, N)>,
}

impl<N> Default for SeriesHistory<N> {
    fn default() -> Self {
        Self { last: HashMap::new(), newest: HashMap::new() }
    }
}

impl<N: Numbers> SeriesHistory<N> {
    /// Returns whether a series may have a sample at this time, given that three consecutive samples span at least
    /// `spacing_ms_min`. A repeated sample is admitted.
    pub(super) fn admits(&self, series_key: i32, ts: TimestampMs, spacing_ms_min: i64) -> bool {
        let last = self.last.get(&series_key).unwrap_or(&LONG_AGO);
        let [older, newer] = *last;
        let span_ms = older.max(newer).max(ts).saturating_sub(older.min(newer).min(ts));
        last.contains(&ts) || spacing_ms_min <= span_ms
    }

    /// Returns the newest numbers of a series, and how long before this time they were taken, in milliseconds. `None`
    /// if they were taken later, since the difference is counted already.
    pub(super) fn earlier(&self, series_key: i32, ts: TimestampMs) -> Option<(N, i64)> {
        let (taken, numbers) = self.newest.get(&series_key)?;
        (*taken < ts).then(|| (*numbers, ts.saturating_sub(*taken)))
    }

    /// Records that a series has a sample at this time. Samples with refused values must not be recorded, so that they
    /// do not block others.
    pub(super) fn note(&mut self, series_key: i32, ts: TimestampMs, numbers: N) {
        let last = self.last.entry(series_key).or_insert(LONG_AGO);
        if !last.contains(&ts) {
            *last = [last[1], ts];
        }
        if N::IS_COMPLETED && self.newest.get(&series_key).is_none_or(|(newest, _)| *newest < ts) {
            self.newest.insert(series_key, (ts, numbers));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::row::{DiskNumbers, NetworkNumbers};

    fn admitted(times: &[TimestampMs]) -> Vec<TimestampMs> {
        let mut history = SeriesHistory::default();
        let mut takes = |ts: TimestampMs| {
            let is_admitted = history.admits(1, ts, 500);
            if is_admitted {
                history.note(1, ts, DiskNumbers::default());
            }
            is_admitted
        };
        times.iter().copied().filter(|ts| takes(*ts)).collect()
    }

    #[test]
    fn the_third_of_three_that_are_too_close_is_refused() {
        assert_eq!(
            admitted(&[1_000, 1_001, 1_002, 1_499, 1_500, 1_501, 2_001]),
            [1_000, 1_001, 1_500, 1_501, 2_001]
        );
        assert_eq!(admitted(&[5_000, 4_999, 4_998]), [5_000, 4_999], "in whatever order");
    }

    #[test]
    fn samples_that_are_late_and_clocks_that_are_set_back_cost_nothing() {
        let late = [1_990, 2_000, 3_400, 4_300, 5_200, 6_100, 7_000];
        assert_eq!(admitted(&late), late);
        // A second is taken twice, and the newest samples come before those that were kept.
        let set_back = [10_000, 11_000, 10_300, 11_300, 12_300];
        assert_eq!(admitted(&set_back), set_back);
        let kept = [90_000, 10_000, 11_000, 95_000, 12_000, 13_000];
        assert_eq!(admitted(&kept), kept);
    }

    #[test]
    fn a_sample_that_comes_again_is_welcome() {
        assert_eq!(admitted(&[1_000, 1_001, 1_000, 1_001]), [1_000, 1_001, 1_000, 1_001]);
    }

    #[test]
    fn each_series_has_its_own_times() {
        let mut history = SeriesHistory::default();
        for series_key in 0..100 {
            let ts = 1_000 + i64::from(series_key);
            assert!(history.admits(series_key, ts, 500));
            history.note(series_key, ts, DiskNumbers::default());
        }
    }

    #[test]
    fn the_newest_numbers_are_those_of_the_latest_time() {
        let mut history = SeriesHistory::default();
        let counted =
            |received_bytes_total| NetworkNumbers { received_bytes_total, ..NetworkNumbers::default() };
        assert_eq!(history.earlier(1, 1_000), None);
        history.note(1, 1_000, counted(100));
        history.note(1, 11_000, counted(200));
        assert_eq!(history.earlier(1, 6_000), None, "late: what it would count is counted already");
        history.note(1, 6_000, counted(150));
        assert_eq!(history.earlier(1, 11_000), None, "no time has passed");
        assert_eq!(history.earlier(1, 16_000), Some((counted(200), 5_000)));
        assert_eq!(history.earlier(2, 16_000), None);
    }

    #[test]
    fn numbers_are_kept_only_where_others_follow_from_them() {
        let mut history = SeriesHistory::default();
        history.note(1, 1_000, DiskNumbers::default());
        assert!(history.newest.is_empty());
    }
}
