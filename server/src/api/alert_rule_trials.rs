//! Trying alert rules: against what is stored now, and over the past.

use std::collections::BTreeSet;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use uuid::Uuid;

use super::alert_body::SeverityName;
use super::alert_rule_body::AlertRuleRequest;
use super::body::Body;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::alerting::backtest::{Backtest, BacktestRequest, SPAN_MS_MAX, backtest};
use crate::alerting::dry_run::{DryRun, DryRunItem, dry_run};
use crate::alerting::replay::ReplayedAlert;
use crate::domain::alert::rule::Rule;
use crate::domain::alert::verdict::Outcome;
use crate::domain::permission::Permission;
use crate::domain::tier::Tier;
use crate::store::RuleText;

/// Maximum agents that a back-test can be restricted to.
const AGENT_IDS_MAX: usize = 1_000;

/// Trying alert rules.
#[derive(Debug)]
pub struct AlertRuleTrialsApi;

/// The result of a dry run.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub(super) struct AlertRuleTest {
    /// The time up to which samples were read, in milliseconds since the Unix epoch.
    at: i64,
    /// The targets, the worst first (at most 1,000).
    items: Vec<AlertRuleTestItem>,
    /// Number of targets.
    total: i64,
    /// Number of targets for which the rule holds.
    holds: i64,
    /// Number of targets that cannot be judged.
    unknown: i64,
    /// The channels that would be notified; may be empty.
    channel_ids: Vec<Uuid>,
}

/// The result for one target.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertRuleTestItem {
    /// The agent's id, if it is about one.
    agent_id: Option<Uuid>,
    /// The agent's name.
    agent_name: Option<String>,
    /// The mount point or interface.
    series: Option<String>,
    /// `fleet` or `tag:…`, if it is not about an agent.
    target: Option<String>,
    /// `holds`, `between` (neither bad nor ended), `clear` or `unknown`.
    outcome: String,
    /// The highest severity that holds.
    severity: Option<SeverityName>,
    /// The value of the first condition.
    value: Option<f64>,
    /// How much of the window samples cover, in percent.
    coverage_percent: Option<i64>,
    /// Why it cannot be judged: `no_data`, `low_coverage`, `stale`, `offline`, `settling`, `ingest_stalled` or
    /// `evaluation_failed`; others may follow.
    reason: Option<String>,
    /// Why nobody would be notified.
    withheld_by: Option<String>,
}

/// A back-test of a rule.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct AlertRuleBacktestRequest {
    /// The rule.
    rule: AlertRuleRequest,
    /// The start of the span, in milliseconds since the Unix epoch.
    start: i64,
    /// The end of the span, exclusive, in milliseconds since the Unix epoch: at most 400 days after the start.
    end: i64,
    /// Only these agents of the rule's scope (at most 1,000); by default all.
    #[serde(default)]
    #[oai(default)]
    agent_ids: BTreeSet<Uuid>,
}

/// What a rule would have fired.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertRuleBacktest {
    /// The start of the span that was evaluated, in milliseconds since the Unix epoch.
    start: i64,
    /// The end of the span that was evaluated, exclusive, in milliseconds since the Unix epoch.
    end: i64,
    /// The time between two evaluations, in milliseconds.
    step_ms: i64,
    /// The coarsest tier that was read: `raw`, `1m` or `1h`; null if no samples are needed.
    tier: Option<String>,
    /// Number of agents in scope.
    agents: i64,
    /// Number of agents that were evaluated; with fewer than `agents`, the time limit was reached.
    agents_done: i64,
    /// The alerts that would have fired, the newest first (at most 1,000).
    items: Vec<AlertRuleBacktestItem>,
    /// Number of alerts that would have fired.
    total: i64,
    /// For how long they would have fired, all together, in milliseconds.
    firing_ms: i64,
    /// How many alerts there would have been if the rule had to hold for longer.
    with_longer: Vec<AlertRuleBacktestVariant>,
    /// Why it may have been otherwise: `notReplayable` (a condition examines what is not stored for the past: nothing was
    /// evaluated), `minuteBuckets`, `hourBuckets` (samples were read as buckets; windows are widened to whole ones),
    /// `notKept` (the span begins before what is still stored), `presenceUnknown` (it is not known for the whole span
    /// whether agents were online), `outOfTime` (not all agents were evaluated); others may follow.
    limits: Vec<String>,
}

/// An alert that would have fired.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertRuleBacktestItem {
    /// The agent's id.
    agent_id: Uuid,
    /// The agent's name.
    agent_name: String,
    /// The mount point or interface.
    series: Option<String>,
    /// The highest severity.
    severity: SeverityName,
    /// Since when it held, in milliseconds since the Unix epoch.
    started_at: i64,
    /// When it fired, in milliseconds since the Unix epoch.
    fired_at: i64,
    /// When it ended, in milliseconds since the Unix epoch; null if it fired at the end of the span.
    ended_at: Option<i64>,
    /// The value of the first condition when it fired.
    value: Option<f64>,
}

