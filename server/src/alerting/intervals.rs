//! How far apart each agent takes its samples: the median of what its windows have looked like lately, so that one with a hole
//! in it does not pass for a slow agent's.

use std::collections::{HashMap, VecDeque};

use crate::domain::alert::coverage::Window;
use crate::domain::family::Family;

/// How many looks are remembered of each agent.
const LOOKS: usize = 9;
/// A window of fewer samples says nothing.
const SAMPLES_MIN: i64 = 3;

/// What is known of agents' paces.
#[derive(Debug, Default)]
pub(super) struct Intervals(HashMap<(Family, i32), VecDeque<i64>>);

impl Intervals {
    /// Remembers what a window looked like.
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

    /// The usual distance of an agent's samples, in milliseconds.
    pub(super) fn of(&self, family: Family, agent: i32) -> Option<i64> {
        let mut looks: Vec<i64> = self.0.get(&(family, agent))?.iter().copied().collect();
        looks.sort_unstable();
        looks.get(looks.len() / 2).copied()
    }

    /// Forgets all agents but these.
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
