//! Evaluates a rule without any consequences.

use std::collections::HashMap;

use uuid::Uuid;

use super::evaluator::{EvaluatorOptions, LAG_MS};
use super::intervals::Intervals;
use super::judge::{Sight, Target};
use super::look::{find_outages, is_of_outages, look};
use super::withhold::Surroundings;
use crate::domain::TimestampMs;
use crate::domain::alert::rule::Rule;
use crate::domain::alert::severity::Severity;
use crate::domain::alert::verdict::{Outcome, Verdict};
use crate::store::{Error, OpenAlert, Store, TellableChannel};
use crate::telemetry::Instruments;

/// Maximum targets returned, the worst first.
pub const ITEMS_MAX: usize = 1_000;

/// The result of a dry run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DryRun {
    /// The time up to which samples were read.
    pub at: TimestampMs,
    /// The targets, the worst first.
    pub items: Vec<DryRunItem>,
    /// Number of targets.
    pub total: usize,
    /// Number of targets for which it holds.
    pub holds: usize,
    /// Number of targets that cannot be judged.
    pub unknown: usize,
    /// The channels that would be notified.
    pub channel_ids: Vec<Uuid>,
}

/// The result for one target.
#[derive(Clone, Debug, PartialEq)]
pub struct DryRunItem {
    /// The agent, if it is about one.
    pub agent: Option<(Uuid, String)>,
    /// The mount point or interface.
    pub series: Option<String>,
    /// The fleet or a tag, if it is not about an agent.
    pub target: String,
    /// The outcome.
    pub outcome: Outcome,
    /// The highest severity that holds.
    pub severity: Option<Severity>,
    /// The value.
    pub value: Option<f64>,
    /// How much of the window samples cover, in percent.
    pub coverage_percent: Option<i64>,
    /// Why it cannot be judged, if it cannot.
    pub reason: Option<&'static str>,
    /// Why no channel would be notified, if none would.
    pub withheld_by: Option<&'static str>,
}

/// Evaluates a rule against what is stored now.
///
/// # Errors
/// If the database is unavailable, or takes too long.
pub async fn dry_run(
    store: &Store,
    instruments: &Instruments,
    options: EvaluatorOptions,
    rule: &Rule,
    now: TimestampMs,
) -> Result<DryRun, Error> {
    let mut connection = store.alert_connection().await?;
    let mut evaluation = connection.look().await?;
    let now = now - LAG_MS;
    let mut clock = evaluation.clock().await?;
    let observed_from = clock.observed_from.unwrap_or(now);
    let mut sight = Sight {
        now,
        observed_from,
        is_settled: options.settle_ms <= now - observed_from,
        intervals: Intervals::default(),
        ..Sight::default()
    };
    look(&mut evaluation, &mut sight, &[rule], instruments).await?;
    if is_of_outages(rule) {
        find_outages(&mut sight, &[rule], &evaluation.settings().await?, &mut clock);
    }
    let mut rules = evaluation.rules().await?;
    rules.push(rule.clone());
    let alerts = evaluation.open_alerts().await?;
    let silences = evaluation.silences(now).await?;
    let surroundings =
        Surroundings::new(now, &rules, &sight.agents, &silences, &clock.outages, HashMap::new(), &alerts);
    let channel_ids = told(rule, &evaluation.channels().await?);
    let mut run = DryRun { at: now, channel_ids, ..DryRun::default() };
    for target in sight.targets(rule, |_, _| false) {
        let item = item(rule, &sight, &surroundings, &target);
        run.total += 1;
        run.holds += usize::from(item.outcome == Outcome::Holds);
        run.unknown += usize::from(item.outcome == Outcome::Unknown);
        run.items.push(item);
    }
    let rank = |item: &DryRunItem| match item.outcome {
        Outcome::Holds => 0,
        Outcome::Unknown => 1,
        Outcome::Between => 2,
        Outcome::Clear => 3,
    };
    run.items.sort_by_key(|item| (rank(item), std::cmp::Reverse(item.severity)));
    run.items.truncate(ITEMS_MAX);
    Ok(run)
}

/// The channels that are told of a rule's alerts.
fn told(rule: &Rule, channels: &[TellableChannel]) -> Vec<Uuid> {
    let enabled = channels.iter().filter(|channel| channel.enabled);
    enabled.filter(|channel| channel.is_told_of(rule)).map(|channel| channel.id).collect()
}

/// Evaluates a rule for a target, and why no channel would be notified.
fn item(rule: &Rule, sight: &Sight, surroundings: &Surroundings<'_>, target: &Target<'_>) -> DryRunItem {
    let verdict = sight.verdict(rule, target);
    let outcome = outcome(&verdict);
    let would_be = OpenAlert {
        id: Uuid::nil(),
        rule_id: Some(rule.id),
        agent_key: target.agent_key(),
        target: target.name.clone(),
        severity: verdict.severity().unwrap_or(Severity::Info),
        fires: true,
        flapping: false,
        is_acknowledged: false,
        snoozed_until: None,
        withheld_by: None,
        inhibited_by: None,
        data_state: "fresh".to_owned(),
        value: verdict.value,
        occurrences: 1,
    };
    let withheld = surroundings.reason(&would_be).filter(|_| outcome == Outcome::Holds);
    DryRunItem {
        agent: target.agent.map(|agent| (agent.id, agent.name.clone())),
        series: target.series_name().map(str::to_owned),
        target: target.name.clone(),
        outcome,
        severity: verdict.severity(),
        value: verdict.value,
        coverage_percent: sight.coverage_percent(&rule.definition, target),
        reason: verdict.reason.map(|reason| reason.as_str()),
        withheld_by: withheld.map(|(withheld, _)| withheld.as_str()),
    }
}

/// Combines the outcomes of all severities.
fn outcome(verdict: &Verdict) -> Outcome {
    let has = |outcome| verdict.levels.contains(&Some(outcome));
    if has(Outcome::Holds) {
        Outcome::Holds
    } else if has(Outcome::Unknown) {
        Outcome::Unknown
    } else if has(Outcome::Between) {
        Outcome::Between
    } else {
        Outcome::Clear
    }
}
