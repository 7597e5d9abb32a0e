//! Evaluates periodically: reads what rules need, judges, and hands over messages, all in one transaction that only one
//! server has at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use pika_shared::Clock;
use serde_json::json;
use uuid::Uuid;

use super::away;
use super::hand_over::{Candidate, hand_over, note_withheld};
use super::intervals::Intervals;
use super::judge::{Sight, queries};
use super::judged::Judged;
use super::look::{find_outages, is_of_outages, look};
use super::withhold::Surroundings;
use crate::domain::TimestampMs;
use crate::domain::alert::reconcile::Withheld;
use crate::domain::alert::rule::Rule;
use crate::domain::alert::step::{EndReason, Phase};
use crate::domain::family::Family;
use crate::store::{
    AlertClock, AlertConnection, Error, Evaluation, GroupClock, NewAlertEvent, OpenAlert, Store, StoredState,
    TargetKey,
};
use crate::telemetry::{AlertCounts, Instruments};

/// How far evaluations lag behind the clock, in milliseconds: earlier samples are stored by then.
pub const LAG_MS: i64 = 3_000;
/// After this many ticks without an evaluation, nobody was watching.
const BLIND_TICKS: i64 = 3;
/// How far the clock may jump back and simply be waited for, in milliseconds.
const CLOCK_BACK_MS_MAX: i64 = 60_000;

/// Options of evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluatorOptions {
    /// The interval of evaluations, in milliseconds.
    pub tick_ms: i64,
    /// How long after a time without watching it takes to tell who is missing, in milliseconds.
    pub settle_ms: i64,
}

/// The result of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluated {
    /// Another server does the evaluation.
    Elsewhere,
    /// The clock jumped back a little; it is waited for.
    Waiting,
    /// The evaluation was done.
    Done {
        /// Whether everything due could be read.
        is_complete: bool,
    },
}

/// Evaluates rules, one tick after another.
#[derive(Debug)]
pub struct Evaluator {
    store: Store,
    clock: Clock,
    instruments: Arc<Instruments>,
    options: EvaluatorOptions,
    /// Identifies this run of the server in the database.
    run: Uuid,
    connection: Option<AlertConnection>,
    intervals: Intervals,
    /// Windows that could not be read in time when they were last due.
    slow: HashSet<(Family, i64)>,
    /// When the database was first found to be away, as far as this server knows.
    away_since: Option<TimestampMs>,
}

impl Evaluator {
    /// Creates an evaluator without any history.
    pub fn new(store: Store, clock: Clock, instruments: Arc<Instruments>, options: EvaluatorOptions) -> Self {
        Self {
            store,
            clock,
            instruments,
            options,
            run: Uuid::new_v4(),
            connection: None,
            intervals: Intervals::default(),
            slow: HashSet::new(),
            away_since: None,
        }
    }

