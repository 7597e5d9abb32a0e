//! Alerts as they are answered.

use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::alert::history::{Alert, AlertEvent, AlertSummary, AlertTold, PendingAlert};
use crate::domain::alert::severity::Severity;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename = "AlertSeverity", rename_all = "lowercase")]
pub(super) enum SeverityName {
    /// Worth knowing.
    Info,
    /// To be looked at.
    Warning,
    /// To be looked at now.
    Critical,
}

impl From<Severity> for SeverityName {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => SeverityName::Info,
            Severity::Warning => SeverityName::Warning,
            Severity::Critical => SeverityName::Critical,
        }
    }
}

impl From<SeverityName> for Severity {
    fn from(name: SeverityName) -> Self {
        match name {
            SeverityName::Info => Severity::Info,
            SeverityName::Warning => Severity::Warning,
            SeverityName::Critical => Severity::Critical,
        }
    }
}

/// What a channel was told of an alert.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AlertTold", rename_all = "camelCase")]
pub(super) struct ToldBody {
    /// The channel.
    channel_id: Uuid,
    /// What the channel is called.
    channel_name: String,
    /// `firing` or `resolved`.
    told: String,
    /// What has become of the message: `waiting`, `sending`, `sent`, `failed`, `expired` or `superseded`; null: nobody was told.
    state: Option<String>,
    /// When it was handed over, in milliseconds since the Unix epoch.
    at: i64,
}

/// An alert.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Alert", rename_all = "camelCase")]
pub(super) struct AlertBody {
    /// The alert's id.
    pub(super) id: Uuid,
    /// Counts changes.
    version: i32,
    /// `firing` or `resolved`.
    state: String,
    /// How bad it is.
    severity: SeverityName,
    /// How bad it has been.
    peak_severity: SeverityName,
    /// The rule; null: it was deleted.
    rule_id: Option<Uuid>,
    /// What the rule was called.
    rule_name: String,
    /// The rule's version when it fired.
    rule_version: i32,
    /// The agent, where it is about one, also if that was deleted.
    agent_id: Option<Uuid>,
    /// What the agent was called.
    agent_name: Option<String>,
    /// The mount point or interface.
    series: Option<String>,
    /// `fleet` or `tag:…`, where it is about no agent.
    target: Option<String>,
    /// Since when it holds, in milliseconds since the Unix epoch.
    started_at: i64,
    /// When it fired, in milliseconds since the Unix epoch.
    fired_at: i64,
    /// When it ended, in milliseconds since the Unix epoch; null: it fires.
    ended_at: Option<i64>,
    /// Why it ended: `recovered`, `no_data`, `rule_changed`, `rule_disabled`, `rule_deleted`, `agent_deleted` or `out_of_scope`;
    /// others may follow.
    end_reason: Option<String>,
    /// The last value; null for conditions without one.
    value: Option<f64>,
    /// The value furthest beyond the threshold.
    peak_value: Option<f64>,
    /// When that was, in milliseconds since the Unix epoch.
    peak_at: Option<i64>,
    /// Beyond this it holds.
    threshold: Option<f64>,
    /// On the other side of this it is over.
    recovery_threshold: Option<f64>,
    /// The unit of the values; empty where there are none.
    unit: String,
    /// What else is known: who has left, for outages.
    details: Any<Value>,
    /// `fresh`, or why it cannot be judged now.
    data_state: String,
    /// How often it has fired.
    occurrences: i32,
    /// It comes and goes.
    flapping: bool,
    /// Why nobody is told of it now: `inhibited`, `silenced`, `maintenance`, `quiet_hours`, `snoozed`, `cooldown` or `settling`;
    /// others may follow. Null: channels are told.
    withheld_by: Option<String>,
    /// The alert that stands before it.
    inhibited_by: Option<Uuid>,
    /// Since when somebody looks after it, in milliseconds since the Unix epoch.
    acknowledged_at: Option<i64>,
    /// Who does.
    acknowledged_by: Option<String>,
    /// What was said about it.
    note: Option<String>,
    /// Until when nobody wants to hear of it, in milliseconds since the Unix epoch.
    snoozed_until: Option<i64>,
    /// What channels were told of it.
    told: Vec<ToldBody>,
}

/// Something that happened to an alert.
#[derive(Debug, Object)]
#[oai(rename = "AlertEvent", rename_all = "camelCase")]
pub(super) struct EventBody {
    /// The event's id.
    id: i64,
    /// When, in milliseconds since the Unix epoch.
    at: i64,
    /// What: `fired`, `escalated`, `deescalated`, `reopened`, `resolved`, `acknowledged`, `unacknowledged`, `snoozed`, `noted`,
    /// `told` or `flapping`; others may follow.
    kind: String,
    /// The value at the time.
    value: Option<f64>,
    /// Who, where it was somebody.
    actor: Option<String>,
    /// What else is known.
    details: Any<Value>,
}

