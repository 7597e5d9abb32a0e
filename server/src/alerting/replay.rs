//! Evaluates a rule over what is stored of the past, one agent at a time: judged as at present, and with the same state
//! machine.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::judge::{GAP_MS, Sight, Target, history_ms, queries, restarts_ms, series_family};
use crate::domain::TimestampMs;
use crate::domain::alert::condition::Condition;
use crate::domain::alert::past::{AgentPast, history_of, window_of};
use crate::domain::alert::reading::{Readings, WatchedAgent, WatchedSeries, WindowQuery};
use crate::domain::alert::rule::{Definition, Rule};
use crate::domain::alert::severity::Severity;
use crate::domain::alert::step::{Change, Phase, State, step};
use crate::domain::family::Family;
use crate::domain::tier::{HOUR_MS, MINUTE_MS};

/// How many times longer a rule has to hold in the comparisons.
pub const LONGER: [i64; 2] = [2, 4];
/// What a rule that fires at once is compared with, in milliseconds, before it is made longer.
const FOR_MS_AT_LEAST: i64 = MINUTE_MS;
/// How long an agent's newest sample is looked for, in milliseconds.
const NEWEST_MS: i64 = HOUR_MS;

/// A rule, and the times at which it is evaluated.
#[derive(Clone, Debug)]
pub struct Replay {
    rule: Rule,
    /// The rule as it is, and with longer times.
    definitions: [Definition; 1 + LONGER.len()],
    queries: Vec<WindowQuery>,
    /// The first and the last time. Multiples of the width of a bucket.
    start: TimestampMs,
    end: TimestampMs,
    step_ms: i64,
    bucket_ms: i64,
    /// When no server evaluated rules.
    blind_spots: Vec<(TimestampMs, TimestampMs)>,
    /// How long after that it takes to tell who is missing, in milliseconds.
    settle_ms: i64,
}

/// An alert that would have fired.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayedAlert {
    /// The agent's id.
    pub agent_id: Uuid,
    /// The agent's name.
    pub agent_name: String,
    /// The mount point or interface.
    pub series: Option<String>,
    /// The highest severity.
    pub severity: Severity,
    /// Since when it held.
    pub started_at: TimestampMs,
    /// When it fired.
    pub fired_at: TimestampMs,
    /// When it ended; `None` if it fired at the end of the span.
    pub ended_at: Option<TimestampMs>,
    /// The value when it fired.
    pub value: Option<f64>,
}

/// What would have fired.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replayed {
    /// The alerts, in the order in which they fired.
    pub alerts: Vec<ReplayedAlert>,
    /// How many there would have been if the rule had to hold longer, as often as [`LONGER`] says.
    pub with_longer: [usize; LONGER.len()],
}

/// The state of one target, with each of the definitions.
#[derive(Default)]
struct Replaying {
    states: [State; 1 + LONGER.len()],
    /// The alert that fires.
    alert: Option<usize>,
}

/// Returns the windows that a back-test of a rule reads.
pub fn queries_of(rule: &Rule) -> Vec<WindowQuery> {
    let mut queries = queries(std::iter::once(rule));
    // Whether there are samples at all is seen by those of the CPU, which every agent has.
    if rule.definition.conditions.iter().any(|condition| matches!(condition, Condition::NoData { .. })) {
        queries.push(WindowQuery { family: Family::Cpu, window_ms: NEWEST_MS, values: Vec::new() });
    }
    queries
}

/// Returns for how long a rule has to hold in each comparison, in milliseconds.
pub fn longer_for_ms(definition: &Definition) -> [i64; LONGER.len()] {
    LONGER.map(|times| definition.for_ms.max(FOR_MS_AT_LEAST).saturating_mul(times))
}

