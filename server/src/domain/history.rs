//! What is remembered of an agent's samples on one connection, to judge the next ones by and to derive from.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::TimestampMs;
use super::family::Family;

/// What is remembered of an agent's samples on one connection.
#[derive(Clone, Debug, Default)]
pub struct SampleHistory {
    pub(super) spacing: Spacing,
    pub(super) counters: InterfaceCounters,
}

/// Times before any sample.
const LONG_AGO: [TimestampMs; 2] = [TimestampMs::MIN, TimestampMs::MIN];

/// The times of the last two samples of each series.
///
/// Two samples may be as close together as they like: one that is taken late is followed by one in time, and a clock that
/// is set back takes the same second twice. A third one is of no interval that an agent may have.
#[derive(Clone, Debug, Default)]
pub(super) struct Spacing {
    last: HashMap<(Family, i32), [TimestampMs; 2]>,
}

impl Spacing {
    /// Returns whether a series may have a sample at this time, where three samples that follow one another span at least
    /// `spacing_ms_min`. One that comes again may.
    pub(super) fn admits(&self, series: (Family, i32), ts: TimestampMs, spacing_ms_min: i64) -> bool {
        let last = self.last.get(&series).unwrap_or(&LONG_AGO);
        let [older, newer] = *last;
        let span_ms = older.max(newer).max(ts).saturating_sub(older.min(newer).min(ts));
        last.contains(&ts) || spacing_ms_min <= span_ms
    }

    /// A series has a sample at this time. What is refused for its values is none, and keeps no other away.
    pub(super) fn note(&mut self, series: (Family, i32), ts: TimestampMs) {
        let last = self.last.entry(series).or_insert(LONG_AGO);
        if !last.contains(&ts) {
            *last = [last[1], ts];
        }
    }
}

/// The newest counters of an agent's interfaces: what deltas are derived from for agents that do not send any.
#[derive(Clone, Debug, Default)]
pub(super) struct InterfaceCounters {
    newest: HashMap<i32, Counter>,
}

/// What an interface has moved since it was last reset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counter {
    pub(super) ts: TimestampMs,
    pub(super) received_bytes: i64,
    pub(super) sent_bytes: i64,
}

impl InterfaceCounters {
    /// What was received and sent since the newest counter of this interface, and the time since then. Nothing is derived
    /// from a counter that is older than that, and nothing is counted from it. A counter that went down was reset:
    /// everything it counts since then was moved.
    pub(super) fn deltas(&mut self, interface_key: i32, now: Counter) -> Option<(i64, i64, i64)> {
        let last = match self.newest.entry(interface_key) {
            Entry::Occupied(mut newest) if newest.get().ts < now.ts => newest.insert(now),
            Entry::Occupied(_) => return None,
            Entry::Vacant(newest) => {
                newest.insert(now);
                return None;
            }
        };
        let moved = |now: i64, last: i64| if last <= now { now - last } else { now };
        let received = moved(now.received_bytes, last.received_bytes);
        Some((received, moved(now.sent_bytes, last.sent_bytes), now.ts - last.ts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(times: &[TimestampMs]) -> Vec<TimestampMs> {
        let mut spacing = Spacing::default();
        let mut takes = |ts: TimestampMs| {
            let is_admitted = spacing.admits((Family::Disk, 1), ts, 500);
            if is_admitted {
                spacing.note((Family::Disk, 1), ts);
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
        let mut spacing = Spacing::default();
        for series in 0..100 {
            for series in [(Family::Disk, series), (Family::Network, series)] {
                let ts = 1_000 + i64::from(series.1);
                assert!(spacing.admits(series, ts, 500));
                spacing.note(series, ts);
            }
        }
    }

    #[test]
    fn deltas_are_derived_and_survive_a_reset() {
        let mut counters = InterfaceCounters::default();
        let mut deltas =
            |ts, total| counters.deltas(1, Counter { ts, received_bytes: total, sent_bytes: 2 * total });
        assert_eq!(deltas(1_000, 100), None);
        assert_eq!(deltas(6_000, 150), Some((50, 100, 5_000)));
        assert_eq!(deltas(11_000, 30), Some((30, 60, 5_000)));
        assert_eq!(deltas(11_000, 40), None, "no time has passed");
    }

    #[test]
    fn what_comes_late_is_not_counted_twice() {
        let mut counters = InterfaceCounters::default();
        let mut received = |ts, total| {
            let counter = Counter { ts, received_bytes: total, sent_bytes: 0 };
            Some(counters.deltas(1, counter)?.0)
        };
        assert_eq!(received(1_000, 100), None);
        assert_eq!(received(11_000, 200), Some(100));
        assert_eq!(received(6_000, 150), None);
        assert_eq!(received(16_000, 250), Some(50));
    }
}
