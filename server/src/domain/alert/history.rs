//! Alerts as they are kept and shown: what fires, what fired, and what happened to it.

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

/// Something that happened to an alert, or to Pika itself.
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

/// What a channel was told of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertTold {
    /// Of which alert.
    pub alert_id: Uuid,
    /// Which channel.
    pub channel_id: Uuid,
    /// What the channel is called.
    pub channel_name: String,
    /// `firing` or `resolved`.
    pub told: &'static str,
    /// When it was handed over.
    pub told_at: TimestampMs,
    /// What has become of the message: `waiting`, `sent`, `failed` …; `None` where nobody was told.
    pub status: Option<String>,
}

/// What is not as it should be, but does not fire: it does not hold for long enough, or cannot be judged.
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

/// Everything in a few numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertSummary {
    /// How many fire, by severity, the least first.
    pub firing: [i64; 3],
    /// How many of those nobody is told of now.
    pub withheld: i64,
    /// How many of those somebody looks after.
    pub acknowledged: i64,
    /// How many hold, but not for long enough.
    pub pending: i64,
    /// When the oldest fired that nobody looks after.
    pub oldest_unacknowledged_at: Option<TimestampMs>,
    /// How many channels there are that are enabled.
    pub channels: i64,
    /// How many of them fail.
    pub failing_channels: i64,
    /// When rules were last evaluated; `None`: never.
    pub evaluated_at: Option<TimestampMs>,
    /// Since when somebody has been watching without a gap.
    pub observed_from: Option<TimestampMs>,
}