impl Replay {
    /// Plans to evaluate a rule from `start` to `end`, over samples in buckets of `bucket_ms`. Both bounds are multiples of
    /// that.
    pub fn new(
        rule: Rule,
        (start, end): (TimestampMs, TimestampMs),
        bucket_ms: i64,
        blind_spots: Vec<(TimestampMs, TimestampMs)>,
        (tick_ms, settle_ms): (i64, i64),
    ) -> Self {
        let period_ms = rule.definition.period_ms(tick_ms).max(bucket_ms);
        let [double, quadruple] = longer_for_ms(&rule.definition);
        let with = |for_ms| Definition { for_ms, ..rule.definition.clone() };
        Self {
            definitions: [rule.definition.clone(), with(double), with(quadruple)],
            queries: queries_of(&rule),
            rule,
            start,
            end,
            step_ms: (period_ms + bucket_ms - 1) / bucket_ms * bucket_ms,
            bucket_ms,
            blind_spots,
            settle_ms,
        }
    }

    /// Returns the time between two evaluations, in milliseconds.
    pub fn step_ms(&self) -> i64 {
        self.step_ms
    }

    /// Evaluates the rule for one agent with these mount points or interfaces.
    pub fn run(&self, agent: &WatchedAgent, series: Vec<WatchedSeries>, past: &AgentPast) -> Replayed {
        let mut sight = Sight { agents: vec![agent.clone()], ..Sight::default() };
        if let Some(family) = series_family(&self.rule.definition) {
            sight.series.insert(family, HashMap::from([(agent.key, series)]));
        }
        let mut replayed = Replayed::default();
        let mut targets: BTreeMap<i32, Replaying> = BTreeMap::new();
        let mut last = None;
        let mut at = self.start + self.step_ms;
        while at <= self.end {
            if self.blind_spots.iter().any(|(from, to)| *from < at && at < *to) {
                last = None;
                at += self.step_ms;
                continue;
            }
            self.look(&mut sight, agent, past, at);
            let delta_ms = last.map_or(0, |last| at - last);
            self.judge(&sight, &mut targets, &mut replayed, delta_ms);
            last = Some(at);
            let is_quiet = sight.is_settled && targets.values().all(|target| self.is_steady(target));
            at = if is_quiet { self.next_change(past, at) } else { at + self.step_ms };
        }
        replayed
    }

    /// Returns whether nothing changes before the agent's presence does.
    fn is_steady(&self, target: &Replaying) -> bool {
        let is_of_presence = matches!(self.rule.definition.conditions[..], [Condition::Offline { .. }]);
        is_of_presence && target.states.iter().all(|state| state.phase() == Phase::Firing)
    }

    /// Returns the time of the next evaluation at which something may have changed.
    fn next_change(&self, past: &AgentPast, at: TimestampMs) -> TimestampMs {
        let next = match self.rule.definition.conditions[..] {
            [Condition::Offline { .. }] => {
                past.presence.iter().map(|change| change.at).find(|next| at < *next)
            }
            [Condition::Gap { .. }] => past.gaps.iter().map(|(next, _)| *next).find(|next| at < *next),
            _ => return at + self.step_ms,
        };
        let steps = next.map_or(i64::MAX, |next| (next - at + self.step_ms - 1) / self.step_ms);
        at.saturating_add(steps.max(1).saturating_mul(self.step_ms))
    }

    /// Sees what was known at a time.
    fn look(&self, sight: &mut Sight, agent: &WatchedAgent, past: &AgentPast, at: TimestampMs) {
        let seen = self.blind_spots.iter().map(|(_, until)| *until).filter(|until| *until <= at).max();
        sight.now = at;
        sight.observed_from = seen.unwrap_or(self.start);
        let present = past.presence.partition_point(|change| change.at <= at).checked_sub(1);
        let present = present.and_then(|index| past.presence.get(index));
        let online = present.and_then(|change| change.online);
        let is_awake = seen.is_none_or(|seen| self.settle_ms <= at - seen);
        sight.is_settled = online.is_some() && is_awake;
        if let Some(watched) = sight.agents.first_mut() {
            // Where its presence is unknown, its samples tell, but not whether it was offline.
            watched.online = online.unwrap_or_else(|| !self.is_of_presence());
            watched.last_seen_at = if watched.online { at } else { present.map_or(at, |change| change.at) };
            watched.newest_at = self.newest_at(past, at);
        }
        for (query, points) in self.queries.iter().zip(&past.points) {
            let readings: Readings = points
                .iter()
                .filter_map(|(series, points)| {
                    Some(((agent.key, *series), window_of(points, query, self.bucket_ms, at)?))
                })
                .collect();
            for reading in readings.values() {
                sight.intervals.add(query.family, agent.key, &reading.window);
            }
            sight.windows.insert((query.family, query.window_ms), Some((query.clone(), readings)));
        }
        if let Some(history_ms) = history_ms(std::iter::once(&self.rule.definition)) {
            let history = |(disk, hours): (&i32, &Vec<_>)| (*disk, history_of(hours, history_ms, at));
            sight.histories = past.free_space.iter().map(history).collect();
        }
        if restarts_ms(std::iter::once(&self.rule.definition)).is_some() {
            sight.restarts.insert(agent.key, past.restarts(at));
        }
        if !past.gaps.is_empty() {
            let lately = past.gaps.iter().filter(|(reported, _)| at - GAP_MS < *reported && *reported <= at);
            sight.gaps.insert(agent.key, lately.map(|(_, samples)| samples).sum());
        }
    }