    /// Runs one evaluation.
    ///
    /// # Errors
    /// If the database is unavailable; nothing has changed then.
    pub async fn tick(&mut self) -> Result<Evaluated, Error> {
        let started = Instant::now();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = self.store.alert_connection().await;
                if let Err(error) = &connection {
                    self.instruments.add_evaluation_failure();
                    self.notice_absence(error);
                }
                connection?
            }
        };
        let evaluated = self.evaluate(&mut connection).await;
        match &evaluated {
            Ok(evaluated) => {
                self.connection = Some(connection);
                let is_here = matches!(evaluated, Evaluated::Done { .. });
                if is_here {
                    self.away_since = None;
                }
                self.instruments.add_evaluation(is_here, started.elapsed(), self.clock.now());
            }
            Err(error) => {
                self.instruments.add_evaluation_failure();
                self.notice_absence(error);
            }
        }
        evaluated
    }

    /// Remembers since when the database is away, to tell of it afterwards.
    fn notice_absence(&mut self, error: &Error) {
        if matches!(error, Error::Unavailable(_) | Error::ReadOnly) {
            self.away_since.get_or_insert(self.clock.now() - LAG_MS);
        }
    }

    async fn evaluate(&mut self, connection: &mut AlertConnection) -> Result<Evaluated, Error> {
        let Some(mut evaluation) = connection.begin().await? else {
            return Ok(Evaluated::Elsewhere);
        };
        let now = self.clock.now() - LAG_MS;
        let mut clock = evaluation.clock().await?;
        let mut judged = Judged::default();
        if !self.keep_time(&mut clock, &mut judged, now) {
            return Ok(Evaluated::Waiting);
        }
        let rules = evaluation.rules().await?;
        let enabled: Vec<&Rule> = rules.iter().filter(|rule| rule.enabled).collect();
        if let Some(since) = away::was_away(self.away_since, &clock, now) {
            away::note(&evaluation, &enabled, since, now).await?;
        }
        let due = self.due(&evaluation, &enabled, &clock, now).await?;
        let (mut sight, is_complete) = self.look(&mut evaluation, &due, &clock, now).await?;
        self.remember_slow(&mut sight, &enabled);
        self.find_outages(&evaluation, &mut sight, &due, &mut clock).await?;
        let mut states: HashMap<TargetKey, StoredState> =
            evaluation.states().await?.into_iter().map(|stored| (stored.key.clone(), stored)).collect();
        let old_states: Vec<StoredState> = states.values().cloned().collect();
        for (rule, delta_ms) in &due {
            judged.judge(rule, &sight, &mut states, *delta_ms);
        }
        // Rules disabled in the very moment they were judged. A rule that this server cannot read, because a newer one
        // wrote it, stays as it is.
        let is_disabled: HashSet<Uuid> =
            rules.iter().filter(|rule| !rule.enabled).map(|rule| rule.id).collect();
        for stored in states.into_values().filter(|stored| is_disabled.contains(&stored.key.rule_id)) {
            judged.end(stored, EndReason::RuleDisabled, now);
        }
        retain_outages(&mut clock, &judged, &old_states, &due);
        evaluation.save_alerts(&judged.new, &judged.updates, &judged.events, now).await?;
        evaluation.save_states(&judged.kept, &judged.forgotten).await?;
        let counts = self.tell(&evaluation, &rules, &sight, &clock, now).await?;
        clock.evaluated_at = Some(now);
        evaluation.set_clock(&clock, self.run).await?;
        evaluation.commit().await?;
        self.instruments.set_alert_counts(&counts);
        self.intervals = sight.intervals;
        Ok(Evaluated::Done { is_complete })
    }

    /// Detects that nobody was watching. Returns whether an evaluation can be done now.
    fn keep_time(&self, clock: &mut AlertClock, judged: &mut Judged, now: TimestampMs) -> bool {
        let mut begin_anew = |kind: Option<&'static str>| {
            clock.observed_from = Some(now);
            let event = |kind| NewAlertEvent {
                alert_id: None,
                kind,
                value: None,
                details: json!({"from": clock.evaluated_at, "to": now}),
            };
            judged.events.extend(kind.map(event));
        };
        match clock.evaluated_at {
            None => begin_anew(None),
            Some(at) if now < at && at - now <= CLOCK_BACK_MS_MAX => return false,
            Some(at) if now < at => begin_anew(Some("system.clock")),
            Some(at) if BLIND_TICKS * self.options.tick_ms < now - at => {
                self.instruments.add_blind_time(now - at);
                tracing::warn!(blind_ms = now - at, "nobody has been evaluating alert rules for a while");
                begin_anew(Some("system.blind"));
            }
            Some(_) => {}
        }
        true
    }

    /// Returns the rules that are due, each with the observed time since it was last judged.
    async fn due<'a>(
        &self,
        evaluation: &Evaluation<'_>,
        rules: &[&'a Rule],
        clock: &AlertClock,
        now: TimestampMs,
    ) -> Result<Vec<(&'a Rule, i64)>, Error> {
        let groups = evaluation.groups().await?;
        let mut by_period: BTreeMap<i64, Vec<&Rule>> = BTreeMap::new();
        for rule in rules {
            by_period.entry(rule.definition.period_ms(self.options.tick_ms)).or_default().push(rule);
        }
        let mut due = Vec::new();
        for (period_ms, rules) in by_period {
            let key = format!("every {period_ms} ms");
            let group = groups.get(&key);
            // A time far in the future comes from a clock that was set back.
            if group.is_some_and(|group| now < group.due_at && group.due_at <= now + period_ms) {
                continue;
            }
            let was_watched = |group: &&GroupClock| {
                clock.observed_from.is_some_and(|from| from <= group.evaluated_at)
                    && now - group.evaluated_at <= BLIND_TICKS * period_ms
            };
            let delta_ms = group.filter(was_watched).map_or(0, |group| (now - group.evaluated_at).max(0));
            due.extend(rules.into_iter().map(|rule| (rule, delta_ms)));
            // Half a tick early rather than a tick late.
            let due_at = now + period_ms - self.options.tick_ms / 2;
            evaluation.set_group(&key, GroupClock { due_at, evaluated_at: now }).await?;
        }
        Ok(due)
    }

    /// Reads what the rules need. Returns whether everything could be read.
    async fn look(
        &mut self,
        evaluation: &mut Evaluation<'_>,
        due: &[(&Rule, i64)],
        clock: &AlertClock,
        now: TimestampMs,
    ) -> Result<(Sight, bool), Error> {
        let observed_from = clock.observed_from.unwrap_or(now);
        let rules: Vec<&Rule> = due.iter().map(|(rule, _)| *rule).collect();
        let mut sight = Sight {
            now,
            observed_from,
            is_settled: self.options.settle_ms <= now - observed_from,
            intervals: std::mem::take(&mut self.intervals),
            ..Sight::default()
        };
        let is_complete = look(evaluation, &mut sight, &rules, &self.instruments).await?;
        let keys: HashSet<i32> = sight.agents.iter().map(|agent| agent.key).collect();
        sight.intervals.retain(|agent| keys.contains(&agent));
        Ok((sight, is_complete))
    }

    /// Remembers which windows could not be read in time, until they are due again.
    fn remember_slow(&mut self, sight: &mut Sight, enabled: &[&Rule]) {
        let asked = queries(enabled.iter().copied()).into_iter().map(|query| (query.family, query.window_ms));
        let was_slow = &self.slow;
        let slow = asked.filter(|place| match sight.windows.get(place) {
            Some(read) => read.is_none(),
            None => was_slow.contains(place),
        });
        self.slow = slow.collect();
        sight.is_slow = !self.slow.is_empty();
    }

    /// Looks who has left together.
    async fn find_outages(
        &self,
        evaluation: &Evaluation<'_>,
        sight: &mut Sight,
        due: &[(&Rule, i64)],
        clock: &mut AlertClock,
    ) -> Result<(), Error> {
        let rules: Vec<&Rule> =
            due.iter().map(|(rule, _)| *rule).filter(|rule| is_of_outages(rule)).collect();
        if rules.is_empty() {
            return Ok(());
        }
        find_outages(sight, &rules, &evaluation.settings().await?, clock);
        Ok(())
    }

    /// Determines which alerts are withheld, and hands over the others.
    async fn tell(
        &self,
        evaluation: &Evaluation<'_>,
        rules: &[Rule],
        sight: &Sight,
        clock: &AlertClock,
        now: TimestampMs,
    ) -> Result<AlertCounts, Error> {
        let mut alerts = evaluation.open_alerts().await?;
        let states = evaluation.states().await?;
        self.end_orphans(evaluation, &mut alerts, &states, now).await?;
        let silences = evaluation.silences(now).await?;
        let changed_at =
            states.iter().filter_map(|stored| Some((stored.alert_id?, stored.state.changed_at))).collect();
        let surroundings =
            Surroundings::new(now, rules, &sight.agents, &silences, &clock.outages, changed_at, &alerts);
        let candidates: Vec<Candidate<'_>> = alerts
            .iter()
            .map(|alert| {
                let (withheld, inhibited_by) = match surroundings.reason(alert) {
                    Some((withheld, by)) if alert.fires => (Some(withheld), by),
                    _ if !alert.fires && surroundings.is_quiet(alert) => (Some(Withheld::QuietHours), None),
                    _ => (None, None),
                };
                Candidate { alert, withheld, inhibited_by }
            })
            .collect();
        note_withheld(evaluation, &candidates, now).await?;
        let n_messages = hand_over(evaluation, &candidates, &surroundings.rules, now).await?;
        tracing::debug!(messages = n_messages, alerts = alerts.len(), "alert rules were evaluated");
        Ok(counts(&candidates, &states))
    }

    /// Ends alerts without a state: their agents were deleted while they began.
    async fn end_orphans(
        &self,
        evaluation: &Evaluation<'_>,
        alerts: &mut [OpenAlert],
        states: &[StoredState],
        now: TimestampMs,
    ) -> Result<(), Error> {
        let known: HashSet<Uuid> = states.iter().filter_map(|stored| stored.alert_id).collect();
        let mut judged = Judged::default();
        for alert in alerts.iter_mut().filter(|alert| alert.fires && !known.contains(&alert.id)) {
            let reason =
                if alert.agent_key.is_none() { EndReason::AgentDeleted } else { EndReason::OutOfScope };
            judged.end_alert(alert.id, alert.severity, reason, now);
            alert.fires = false;
        }
        evaluation.save_alerts(&[], &judged.updates, &judged.events, now).await
    }
}

