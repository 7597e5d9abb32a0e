//! The state machine of a rule's target, the only place where alerts fire and end.
//!
//! Only observed time counts: the time between two looks with the same outcome. A stopped monitor, a clock jump and
//! missing data therefore add nothing.

use super::rule::{Definition, NoData};
use super::severity::Severity;
use super::verdict::{Outcome, Reason, Verdict};
use crate::domain::TimestampMs;
use crate::domain::tier::{HOUR_MS, MINUTE_MS};

/// Marks that holding, or being clear, has not begun.
const NOT_BEGUN: i64 = -1;
/// How long a pending state is remembered without data, in milliseconds.
const PENDING_UNKNOWN_MS_MAX: i64 = 10 * MINUTE_MS;
/// How far back firings count for damping, in milliseconds.
const RECENT_MS: i64 = HOUR_MS;
/// Number of firings within an hour that count as flapping.
const FLAPPING_FIRINGS: usize = 4;
/// How long it must be stable to stop flapping, in milliseconds.
const FLAPPING_MS: i64 = 30 * MINUTE_MS;
/// How long it must be clear, by the firings within the last hour, in percent of the configured time.
const DAMPING_PERCENT: [i64; 5] = [100, 100, 150, 225, 337];
const DAMPING_PERCENT_MAX: i64 = 400;

/// The state of one severity of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// For how long it has held, in milliseconds; negative if it does not.
    pub held_ms: i64,
    /// For how long it has been clear while firing, in milliseconds; negative if it is not.
    pub clear_ms: i64,
    /// Whether it fires.
    pub fires: bool,
}

impl Default for Level {
    fn default() -> Self {
        Self { held_ms: NOT_BEGUN, clear_ms: NOT_BEGUN, fires: false }
    }
}

/// The state of a target. The default means that all is well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The state of each severity, the lowest first.
    pub levels: [Level; 3],
    /// For how long it could not be judged, in milliseconds.
    pub unknown_ms: i64,
    /// Whether the last look was inconclusive, so that the time since does not count.
    pub was_unknown: bool,
    /// The times it fired within the last hour.
    pub recent: Vec<TimestampMs>,
    /// Whether it is flapping.
    pub flapping: bool,
    /// The last value.
    pub value: Option<f64>,
    /// Why it cannot be judged, if it cannot.
    pub reason: Option<Reason>,
    /// Since when it holds.
    pub started_at: TimestampMs,
    /// When it fired or ended.
    pub changed_at: TimestampMs,
}

/// The phase of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// All is well, or the alert has ended.
    Over,
    /// It holds, but not for long enough.
    Pending,
    /// It fires.
    Firing,
    /// It fires, but is clear at the moment.
    Recovering,
}

/// Why an alert ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It was clear for long enough.
    Recovered,
    /// It could not be judged for too long.
    NoData,
    /// What the rule judges was changed.
    RuleChanged,
    /// The rule was disabled.
    RuleDisabled,
    /// The rule was deleted.
    RuleDeleted,
    /// The agent was deleted.
    AgentDeleted,
    /// The agent, or the disk or interface, is no longer in the rule's scope.
    OutOfScope,
}

impl EndReason {
    /// Returns the reason's name in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            EndReason::Recovered => "recovered",
            EndReason::NoData => "no_data",
            EndReason::RuleChanged => "rule_changed",
            EndReason::RuleDisabled => "rule_disabled",
            EndReason::RuleDeleted => "rule_deleted",
            EndReason::AgentDeleted => "agent_deleted",
            EndReason::OutOfScope => "out_of_scope",
        }
    }
}

/// A change of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It fires.
    Fired {
        /// The severity.
        severity: Severity,
        /// Whether the last alert ended so recently that it is reopened.
        reopens: bool,
    },
    /// It has become more severe.
    Escalated(Severity),
    /// It has become less severe.
    Deescalated(Severity),
    /// It has ended.
    Ended(EndReason),
}

impl Phase {
    /// Returns the number it is stored as.
    pub fn number(self) -> i16 {
        match self {
            Phase::Over => 0,
            Phase::Pending => 1,
            Phase::Firing => 2,
            Phase::Recovering => 3,
        }
    }
}

impl State {
    /// Returns the highest firing severity.
    pub fn severity(&self) -> Option<Severity> {
        Severity::ALL.into_iter().rev().find(|severity| self.levels[severity.index()].fires)
    }

    /// Returns the phase.
    pub fn phase(&self) -> Phase {
        let fires = self.levels.iter().any(|level| level.fires);
        if fires && self.levels.iter().all(|level| !level.fires || 0 <= level.clear_ms) {
            Phase::Recovering
        } else if fires {
            Phase::Firing
        } else if self.levels.iter().any(|level| 0 <= level.held_ms) {
            Phase::Pending
        } else {
            Phase::Over
        }
    }

