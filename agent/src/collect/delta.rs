//! What counters have counted between two readings, for families whose counters are kept in memory only. They are
//! amounts over a time, so a restart of the agent loses one interval and falsifies nothing. Only the traffic of
//! interfaces is added up for months; its baseline is kept with the samples (see `network/delta.rs`).
//!
//! - A counter that grew: the difference.
//! - A counter that shrank was reset and started from zero: its value. A boot ends the agent, too, so it does not occur
//!   between two readings.
//! - A counter of 32 bits that shrank while the series' wider ones did not was reset by overflow: the difference modulo
//!   2³².
//! - The first reading, or one of which no time has passed since the last: nothing.

use std::collections::BTreeMap;

use super::number::signed;

/// A width of counters, for each of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// 64 bits, or 32 bits where an overflow cannot be told from a reset.
    Full,
    /// 32 bits on all machines.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has such counters"))]
    Bits32,
}

/// What the counters of one series have counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moved<const N: usize> {
    /// The time that the amounts cover, in milliseconds.
    pub(super) interval_ms: Option<i64>,
    /// Absent where the counter is, was absent at the previous reading, or cannot be interpreted.
    pub(super) amounts: [Option<i64>; N],
}

impl<const N: usize> Moved<N> {
    const NOTHING: Moved<N> = Moved { interval_ms: None, amounts: [None; N] };
}

/// The previous reading of one series of counters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counters<const N: usize> {
    widths: [Width; N],
    previous: Option<(i64, [Option<u64>; N])>,
}

impl<const N: usize> Counters<N> {
    pub(super) fn new(widths: [Width; N]) -> Counters<N> {
        Counters { widths, previous: None }
    }

    /// Returns what was counted since the previous reading, which `current`, read `uptime_ms` after boot, replaces.
    pub(super) fn advance(&mut self, uptime_ms: i64, current: [Option<u64>; N]) -> Moved<N> {
        let Some((then_ms, previous)) = self.previous.replace((uptime_ms, current)) else {
            return Moved::NOTHING;
        };
        let Some(interval_ms) = uptime_ms.checked_sub(then_ms).filter(|&interval_ms| 0 < interval_ms) else {
            return Moved::NOTHING;
        };
        let pair = |index: usize| previous[index].zip(current[index]);
        let was_reset = (0..N).any(|index| {
            self.widths[index] == Width::Full && pair(index).is_some_and(|(before, now)| now < before)
        });
        let amounts = std::array::from_fn(|index| {
            let (before, now) = pair(index)?;
            let amount = match now.checked_sub(before) {
                Some(difference) => difference,
                None if self.widths[index] == Width::Full || was_reset => now,
                None => wrapped(before, now)?,
            };
            Some(signed(amount))
        });
        Moved { interval_ms: Some(interval_ms), amounts }
    }
}

/// Returns the difference modulo 2³²; `None` if the counter ran backwards instead: some of the kernel's do, by a little.
fn wrapped(before: u64, now: u64) -> Option<u64> {
    const MODULUS: u64 = 1 << 32;
    let difference = now.checked_add(MODULUS)?.checked_sub(before)?;
    (difference < MODULUS / 2).then_some(difference)
}

/// Counters of several series. One that is gone is forgotten: when it comes back, it starts anew.
#[derive(Debug)]
pub(super) struct Series<const N: usize> {
    widths: [Width; N],
    by_name: BTreeMap<String, (Counters<N>, i64)>,
}

impl<const N: usize> Series<N> {
    pub(super) fn new(widths: [Width; N]) -> Series<N> {
        Series { widths, by_name: BTreeMap::new() }
    }

    /// See [`Counters::advance`].
    pub(super) fn advance(&mut self, name: &str, uptime_ms: i64, current: [Option<u64>; N]) -> Moved<N> {
        if let Some((counters, seen_ms)) = self.by_name.get_mut(name) {
            *seen_ms = uptime_ms;
            return counters.advance(uptime_ms, current);
        }
        let mut counters = Counters::new(self.widths);
        let moved = counters.advance(uptime_ms, current);
        self.by_name.insert(name.to_owned(), (counters, uptime_ms));
        moved
    }

