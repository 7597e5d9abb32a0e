//! Detects two machines that use one agent's identity: each one that connects ends the other's connection, again and
//! again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::domain::TimestampMs;
use crate::domain::id::AgentKey;

/// This many within the window are no accident. An agent that restarts, or whose network has changed, does not end a
/// live connection.
const TAKEOVERS_MIN: usize = 3;
/// An agent whose connection was taken over tries again after five minutes.
const WINDOW_MS: i64 = 20 * 60_000;

/// A live connection was taken over by another.
#[derive(Clone, Debug)]
pub(super) struct Takeover {
    pub(super) at: TimestampMs,
    /// Where the two came from; empty if unknown.
    pub(super) addresses: [String; 2],
}

/// The takeovers within the window: at most [`TAKEOVERS_MIN`] per agent, and only of agents that had any.
#[derive(Debug, Default)]
pub(super) struct Takeovers(Mutex<HashMap<AgentKey, VecDeque<Takeover>>>);

impl Takeovers {
    /// Notes a takeover. If there have been too many, returns the addresses they came from, each once.
    pub(super) fn note(&self, agent: AgentKey, takeover: Takeover) -> Option<Vec<String>> {
        let oldest = takeover.at.saturating_sub(WINDOW_MS);
        let mut agents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        agents.retain(|_, takeovers| takeovers.back().is_some_and(|newest| oldest < newest.at));
        let takeovers = agents.entry(agent).or_default();
        takeovers.push_back(takeover);
        while TAKEOVERS_MIN < takeovers.len() || takeovers.front().is_some_and(|first| first.at <= oldest) {
            takeovers.pop_front();
        }
        if takeovers.len() < TAKEOVERS_MIN {
            return None;
        }
        let addresses = takeovers.iter().flat_map(|takeover| takeover.addresses.clone());
        let mut addresses: Vec<String> = addresses.filter(|address| !address.is_empty()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Some(addresses)
    }

    /// Forgets an agent's takeovers.
    pub(super) fn forget(&self, agent: AgentKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&agent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: AgentKey = AgentKey(1);

    fn takeover(at: TimestampMs, from: &str, by: &str) -> Takeover {
        Takeover { at, addresses: [from.to_owned(), by.to_owned()] }
    }

    #[test]
    fn two_machines_that_take_over_from_each_other_are_detected() {
        let takeovers = Takeovers::default();
        assert_eq!(takeovers.note(AGENT, takeover(0, "a", "b")), None);
        assert_eq!(takeovers.note(AgentKey(2), takeover(0, "x", "y")), None);
        assert_eq!(takeovers.note(AGENT, takeover(300_000, "b", "")), None);
        let addresses = takeovers.note(AGENT, takeover(600_000, "a", "b")).unwrap();
        assert_eq!(addresses, ["a", "b"]);
        assert!(takeovers.note(AGENT, takeover(900_000, "b", "c")).is_some(), "it goes on");
        takeovers.forget(AGENT);
        assert_eq!(takeovers.note(AGENT, takeover(900_001, "b", "c")), None);
    }

    #[test]
    fn takeovers_far_apart_mean_nothing_and_are_forgotten() {
        let takeovers = Takeovers::default();
        for number in 0..10 {
            assert_eq!(takeovers.note(AGENT, takeover(number * WINDOW_MS, "a", "b")), None);
        }
        assert_eq!(takeovers.note(AgentKey(2), takeover(20 * WINDOW_MS, "a", "b")), None);
        assert_eq!(takeovers.0.lock().unwrap().len(), 1);
    }
}
