//! Alerts as stored and shown: firing and ended ones, and their events.

use serde_json::Value;
use uuid::Uuid;

use crate::domain::TimestampMs;

/// An alert.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "described by the columns of alerts")]
pub struct Alert {
    pub id: Uuid,
    pub version: i32,
    pub state: String,
    pub severity: i16,
    pub peak_severity: i16,
    pub rule_id: Option<Uuid>,
    pub rule_name: String,
    pub rule_version: i32,
    pub agent_id: Option<Uuid>,
    pub agent_name: Option<String>,
    pub series_name: Option<String>,
    pub target: String,
    pub started_at: TimestampMs,
    pub fired_at: TimestampMs,
    pub ended_at: Option<TimestampMs>,
    pub end_reason: Option<String>,
    pub value: Option<f64>,
    pub peak_value: Option<f64>,
    pub peak_at: Option<TimestampMs>,
    pub threshold: Option<f64>,
    pub recovery_threshold: Option<f64>,
    pub unit: String,
    pub details: Value,
    pub data_state: String,
    pub occurrences: i32,
    pub flapping: bool,
    pub withheld_by: Option<String>,
    pub inhibited_by: Option<Uuid>,
    pub acknowledged_at: Option<TimestampMs>,
    pub acknowledged_by: Option<String>,
    pub note: Option<String>,
    pub snoozed_until: Option<TimestampMs>,
    pub changed_at: TimestampMs,
}

/// An event of an alert, or of Pika itself.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "described by the columns of alert_events")]
pub struct AlertEvent {
    pub id: i64,
    pub alert_id: Option<Uuid>,
    pub at: TimestampMs,
    pub kind: String,
    pub value: Option<f64>,
    pub actor: Option<String>,
    pub details: Value,
}

/// What a channel was sent about an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertTold {
    /// The alert's id.
    pub alert_id: Uuid,
    /// The channel's id.
    pub channel_id: Uuid,
    /// The channel's name.
    pub channel_name: String,
    /// `firing` or `resolved`.
    pub told: &'static str,
    /// When the message was handed over.
    pub told_at: TimestampMs,
    /// The status of the message: `waiting`, `sent`, `failed` …; `None` if nothing was sent.
    pub status: Option<String>,
}

/// A target whose condition does not fire yet, or cannot be judged.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "described by the columns of alert_states")]
pub struct PendingAlert {
    pub rule_id: Uuid,
    pub rule_name: String,
    pub agent_id: Option<Uuid>,
    pub agent_name: Option<String>,
    pub series_name: Option<String>,
    pub target: String,
    pub state: i16,
    pub value: Option<f64>,
    pub reason: Option<String>,
    pub held_ms: i64,
    pub for_ms: i64,
    pub unknown_ms: i64,
    pub started_at: TimestampMs,
}

/// A summary of all alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertSummary {
    /// Number of firing alerts by severity, the lowest first.
    pub firing: [i64; 3],
    /// Number of those withheld.
    pub withheld: i64,
    /// Number of those acknowledged.
    pub acknowledged: i64,
    /// Number of targets that hold, but not for long enough.
    pub pending: i64,
    /// When the oldest unacknowledged alert fired.
    pub oldest_unacknowledged_at: Option<TimestampMs>,
    /// Number of enabled channels.
    pub channels: i64,
    /// Number of those failing.
    pub failing_channels: i64,
    /// When rules were last evaluated; `None` means never.
    pub evaluated_at: Option<TimestampMs>,
    /// Since when rules have been evaluated without a gap.
    pub observed_from: Option<TimestampMs>,
}