/// Drops the outages without a pending or firing state.
fn retain_outages(clock: &mut AlertClock, judged: &Judged, old: &[StoredState], due: &[(&Rule, i64)]) {
    let was_judged: HashSet<Uuid> = due.iter().map(|(rule, _)| rule.id).collect();
    let rewritten: HashSet<&TargetKey> =
        judged.kept.iter().map(|stored| &stored.key).chain(&judged.forgotten).collect();
    let unchanged = old
        .iter()
        .filter(|stored| !rewritten.contains(&stored.key))
        .filter(|stored| stored.state.phase() != Phase::Over);
    let mut running: BTreeSet<String> = judged.running_outages().map(ToOwned::to_owned).collect();
    running.extend(unchanged.map(|stored| stored.key.target.clone()));
    if !was_judged.is_empty() {
        clock.outages.retain(|target, _| running.contains(target));
    }
}

/// Counts alerts, for the server's own metrics.
fn counts(candidates: &[Candidate<'_>], states: &[StoredState]) -> AlertCounts {
    let mut counts = AlertCounts::default();
    for candidate in candidates.iter().filter(|candidate| candidate.alert.fires) {
        counts.firing[candidate.alert.severity.index()] += 1;
        if let Some(withheld) = candidate.withheld {
            *counts.withheld.entry(withheld.as_str()).or_default() += 1;
        }
    }
    let is_pending = |stored: &&StoredState| stored.state.phase().number() == 1;
    counts.pending = states.iter().filter(is_pending).count();
    counts
}