/// What is not as it should be, but does not fire.
#[derive(Debug, Object)]
#[oai(rename = "PendingAlert", rename_all = "camelCase")]
pub(super) struct PendingBody {
    /// The rule.
    rule_id: Uuid,
    /// What it is called.
    rule_name: String,
    /// The agent, where it is about one.
    agent_id: Option<Uuid>,
    /// What the agent is called.
    agent_name: Option<String>,
    /// The mount point or interface.
    series: Option<String>,
    /// `fleet` or `tag:…`, where it is about no agent.
    target: Option<String>,
    /// Whether it fires, and cannot be judged now.
    is_firing: bool,
    /// The last value.
    value: Option<f64>,
    /// Why it cannot be judged; null where it can.
    reason: Option<String>,
    /// For how long it has held, in milliseconds that were observed.
    held_ms: i64,
    /// For how long it has to hold.
    for_ms: i64,
    /// For how long it could not be judged, in milliseconds.
    unknown_ms: i64,
    /// Since when it holds, in milliseconds since the Unix epoch.
    started_at: i64,
}

/// How many alerts fire, by severity.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertCounts {
    /// Worth knowing.
    info: i64,
    /// To be looked at.
    warning: i64,
    /// To be looked at now.
    critical: i64,
}

/// Everything in a few numbers.
#[derive(Debug, Object)]
#[oai(rename = "AlertSummary", rename_all = "camelCase")]
pub(super) struct SummaryBody {
    /// Alerts that fire.
    firing: AlertCounts,
    /// How many of those nobody is told of now.
    withheld: i64,
    /// How many of those somebody looks after.
    acknowledged: i64,
    /// How many targets hold, but not for long enough.
    pending: i64,
    /// When the oldest fired that nobody looks after, in milliseconds since the Unix epoch.
    oldest_unacknowledged_at: Option<i64>,
    /// Enabled channels; 0: nobody is told of anything.
    channels: i64,
    /// How many of those fail.
    failing_channels: i64,
    /// When rules were last evaluated, in milliseconds since the Unix epoch; null: never.
    evaluated_at: Option<i64>,
    /// Since when they have been without a gap.
    observed_from: Option<i64>,
}

/// A severity's name; the columns have no other numbers.
fn severity_name(number: i16) -> SeverityName {
    Severity::of_number(number).unwrap_or(Severity::Critical).into()
}

fn some(target: String) -> Option<String> {
    Some(target).filter(|target| !target.is_empty())
}

impl AlertBody {
    /// An alert with what channels were told of it; `told` may be of others, too.
    pub(super) fn new(alert: Alert, told: &[AlertTold]) -> Self {
        let told = told.iter().filter(|told| told.alert_id == alert.id).map(|told| ToldBody {
            channel_id: told.channel_id,
            channel_name: told.channel_name.clone(),
            told: told.told.to_owned(),
            state: told.status.clone(),
            at: told.told_at,
        });
        Self {
            told: told.collect(),
            id: alert.id,
            version: alert.version,
            state: alert.state,
            severity: severity_name(alert.severity),
            peak_severity: severity_name(alert.peak_severity),
            rule_id: alert.rule_id,
            rule_name: alert.rule_name,
            rule_version: alert.rule_version,
            agent_id: alert.agent_id,
            agent_name: alert.agent_name,
            series: alert.series_name,
            target: some(alert.target),
            started_at: alert.started_at,
            fired_at: alert.fired_at,
            ended_at: alert.ended_at,
            end_reason: alert.end_reason,
            value: alert.value,
            peak_value: alert.peak_value,
            peak_at: alert.peak_at,
            threshold: alert.threshold,
            recovery_threshold: alert.recovery_threshold,
            unit: alert.unit,
            details: Any(alert.details),
            data_state: alert.data_state,
            occurrences: alert.occurrences,
            flapping: alert.flapping,
            withheld_by: alert.withheld_by,
            inhibited_by: alert.inhibited_by,
            acknowledged_at: alert.acknowledged_at,
            acknowledged_by: alert.acknowledged_by,
            note: alert.note,
            snoozed_until: alert.snoozed_until,
        }
    }
}

impl From<AlertEvent> for EventBody {
    fn from(event: AlertEvent) -> Self {
        let AlertEvent { id, at, kind, value, actor, details, .. } = event;
        Self { id, at, kind, value, actor, details: Any(details) }
    }
}

impl From<PendingAlert> for PendingBody {
    fn from(pending: PendingAlert) -> Self {
        Self {
            rule_id: pending.rule_id,
            rule_name: pending.rule_name,
            agent_id: pending.agent_id,
            agent_name: pending.agent_name,
            series: pending.series_name,
            target: some(pending.target),
            is_firing: 1 < pending.state,
            value: pending.value,
            reason: pending.reason,
            held_ms: pending.held_ms,
            for_ms: pending.for_ms,
            unknown_ms: pending.unknown_ms,
            started_at: pending.started_at,
        }
    }
}

impl From<AlertSummary> for SummaryBody {
    fn from(summary: AlertSummary) -> Self {
        let [info, warning, critical] = summary.firing;
        Self {
            firing: AlertCounts { info, warning, critical },
            withheld: summary.withheld,
            acknowledged: summary.acknowledged,
            pending: summary.pending,
            oldest_unacknowledged_at: summary.oldest_unacknowledged_at,
            channels: summary.channels,
            failing_channels: summary.failing_channels,
            evaluated_at: summary.evaluated_at,
            observed_from: summary.observed_from,
        }
    }
}
