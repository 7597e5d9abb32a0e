//! The sample interval of each agent: the median over its recent windows, so that a window with a hole in it does not
//! make the agent look slow.

use std::collections::{HashMap, VecDeque};

use crate::domain::alert::coverage::Window;
use crate::domain::family::Family;

/// Number of windows remembered per agent.
const LOOKS: usize = 9;
/// A window with fewer samples is ignored.
const SAMPLES_MIN: i64 = 3;

/// The known sample intervals of agents.
#[derive(Debug, Default)]
pub(super) struct Intervals(HashMap<(Family, i32), VecDeque<i64>>);

impl Intervals {
    /// Records the interval seen in a window.
    pub(super) fn add(&mut self, family: Family, agent: i32, window: &Window) {
        let Some(interval_ms) = window.interval_ms().filter(|_| SAMPLES_MIN <= window.n) else {
            return;
        };
        let looks = self.0.entry((family, agent)).or_default();
        if looks.len() == LOOKS {
            looks.pop_front();
        }
        looks.push_back(interval_ms);
    }

    /// Returns an agent's usual sample interval, in milliseconds.
    pub(super) fn of(&self, family: Family, agent: i32) -> Option<i64> {
        let mut looks: Vec<i64> = self.0.get(&(family, agent))?.iter().copied().collect();
        looks.sort_unstable();
        looks.get(looks.len() / 2).copied()
    }

    /// Forgets all other agents.
    pub(super) fn retain(&mut self, is_there: impl Fn(i32) -> bool) {
        self.0.retain(|(_, agent), _| is_there(*agent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_does_not_make_an_agent_slow() {
        let mut intervals = Intervals::default();
        let window = |n, span| Window { n, oldest: 0, newest: span, end: span, length_ms: span };
        for _ in 0..5 {
            intervals.add(Family::Cpu, 1, &window(21, 300_000));
        }
        intervals.add(Family::Cpu, 1, &window(3, 300_000));
        assert_eq!(intervals.of(Family::Cpu, 1), Some(15_000));
        assert_eq!(intervals.of(Family::Cpu, 2), None);
        intervals.retain(|_| false);
        assert_eq!(intervals.of(Family::Cpu, 1), None);
    }
}
