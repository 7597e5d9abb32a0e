//! Agents that leave at once: a fault of a network, or of Pika itself, and one alert instead of hundreds.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::verdict::Outcome;
use crate::domain::TimestampMs;
use crate::domain::tier::MINUTE_MS;

/// Maximum time between the last signs of life of agents that left together, in milliseconds.
const TOGETHER_MS: i64 = MINUTE_MS;
/// Maximum time since agents left that still counts as just now, in milliseconds.
const LATELY_MS: i64 = 10 * MINUTE_MS;
/// Maximum duration of an outage, in milliseconds; agents still offline then are reported individually.
const OUTAGE_MS_MAX: i64 = 30 * MINUTE_MS;
/// Minimum agents of a tag for an outage.
pub const TAG_AGENTS_MIN: usize = 3;

/// Whether an agent is online, and when it was last heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The agent's key.
    pub agent: i32,
    /// Whether it is connected.
    pub online: bool,
    /// When it was last heard.
    pub last_seen_at: TimestampMs,
}

/// How many agents must leave at once for an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// At least this many,
    pub min: usize,
    /// and this percentage of those that were online.
    pub percent: usize,
}

impl Measure {
    /// Returns whether `n` of `all` are an outage: enough of them, or all of two or more.
    fn is_met(self, n: usize, all: usize) -> bool {
        let enough = self.min <= n && self.percent * all <= n * 100;
        enough || (2 <= all && n == all)
    }
}

/// An ongoing outage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outage {
    /// The agents that left.
    pub members: BTreeSet<i32>,
    /// How many were online before.
    pub of: usize,
    /// When the first of them was last heard.
    pub since: TimestampMs,
}

/// Updates an outage by looking at all agents of the fleet, or of a tag.
///
/// Returns the current outage, if there is one, and whether it holds.
pub fn judge(
    running: Option<&Outage>,
    agents: &[Presence],
    measure: Measure,
    now: TimestampMs,
) -> (Option<Outage>, Outcome) {
    let Some(running) = running else {
        return match begins(agents, measure, now) {
            Some(outage) => (Some(outage), Outcome::Holds),
            None => (None, Outcome::Clear),
        };
    };
    let mut outage = running.clone();
    let left_since =
        agents.iter().filter(|agent| !agent.online && running.since - TOGETHER_MS <= agent.last_seen_at);
    outage.members.extend(left_since.map(|agent| agent.agent));
    let is_away = |agent: &&Presence| !agent.online && outage.members.contains(&agent.agent);
    let n_away = agents.iter().filter(is_away).count();
    if n_away * 10 <= outage.members.len() || OUTAGE_MS_MAX <= now - outage.since {
        (Some(outage), Outcome::Clear)
    } else if measure.is_met(n_away, outage.of.max(outage.members.len())) {
        (Some(outage), Outcome::Holds)
    } else {
        (Some(outage), Outcome::Between)
    }
}

/// Returns the largest group of agents that have recently left together, if it is an outage.
fn begins(agents: &[Presence], measure: Measure, now: TimestampMs) -> Option<Outage> {
    let n_online = agents.iter().filter(|agent| agent.online).count();
    let mut left: Vec<&Presence> =
        agents.iter().filter(|agent| !agent.online && now - agent.last_seen_at <= LATELY_MS).collect();
    left.sort_by_key(|agent| agent.last_seen_at);
    let (mut first, mut largest) = (0, 0..0);
    for last in 0..left.len() {
        while TOGETHER_MS < left[last].last_seen_at - left[first].last_seen_at {
            first += 1;
        }
        if largest.len() < last + 1 - first {
            largest = first..last + 1;
        }
    }
    let together = &left[largest];
    let of = n_online + together.len();
    measure.is_met(together.len(), of).then(|| Outage {
        members: together.iter().map(|agent| agent.agent).collect(),
        of,
        since: together.first().map_or(now, |agent| agent.last_seen_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURE: Measure = Measure { min: 3, percent: 20 };

    fn fleet(n: i32, away: impl Fn(i32) -> Option<i64>) -> Vec<Presence> {
        let of = |agent| {
            let left_at = away(agent);
            Presence { agent, online: left_at.is_none(), last_seen_at: left_at.unwrap_or(1_000_000) }
        };
        (0..n).map(of).collect()
    }

    #[test]
    fn half_the_fleet_leaves_and_comes_back() {
        let now = 1_000_000;
        let gone = fleet(20, |agent| (agent < 10).then_some(now - 125_000 + i64::from(agent) * 4_000));
        let (outage, outcome) = judge(None, &gone, MEASURE, now);
        let outage = outage.unwrap();
        assert_eq!((outage.members.len(), outage.of, outcome), (10, 20, Outcome::Holds));
        let joined = fleet(20, |agent| (agent < 12).then_some(now - 60_000));
        let (outage, outcome) = judge(Some(&outage), &joined, MEASURE, now + 15_000);
        let outage = outage.unwrap();
        assert_eq!((outage.members.len(), outcome), (12, Outcome::Holds));
        let back = fleet(20, |agent| (agent < 1).then_some(now - 60_000));
        assert_eq!(judge(Some(&outage), &back, MEASURE, now + 30_000).1, Outcome::Clear);
        let late = now + OUTAGE_MS_MAX;
        assert_eq!(
            judge(Some(&outage), &joined, MEASURE, late).1,
            Outcome::Clear,
            "who is offline is reported individually"
        );
    }

    #[test]
    fn few_or_far_apart_are_not_an_outage() {
        let now = 1_000_000;
        for agents in [
            fleet(20, |agent| (agent < 2).then_some(now - 10_000)),
            fleet(40, |agent| (agent < 7).then_some(now - 10_000)),
            fleet(20, |agent| (agent < 6).then_some(now - i64::from(agent) * 61_000)),
            fleet(20, |agent| (agent < 10).then_some(now - LATELY_MS - 1)),
            fleet(1, |_| Some(now)),
        ] {
            assert_eq!(judge(None, &agents, MEASURE, now), (None, Outcome::Clear));
        }
    }

    #[test]
    fn all_of_two_are_an_outage() {
        let agents = fleet(2, |agent| Some(1_000_000 - i64::from(agent) * 20_000));
        assert_eq!(judge(None, &agents, MEASURE, 1_000_000).1, Outcome::Holds);
    }
}
