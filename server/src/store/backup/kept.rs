//! The tables that a backup contains, what of them, and those that it does not contain.

use serde_json::value::RawValue;

use crate::secrets::{HEARTBEATS_OWNER, channel_owner, totp_owner};

/// The part of a backup that a table belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// In every backup.
    Settings,
    /// The audit log, on request.
    Audit,
    /// What happened since some time, on request with the metrics.
    History,
}

/// A table in a backup.
#[derive(Debug)]
pub struct KeptTable {
    /// The table's name.
    pub name: &'static str,
    /// When it is included.
    pub part: Part,
    /// Columns that get their defaults instead, since they describe a moment.
    pub(super) without: &'static [&'static str],
    /// The condition on rows of `t`, with `{since}` for the time since which history is included.
    pub(super) condition: &'static str,
    /// The column with a secret that has to be read again.
    pub secret: Option<&'static str>,
}

impl KeptTable {
    const fn settings(name: &'static str) -> Self {
        Self { name, part: Part::Settings, without: &[], condition: "true", secret: None }
    }

    const fn history(name: &'static str, condition: &'static str) -> Self {
        Self { name, part: Part::History, without: &[], condition, secret: None }
    }

    /// Returns the table of this name.
    pub fn find(name: &str) -> Option<&'static KeptTable> {
        KEPT.iter().find(|table| table.name == name)
    }

    /// Returns what the secret of a row is bound to when it is sealed; `None` if the row is not as it should be.
    pub fn owner(&self, row: &RawValue) -> Option<String> {
        let row: serde_json::Value = serde_json::from_str(row.get()).ok()?;
        match self.name {
            "totp" => Some(totp_owner(row.get("user_id")?.as_str()?)),
            "alert_channels" => Some(channel_owner(row.get("id")?.as_str()?)),
            _ => Some(HEARTBEATS_OWNER.to_owned()),
        }
    }
}

/// All tables that are kept, in the order of a backup. Foreign keys do not restrict it.
pub const KEPT: &[KeptTable] = &[
    KeptTable::settings("users"),
    KeptTable::settings("api_tokens"),
    KeptTable { secret: Some("secret"), ..KeptTable::settings("totp") },
    KeptTable::settings("recovery_codes"),
    KeptTable::settings("user_preferences"),
    KeptTable::settings("enrollments"),
    // Nobody is connected to a restored database.
    KeptTable { without: &["status", "connection_id"], ..KeptTable::settings("agents") },
    KeptTable::settings("disks"),
    KeptTable::settings("network_interfaces"),
    KeptTable::settings("series"),
    KeptTable::settings("retention_settings"),
    KeptTable { secret: Some("secrets"), ..KeptTable::settings("alert_settings") },
    KeptTable::settings("alert_rules"),
    KeptTable {
        without: &[
            "difference_since",
            "handed_at",
            "state",
            "failing_since",
            "last_error",
            "next_at",
            "leased_until",
            "leased_by",
        ],
        secret: Some("secrets"),
        ..KeptTable::settings("alert_channels")
    },
    KeptTable::settings("alert_rule_channels"),
    KeptTable::settings("alert_silences"),
    KeptTable { part: Part::Audit, ..KeptTable::settings("audit_log") },
    KeptTable::history("agent_presence", "{since} <= at"),
    KeptTable::history("sample_gaps", "{since} <= end_ts"),
    // Open ones are found again by the evaluator.
    KeptTable::history("alerts", "{since} <= ended_at"),
    KeptTable::history(
        "alert_events",
        "alert_id IN (SELECT alerts.id FROM alerts WHERE {since} <= ended_at)",
    ),
    KeptTable { without: &["id"], ..KeptTable::history("rollup_changes", "{since} <= start_ms") },
];

/// The other tables, but those of metrics: what is found again, sessions, and what describes this very database.
pub const NOT_KEPT: &[&str] = &[
    "agent_latest",
    "alert_attempts",
    "alert_clock",
    "alert_groups",
    "alert_outbox",
    "alert_states",
    "alert_told",
    "maintenance_state",
    "pika_migrations",
    "rollup_builds",
    "rollup_progress",
    "server_history",
    "server_locks",
    "sessions",
    "storage_history",
];

/// Quotes an identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