    fn is_of_presence(&self) -> bool {
        let mut conditions = self.rule.definition.conditions.iter();
        conditions.any(|condition| matches!(condition, Condition::Offline { .. }))
    }

    /// Returns the time of the newest sample that was stored by then.
    fn newest_at(&self, past: &AgentPast, at: TimestampMs) -> Option<TimestampMs> {
        let of_cpu =
            self.queries.iter().position(|query| query.family == Family::Cpu && query.window_ms == NEWEST_MS);
        let points = past.points.get(of_cpu?)?.get(&0)?;
        let until = points.partition_point(|point| point.at + self.bucket_ms <= at);
        Some(points.get(until.checked_sub(1)?)?.newest)
    }

    /// Judges all targets, and advances their states.
    fn judge(
        &self,
        sight: &Sight,
        targets: &mut BTreeMap<i32, Replaying>,
        replayed: &mut Replayed,
        delta_ms: i64,
    ) {
        let now = sight.now;
        for target in sight.targets(&self.rule, |_, series| targets.contains_key(&series)) {
            let verdict = sight.verdict(&self.rule, &target);
            let key = target.series_key();
            if verdict.severity().is_none() && !targets.contains_key(&key) {
                continue;
            }
            let replaying = targets.entry(key).or_default();
            let mut is_forgettable = true;
            for (index, definition) in self.definitions.iter().enumerate() {
                let (state, change) = step(definition, &replaying.states[index], &verdict, delta_ms, now);
                is_forgettable &= state.is_forgettable(definition, now);
                match (index.checked_sub(1), change) {
                    (None, Some(change)) => {
                        replaying.alert = replayed.note(replaying.alert, change, &target, &state, now);
                    }
                    (Some(longer), Some(Change::Fired { reopens: false, .. })) => {
                        replayed.with_longer[longer] += 1;
                    }
                    _ => {}
                }
                replaying.states[index] = state;
            }
            if is_forgettable {
                targets.remove(&key);
            }
        }
    }
}

impl Replayed {
    /// Notes a change of a target's alert. Returns the position of the alert.
    fn note(
        &mut self,
        alert: Option<usize>,
        change: Change,
        target: &Target<'_>,
        state: &State,
        now: TimestampMs,
    ) -> Option<usize> {
        let known = alert.and_then(|index| self.alerts.get_mut(index));
        match (change, known) {
            (Change::Fired { severity, reopens: true }, Some(alert)) => {
                alert.ended_at = None;
                alert.severity = alert.severity.max(severity);
            }
            (Change::Fired { severity, .. }, _) => {
                let agent = target.agent?;
                self.alerts.push(ReplayedAlert {
                    agent_id: agent.id,
                    agent_name: agent.name.clone(),
                    series: target.series_name().map(str::to_owned),
                    severity,
                    started_at: state.started_at,
                    fired_at: now,
                    ended_at: None,
                    value: state.value,
                });
                return Some(self.alerts.len() - 1);
            }
            (Change::Escalated(severity), Some(alert)) => alert.severity = alert.severity.max(severity),
            (Change::Ended(_), Some(alert)) => alert.ended_at = Some(now),
            _ => {}
        }
        alert
    }
}

#[cfg(test)]
mod tests;
