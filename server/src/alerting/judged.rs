//! The results of judging targets: their states, their alerts, and events.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::judge::{Sight, Target, unit};
use crate::domain::TimestampMs;
use crate::domain::alert::condition::Operator;
use crate::domain::alert::reading::WatchedAgent;
use crate::domain::alert::rule::Rule;
use crate::domain::alert::severity::Severity;
use crate::domain::alert::step::{Change, EndReason, Phase, State, step};
use crate::domain::alert::verdict::{Reason, Verdict};
use crate::store::{AlertUpdate, NewAlert, NewAlertEvent, StoredState, TargetKey};

/// Maximum members of an outage that are named.
const MEMBERS_NAMED_MAX: usize = 50;

/// The changes to save.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) kept: Vec<StoredState>,
    pub(super) forgotten: Vec<TargetKey>,
    pub(super) new: Vec<NewAlert>,
    pub(super) updates: Vec<AlertUpdate>,
    pub(super) events: Vec<NewAlertEvent>,
}

/// One judged target.
struct Look<'a> {
    rule: &'a Rule,
    target: &'a Target<'a>,
    before: Option<&'a StoredState>,
    state: State,
    alert_id: Option<Uuid>,
    details: Value,
    now: TimestampMs,
}

impl Judged {
    /// Judges all targets of a rule, `delta_ms` after the last time. Removes its earlier states from `states`.
    pub(super) fn judge(
        &mut self,
        rule: &Rule,
        sight: &Sight,
        states: &mut HashMap<TargetKey, StoredState>,
        delta_ms: i64,
    ) {
        let key =
            |agent_key, series_key, target| TargetKey { rule_id: rule.id, agent_key, series_key, target };
        let is_known =
            |agent: i32, series: i32| states.contains_key(&key(Some(agent), series, String::new()));
        for target in sight.targets(rule, is_known) {
            let key = key(target.agent_key(), target.series_key(), target.name.clone());
            let mut before = states.remove(&key);
            if let Some(other) = before.take_if(|before| before.version != rule.judged_version) {
                self.end(other, EndReason::RuleChanged, sight.now);
            }
            let verdict = sight.verdict(rule, &target);
            self.step(rule, sight, &target, key, before.as_ref(), &verdict, delta_ms);
        }
        let rest: Vec<TargetKey> = states.keys().filter(|key| key.rule_id == rule.id).cloned().collect();
        for key in rest {
            if let Some(state) = states.remove(&key) {
                self.end(state, EndReason::OutOfScope, sight.now);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a step depends on")]
    fn step(
        &mut self,
        rule: &Rule,
        sight: &Sight,
        target: &Target<'_>,
        key: TargetKey,
        before: Option<&StoredState>,
        verdict: &Verdict,
        delta_ms: i64,
    ) {
        // All was and is well: most targets, most of the time.
        if before.is_none() && verdict.severity().is_none() {
            return;
        }
        let initial = State::default();
        let old = before.map_or(&initial, |before| &before.state);
        let (state, change) = step(&rule.definition, old, verdict, delta_ms, sight.now);
        let mut look = Look {
            rule,
            target,
            before,
            state,
            alert_id: before.and_then(|before| before.alert_id),
            details: details(rule, sight, target),
            now: sight.now,
        };
        match change {
            Some(change) => self.note(&mut look, change),
            None => self.keep_up(&look),
        }
        let Look { state, alert_id, .. } = look;
        if state.is_forgettable(&rule.definition, sight.now) {
            if before.is_some() {
                self.forgotten.push(key);
            }
        } else if before.is_none_or(|before| before.state != state || before.alert_id != alert_id) {
            self.kept.push(StoredState { key, version: rule.judged_version, state, alert_id });
        }
    }

    /// Records a change of an alert.
    fn note(&mut self, look: &mut Look<'_>, change: Change) {
        let value = look.state.value;
        let (kind, details) = match change {
            Change::Fired { severity, reopens } => match look.alert_id.filter(|_| reopens) {
                Some(_) => {
                    self.updates.extend(look.update(severity, None, true, false));
                    ("reopened", json!({"severity": severity.as_str()}))
                }
                None => {
                    let new = look.new_alert(severity);
                    look.alert_id = Some(new.id);
                    self.new.push(new);
                    ("fired", json!({"severity": severity.as_str()}))
                }
            },
            Change::Escalated(severity) => {
                self.updates.extend(look.update(severity, None, false, true));
                ("escalated", json!({"severity": severity.as_str()}))
            }
            Change::Deescalated(severity) => {
                self.updates.extend(look.update(severity, None, false, false));
                ("deescalated", json!({"severity": severity.as_str()}))
            }
            Change::Ended(reason) => {
                let severity = look.before.and_then(|before| before.state.severity());
                let severity = severity.unwrap_or(Severity::Info);
                self.updates.extend(look.update(severity, Some(reason), false, false));
                ("resolved", json!({"reason": reason.as_str()}))
            }
        };
        self.events.push(NewAlertEvent { alert_id: look.alert_id, kind, value, details });
        let was_flapping = look.before.is_some_and(|before| before.state.flapping);
        if look.state.flapping && !was_flapping {
            let (kind, details) = ("flapping", json!({}));
            self.events.push(NewAlertEvent { alert_id: look.alert_id, kind, value, details });
        }
    }

    /// Updates the value of an alert that has not changed otherwise.
    fn keep_up(&mut self, look: &Look<'_>) {
        let (Some(before), Some(severity)) = (look.before, look.state.severity()) else {
            return;
        };
        let old = &before.state;
        let is_same = old.value == look.state.value
            && old.reason == look.state.reason
            && old.flapping == look.state.flapping;
        if !is_same {
            self.updates.extend(look.update(severity, None, false, false));
        }
    }

    /// Ends a state's alert, and drops the state.
    pub(super) fn end(&mut self, stored: StoredState, reason: EndReason, now: TimestampMs) {
        if let (Some(id), Some(severity)) = (stored.alert_id, stored.state.severity()) {
            self.end_alert(id, severity, reason, now);
        }
        self.forgotten.push(stored.key);
    }

    /// Ends an alert.
    pub(super) fn end_alert(&mut self, id: Uuid, severity: Severity, reason: EndReason, now: TimestampMs) {
        self.updates.push(AlertUpdate {
            id,
            state: "resolved",
            severity: severity.number(),
            ended_at: Some(now),
            end_reason: Some(reason.as_str()),
            value: None,
            threshold: None,
            recovery_threshold: None,
            details: json!({}),
            data_state: "fresh",
            flapping: false,
            reopened: 0,
            is_worse: false,
            is_below: false,
        });
        let details = json!({"reason": reason.as_str()});
        self.events.push(NewAlertEvent { alert_id: Some(id), kind: "resolved", value: None, details });
    }

    /// Returns the targets other than agents with a pending or firing state, as judged in this evaluation.
    pub(super) fn running_outages(&self) -> impl Iterator<Item = &str> {
        let running = self.kept.iter().filter(|stored| stored.state.phase() != Phase::Over);
        running.map(|stored| stored.key.target.as_str()).filter(|target| !target.is_empty())
    }
}

impl Look<'_> {
    fn threshold(&self, severity: Severity) -> (Option<f64>, Option<f64>) {
        let first = self.rule.definition.conditions.first();
        let threshold = first.and_then(|first| first.levels()).and_then(|levels| levels.at(severity));
        threshold.map(|threshold| (threshold.threshold, threshold.recovery_threshold)).unzip()
    }

    fn new_alert(&self, severity: Severity) -> NewAlert {
        let (threshold, recovery_threshold) = self.threshold(severity);
        NewAlert {
            id: Uuid::now_v7(),
            rule_id: self.rule.id,
            rule_name: self.rule.name.clone(),
            rule_version: self.rule.version,
            agent_key: self.target.agent_key(),
            agent_id: self.target.agent.map(|agent| agent.id),
            agent_name: self.target.agent.map(|agent| agent.name.clone()),
            series_name: self.target.series_name().map(str::to_owned),
            target: self.target.name.clone(),
            severity: severity.number(),
            started_at: self.state.started_at,
            fired_at: self.now,
            value: self.state.value,
            threshold,
            recovery_threshold,
            unit: unit(&self.rule.definition),
            details: self.details.clone(),
            flapping: self.state.flapping,
        }
    }

    fn update(
        &self,
        severity: Severity,
        end: Option<EndReason>,
        is_reopened: bool,
        is_worse: bool,
    ) -> Option<AlertUpdate> {
        let (threshold, recovery_threshold) = self.threshold(severity);
        let first = self.rule.definition.conditions.first();
        Some(AlertUpdate {
            id: self.alert_id?,
            state: if end.is_some() { "resolved" } else { "firing" },
            severity: severity.number(),
            ended_at: end.map(|_| self.now),
            end_reason: end.map(EndReason::as_str),
            value: self.state.value,
            threshold,
            recovery_threshold,
            details: self.details.clone(),
            data_state: self.state.reason.map_or("fresh", Reason::as_str),
            flapping: self.state.flapping,
            reopened: i32::from(is_reopened),
            is_worse: is_worse || is_reopened,
            is_below: first.is_some_and(|first| first.operator() == Operator::Below),
        })
    }
}

/// Who has left, for an outage; when it will be full, for a disk.
fn details(rule: &Rule, sight: &Sight, target: &Target<'_>) -> Value {
    let Some((Some(outage), _)) = sight.outages.get(&target.name) else {
        return sight.full_at(&rule.definition, target).map_or(json!({}), |at| json!({"fullAt": at}));
    };
    let is_away = |agent: &&WatchedAgent| !agent.online && outage.members.contains(&agent.key);
    let mut away: Vec<&str> = sight.agents.iter().filter(is_away).map(|agent| agent.name.as_str()).collect();
    away.sort_unstable();
    let n_away = away.len();
    away.truncate(MEMBERS_NAMED_MAX);
    json!({"away": n_away, "members": outage.members.len(), "of": outage.of, "since": outage.since, "names": away})
}