/// The number of alerts with another time to hold.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertRuleBacktestVariant {
    /// For how long the rule would have to hold, in milliseconds.
    for_ms: i64,
    /// Number of alerts that would have fired.
    total: i64,
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl From<DryRunItem> for AlertRuleTestItem {
    fn from(item: DryRunItem) -> Self {
        let (agent_id, agent_name) = item.agent.unzip();
        let outcome = match item.outcome {
            Outcome::Holds => "holds",
            Outcome::Between => "between",
            Outcome::Clear => "clear",
            Outcome::Unknown => "unknown",
        };
        Self {
            agent_id,
            agent_name,
            series: item.series,
            target: Some(item.target).filter(|target| !target.is_empty()),
            outcome: outcome.to_owned(),
            severity: item.severity.map(SeverityName::from),
            value: item.value,
            coverage_percent: item.coverage_percent,
            reason: item.reason.map(ToOwned::to_owned),
            withheld_by: item.withheld_by.map(ToOwned::to_owned),
        }
    }
}

impl From<DryRun> for AlertRuleTest {
    fn from(run: DryRun) -> Self {
        Self {
            at: run.at,
            items: run.items.into_iter().map(AlertRuleTestItem::from).collect(),
            total: number(run.total),
            holds: number(run.holds),
            unknown: number(run.unknown),
            channel_ids: run.channel_ids,
        }
    }
}

impl From<ReplayedAlert> for AlertRuleBacktestItem {
    fn from(alert: ReplayedAlert) -> Self {
        let ReplayedAlert { agent_id, agent_name, series, severity, started_at, fired_at, ended_at, value } =
            alert;
        let severity = severity.into();
        Self { agent_id, agent_name, series, severity, started_at, fired_at, ended_at, value }
    }
}

impl From<Backtest> for AlertRuleBacktest {
    fn from(result: Backtest) -> Self {
        let variant = |(for_ms, total)| AlertRuleBacktestVariant { for_ms, total: number(total) };
        Self {
            start: result.start,
            end: result.end,
            step_ms: result.step_ms,
            tier: result.tier.map(|tier: Tier| tier.name().to_owned()),
            agents: number(result.agents),
            agents_done: number(result.agents_done),
            items: result.alerts.into_iter().map(AlertRuleBacktestItem::from).collect(),
            total: number(result.total),
            firing_ms: result.firing_ms,
            with_longer: result.with_longer.into_iter().map(variant).collect(),
            limits: result.limits.into_iter().map(|limit| limit.as_str().to_owned()).collect(),
        }
    }
}

/// Returns a rule that is tried without being saved.
fn unsaved(text: RuleText) -> Rule {
    let RuleText { name, enabled, definition, channel_ids, summary, runbook, runbook_url } = text;
    Rule { enabled, channel_ids, summary, runbook, runbook_url, ..Rule::unsaved(name, definition) }
}

#[OpenApi(prefix_path = "/api/alert-rules", tag = "Tag::Alerting")]
impl AlertRuleTrialsApi {
    /// Test an alert rule
    ///
    /// Evaluates the rule against what is stored now, without saving anything.
    #[oai(path = "/test", method = "post", operation_id = "testAlertRule")]
    async fn test(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<AlertRuleRequest>,
    ) -> Result<Json<AlertRuleTest>, ApiError> {
        let caller = auth.require(Permission::Read)?;
        let rule = unsaved(body.0.check()?);
        let now = context.clock.now();
        let reading = Box::pin(dry_run(&context.store, &context.instruments, context.alerting, &rule, now));
        Ok(Json(context.charts.read(caller.user.id, reading).await?.into()))
    }

    /// Back-test an alert rule
    ///
    /// Evaluates the rule over what is stored of the past, without saving anything: which alerts it would have fired. Agents
    /// count with their present names and tags, and samples that came late as if they had been on time. Silences and
    /// dependencies are not considered, so there may have been fewer messages. Takes up to a minute; one at a time per
    /// user, and two in all (429).
    #[oai(path = "/backtest", method = "post", operation_id = "backtestAlertRule")]
    async fn backtest(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<AlertRuleBacktestRequest>,
    ) -> Result<Json<AlertRuleBacktest>, ApiError> {
        let caller = auth.require(Permission::Read)?;
        let AlertRuleBacktestRequest { rule, start, end, agent_ids } = body.0;
        let rule = unsaved(rule.check()?);
        if start < 0 || end <= start || SPAN_MS_MAX < end - start {
            let message = format!("must be 1–{SPAN_MS_MAX} ms after start, which must not be negative");
            return Err(ApiError::unprocessable("end", &message));
        }
        if AGENT_IDS_MAX < agent_ids.len() {
            return Err(ApiError::unprocessable("agentIds", &format!("must be at most {AGENT_IDS_MAX}")));
        }
        let _running = context.backtests.begin(caller.user.id)?;
        let request = BacktestRequest { rule, start, end, agent_ids };
        let result = Box::pin(backtest(&context.store, context.alerting, request, context.clock.now()));
        Ok(Json(result.await?.into()))
    }
}