    /// Returns whether nothing has to be remembered.
    pub fn is_forgettable(&self, definition: &Definition, now: TimestampMs) -> bool {
        self.phase() == Phase::Over
            && !self.flapping
            && self.recent.iter().all(|at| RECENT_MS <= now - at)
            && definition.cooldown_ms <= now - self.changed_at
    }

    /// Returns the percentage of the configured time for which it has to be clear.
    fn damping_percent(&self) -> i64 {
        DAMPING_PERCENT.get(self.recent.len()).copied().unwrap_or(DAMPING_PERCENT_MAX)
    }
}

/// Updates a target's state by one look, `delta_ms` of observed time after the previous one.
pub fn step(
    definition: &Definition,
    state: &State,
    verdict: &Verdict,
    delta_ms: i64,
    now: TimestampMs,
) -> (State, Option<Change>) {
    let delta_ms = delta_ms.max(0);
    let mut next = state.clone();
    next.recent.retain(|at| now - at < RECENT_MS);
    let is_calm = FLAPPING_MS <= now - next.changed_at;
    next.flapping &= !is_calm;
    next.reason = verdict.reason;
    if verdict.is_unknown() {
        return stay(definition, next, delta_ms, now);
    }
    let known_ms = if state.was_unknown { 0 } else { delta_ms };
    next.was_unknown = verdict.levels.contains(&Some(Outcome::Unknown));
    next.unknown_ms = 0;
    next.value = verdict.value;
    let recover_ms = definition.recover_for_ms.saturating_mul(next.damping_percent()) / 100;
    let was_over = next.phase() == Phase::Over;
    for (level, outcome) in next.levels.iter_mut().zip(verdict.levels) {
        advance(level, outcome, verdict.observed_ms, known_ms, definition.for_ms, recover_ms);
    }
    if was_over && next.phase() != Phase::Over {
        next.started_at = now - verdict.observed_ms;
    }
    let change = change(definition, state, &mut next, now);
    (next, change)
}

/// Updates one severity by one look.
fn advance(
    level: &mut Level,
    outcome: Option<Outcome>,
    observed_ms: i64,
    delta_ms: i64,
    for_ms: i64,
    recover_ms: i64,
) {
    match outcome {
        // The rule no longer has this severity.
        None => *level = Level::default(),
        Some(Outcome::Unknown) => {}
        Some(Outcome::Holds) => {
            level.clear_ms = NOT_BEGUN;
            level.held_ms = if level.held_ms < 0 { observed_ms.max(0) } else { level.held_ms + delta_ms };
            level.fires |= for_ms <= level.held_ms;
        }
        Some(Outcome::Between) => {
            level.clear_ms = NOT_BEGUN;
            level.held_ms = NOT_BEGUN;
        }
        Some(Outcome::Clear) => {
            level.held_ms = NOT_BEGUN;
            if level.fires {
                level.clear_ms = if level.clear_ms < 0 { 0 } else { level.clear_ms + delta_ms };
                if recover_ms <= level.clear_ms {
                    *level = Level::default();
                }
            }
        }
    }
}

/// Without data nothing changes for a while.
fn stay(
    definition: &Definition,
    mut next: State,
    delta_ms: i64,
    now: TimestampMs,
) -> (State, Option<Change>) {
    if next.was_unknown {
        next.unknown_ms += delta_ms;
    }
    next.was_unknown = true;
    let patience_ms = match (next.phase(), definition.no_data) {
        (Phase::Pending | Phase::Over, _) => PENDING_UNKNOWN_MS_MAX,
        (_, NoData::Keep) => definition.no_data_end_ms,
        (_, NoData::Resolve) => definition.recover_for_ms,
    };
    if next.unknown_ms < patience_ms {
        return (next, None);
    }
    let fired = next.severity().is_some();
    next.levels = Default::default();
    if fired {
        next.changed_at = now;
    }
    (next, fired.then_some(Change::Ended(EndReason::NoData)))
}

/// Returns the change between two states.
fn change(definition: &Definition, before: &State, next: &mut State, now: TimestampMs) -> Option<Change> {
    match (before.severity(), next.severity()) {
        (None, Some(severity)) => {
            // What has never fired cannot have ended.
            let has_ended = before.changed_at != 0 && now - before.changed_at < definition.cooldown_ms;
            next.recent.push(now);
            next.flapping |= FLAPPING_FIRINGS <= next.recent.len();
            next.changed_at = now;
            Some(Change::Fired { severity, reopens: has_ended })
        }
        (Some(_), None) => {
            next.changed_at = now;
            Some(Change::Ended(EndReason::Recovered))
        }
        (Some(before), Some(after)) if before < after => Some(Change::Escalated(after)),
        (Some(before), Some(after)) if after < before => Some(Change::Deescalated(after)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