    /// Forgets the series that were not read at `uptime_ms`.
    pub(super) fn forget_others(&mut self, uptime_ms: i64) {
        self.by_name.retain(|_, (_, seen_ms)| *seen_ms == uptime_ms);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WIDTHS: [Width; 2] = [Width::Full, Width::Bits32];

    fn between(before: [Option<u64>; 2], now: [Option<u64>; 2]) -> [Option<i64>; 2] {
        let mut counters = Counters::new(WIDTHS);
        assert_eq!(counters.advance(1_000, before), Moved::NOTHING);
        let moved = counters.advance(6_000, now);
        assert_eq!(moved.interval_ms, Some(5_000));
        moved.amounts
    }

    #[test]
    fn counters_grow_are_reset_and_overflow() {
        let last = u64::from(u32::MAX);
        assert_eq!(between([Some(5), Some(7)], [Some(9), Some(7)]), [Some(4), Some(0)]);
        assert_eq!(between([Some(500), Some(7)], [Some(9), Some(3)]), [Some(9), Some(3)], "a reset");
        assert_eq!(between([Some(5), Some(last)], [Some(9), Some(4)]), [Some(4), Some(5)], "an overflow");
        assert_eq!(between([Some(5), Some(700)], [Some(9), Some(699)]), [Some(4), None], "backwards");
        assert_eq!(between([Some(5), Some(last + 9)], [Some(9), Some(3)]), [Some(4), None], "it has 64 bits");
        assert_eq!(between([None, Some(7)], [Some(9), None]), [None, None]);
    }

    #[test]
    fn without_time_there_is_no_amount() {
        let mut counters = Counters::new(WIDTHS);
        counters.advance(1_000, [Some(1), None]);
        assert_eq!(counters.advance(1_000, [Some(2), None]), Moved::NOTHING);
        assert_eq!(counters.advance(900, [Some(2), None]), Moved::NOTHING);
    }

    #[test]
    fn a_series_that_was_gone_starts_anew() {
        let mut series = Series::new(WIDTHS);
        series.advance("a", 1, [Some(1), None]);
        series.advance("b", 1, [Some(1), None]);
        series.forget_others(1);
        series.advance("a", 2, [Some(1), None]);
        series.forget_others(2);
        assert_eq!(series.advance("a", 3, [Some(3), None]).amounts[0], Some(2));
        assert_eq!(series.advance("b", 3, [Some(3), None]), Moved::NOTHING);
    }

    proptest! {
        /// Whatever happens between readings, the amounts add up to what was counted after the first one.
        #[test]
        fn amounts_add_up(steps in proptest::collection::vec((0u64..1 << 31, 0u64..1 << 40, any::<bool>()), 1..50)) {
            let mut counted = [12_345u64, 4_000_000_000];
            let mut counters = Counters::new(WIDTHS);
            let shown = |counted: [u64; 2]| [Some(counted[0]), Some(counted[1] % (1 << 32))];
            counters.advance(0, shown(counted));
            for (step, (narrow, wide, is_reset)) in (1..).zip(steps) {
                let expected = if is_reset {
                    let after = [wide.min(counted[0].saturating_sub(1)), narrow.min((counted[1] % (1 << 32)).saturating_sub(1))];
                    // A counter at zero cannot shrink.
                    prop_assume!(0 < counted[0] && !counted[1].is_multiple_of(1 << 32));
                    counted = after;
                    after
                } else {
                    counted = [counted[0] + wide, counted[1] + narrow];
                    [wide, narrow]
                };
                let moved = counters.advance(step, shown(counted));
                prop_assert_eq!(moved.interval_ms, Some(1));
                prop_assert_eq!(moved.amounts, expected.map(|amount| Some(signed(amount))));
            }
        }

        #[test]
        fn no_reading_overflows(readings in proptest::collection::vec((any::<i64>(), any::<[Option<u64>; 2]>()), 1..20)) {
            let mut counters = Counters::new(WIDTHS);
            for (uptime_ms, reading) in readings {
                let moved = counters.advance(uptime_ms, reading);
                prop_assert!(moved.amounts.iter().flatten().all(|amount| 0 <= *amount));
            }
        }
    }
}
