//! Alerts in answers.

use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::alert::history::{Alert, AlertEvent, AlertSummary, AlertTold, PendingAlert};
use crate::domain::alert::severity::Severity;

/// The severity of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename = "AlertSeverity", rename_all = "lowercase")]
pub(super) enum SeverityName {
    /// For information.
    Info,
    /// Needs attention.
    Warning,
    /// Needs immediate attention.
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

/// What a channel was sent about an alert.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AlertTold", rename_all = "camelCase")]
pub(super) struct ToldBody {
    /// The channel's id.
    channel_id: Uuid,
    /// The channel's name.
    channel_name: String,
    /// `firing` or `resolved`.
    told: String,
    /// The status of the message: `waiting`, `sending`, `sent`, `failed`, `expired` or `superseded`; null if none was
    /// sent.
    state: Option<String>,
    /// When the message was handed over, in milliseconds since the Unix epoch.
    at: i64,
}

/// An alert.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Alert", rename_all = "camelCase")]
pub(super) struct AlertBody {
    /// The alert's id.
    pub(super) id: Uuid,
    /// Incremented by every change.
    version: i32,
    /// `firing` or `resolved`.
    state: String,
    /// The severity.
    severity: SeverityName,
    /// The highest severity so far.
    peak_severity: SeverityName,
    /// The rule's id; null if it was deleted.
    rule_id: Option<Uuid>,
    /// The name of the rule.
    rule_name: String,
    /// The rule's version when it fired.
    rule_version: i32,
    /// The agent's id, if it is about one, even if deleted.
    agent_id: Option<Uuid>,
    /// The name of the agent.
    agent_name: Option<String>,
    /// The mount point or interface.
    series: Option<String>,
    /// `fleet` or `tag:…`, if it is not about an agent.
    target: Option<String>,
    /// Since when it holds, in milliseconds since the Unix epoch.
    started_at: i64,
    /// When it fired, in milliseconds since the Unix epoch.
    fired_at: i64,
    /// When it ended, in milliseconds since the Unix epoch; null while it fires.
    ended_at: Option<i64>,
    /// Why it ended: `recovered`, `no_data`, `rule_changed`, `rule_disabled`, `rule_deleted`, `agent_deleted` or `out_of_scope`;
    /// others may follow.
    end_reason: Option<String>,
    /// The last value; null for conditions without one.
    value: Option<f64>,
    /// The value furthest beyond the threshold.
    peak_value: Option<f64>,
    /// The time of that value, in milliseconds since the Unix epoch.
    peak_at: Option<i64>,
    /// The condition holds beyond this.
    threshold: Option<f64>,
    /// The condition ends on the other side of this.
    recovery_threshold: Option<f64>,
    /// The unit of the values; empty if there are none.
    unit: String,
    /// Further details: for outages, who has left.
    details: Any<Value>,
    /// `fresh`, or why it cannot be judged now.
    data_state: String,
    /// How often it has fired.
    occurrences: i32,
    /// Whether it is flapping.
    flapping: bool,
    /// Why it is withheld: `inhibited`, `silenced`, `maintenance`, `quiet_hours`, `snoozed`, `cooldown` or `settling`;
    /// others may follow. Null if it is not.
    withheld_by: Option<String>,
    /// The alert that inhibits it.
    inhibited_by: Option<Uuid>,
    /// When it was acknowledged, in milliseconds since the Unix epoch.
    acknowledged_at: Option<i64>,
    /// Who acknowledged it.
    acknowledged_by: Option<String>,
    /// The note.
    note: Option<String>,
    /// The end of the snooze, in milliseconds since the Unix epoch.
    snoozed_until: Option<i64>,
    /// What channels were sent about it.
    told: Vec<ToldBody>,
}

/// An event of an alert.
#[derive(Debug, Object)]
#[oai(rename = "AlertEvent", rename_all = "camelCase")]
pub(super) struct EventBody {
    /// The event's id.
    id: i64,
    /// When it happened, in milliseconds since the Unix epoch.
    at: i64,
    /// What happened: `fired`, `escalated`, `deescalated`, `reopened`, `resolved`, `acknowledged`, `unacknowledged`,
    /// `snoozed`, `noted`, `told` or `flapping`; others may follow.
    kind: String,
    /// The value at the time.
    value: Option<f64>,
    /// The username, if a user caused it.
    actor: Option<String>,
    /// Further details.
    details: Any<Value>,
}

/// A target whose condition does not fire yet, or cannot be judged.
#[derive(Debug, Object)]
#[oai(rename = "PendingAlert", rename_all = "camelCase")]
pub(super) struct PendingBody {
    /// The rule's id.
    rule_id: Uuid,
    /// The rule's name.
    rule_name: String,
    /// The agent's id, if it is about one.
    agent_id: Option<Uuid>,
    /// The agent's name.
    agent_name: Option<String>,
    /// The mount point or interface.
    series: Option<String>,
    /// `fleet` or `tag:…`, if it is not about an agent.
    target: Option<String>,
    /// Whether it fires, but cannot be judged now.
    is_firing: bool,
    /// The last value.
    value: Option<f64>,
    /// Why it cannot be judged; null if it can.
    reason: Option<String>,
    /// For how long it has held, in milliseconds of observed time.
    held_ms: i64,
    /// For how long it has to hold, in milliseconds.
    for_ms: i64,
    /// For how long it could not be judged, in milliseconds.
    unknown_ms: i64,
    /// Since when it holds, in milliseconds since the Unix epoch.
    started_at: i64,
}

/// Number of firing alerts by severity.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertCounts {
    /// Number of alerts with severity `info`.
    info: i64,
    /// Number of alerts with severity `warning`.
    warning: i64,
    /// Number of alerts with severity `critical`.
    critical: i64,
}

/// A summary of all alerts.
#[derive(Debug, Object)]
#[oai(rename = "AlertSummary", rename_all = "camelCase")]
pub(super) struct SummaryBody {
    /// Firing alerts by severity.
    firing: AlertCounts,
    /// Number of firing alerts that are withheld.
    withheld: i64,
    /// Number of firing alerts that are acknowledged.
    acknowledged: i64,
    /// Number of targets that hold, but not for long enough.
    pending: i64,
    /// When the oldest unacknowledged alert fired, in milliseconds since the Unix epoch.
    oldest_unacknowledged_at: Option<i64>,
    /// Number of enabled channels; with 0, nobody is notified.
    channels: i64,
    /// Number of failing channels.
    failing_channels: i64,
    /// When rules were last evaluated, in milliseconds since the Unix epoch; null means never.
    evaluated_at: Option<i64>,
    /// Since when rules have been evaluated without a gap, in milliseconds since the Unix epoch.
    observed_from: Option<i64>,
}

/// Returns a severity's name; the columns contain no other numbers.
fn severity_name(number: i16) -> SeverityName {
    Severity::of_number(number).unwrap_or(Severity::Critical).into()
}

fn some(target: String) -> Option<String> {
    Some(target).filter(|target| !target.is_empty())
}

impl AlertBody {
    /// Returns an alert with what channels were sent about it; `told` may include other alerts.
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
