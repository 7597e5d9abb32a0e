//! What channels were sent about alerts, and what is handed over to be sent, in the transaction of an evaluation.

use std::collections::HashMap;

use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use super::Error;
use super::alert_evaluation::Evaluation;
use crate::domain::TimestampMs;
use crate::domain::alert::reconcile::Told;
use crate::domain::alert::rule::Rule;
use crate::domain::alert::severity::Severity;

/// How long a message is worth sending, in milliseconds.
const EXPIRY_MS: i64 = 86_400_000;

const OPEN: &str = "SELECT id, rule_id, agent_key, target, severity, ended_at IS NULL, flapping, acknowledged_at IS NOT NULL, \
         snoozed_until, withheld_by, inhibited_by, data_state, value, occurrences FROM alerts \
     WHERE ended_at IS NULL OR id IN (SELECT alert_id FROM alert_told WHERE told = 1) ORDER BY fired_at, id";
const TOLD: &str = "SELECT alert_id, channel_id, told, severity, repeat_at FROM alert_told \
     WHERE alert_id = ANY ($1)";
const CHANNELS: &str = "SELECT id, enabled, is_default, min_severity, tells_resolved, group_wait_ms, group_interval_ms, \
         difference_since, handed_at FROM alert_channels ORDER BY id";
const SET_WITHHELD: &str = "UPDATE alerts SET withheld_by = new.withheld_by, inhibited_by = new.inhibited_by, \
         version = version + 1, changed_at = $2 \
     FROM jsonb_to_recordset($1::text::jsonb) AS new (id uuid, withheld_by text, inhibited_by uuid) \
     WHERE alerts.id = new.id";
const SET_CHANNEL: &str = "UPDATE alert_channels SET difference_since = $2, handed_at = $3 WHERE id = $1";
const HAND_OVER: &str = "INSERT INTO alert_outbox (channel_id, kind, items, key, created_at, next_attempt_at, expires_at) \
     VALUES ($1, 'alerts', $2::text::jsonb, $3, $4, $4, $5) RETURNING id";
const SAVE_TOLD: &str = "INSERT INTO alert_told (alert_id, channel_id, told, severity, told_at, repeat_at, outbox_id) \
     SELECT alert_id, $2, told, severity, $3, repeat_at, $4 FROM jsonb_to_recordset($1::text::jsonb) \
         AS new (alert_id uuid, told int2, severity int2, repeat_at int8) \
     WHERE EXISTS (SELECT FROM alert_channels WHERE id = $2) \
     ON CONFLICT (alert_id, channel_id) DO UPDATE SET told = excluded.told, severity = excluded.severity, \
         told_at = excluded.told_at, repeat_at = excluded.repeat_at, outbox_id = excluded.outbox_id";

pub(super) const STATEMENTS: &[&str] =
    &[OPEN, TOLD, CHANNELS, SET_WITHHELD, SET_CHANNEL, HAND_OVER, SAVE_TOLD];

/// An alert that fires, or that some channel believes to fire.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "described by the columns of alerts")]
pub struct OpenAlert {
    pub id: Uuid,
    pub rule_id: Option<Uuid>,
    pub agent_key: Option<i32>,
    pub target: String,
    pub severity: Severity,
    pub fires: bool,
    pub flapping: bool,
    pub is_acknowledged: bool,
    pub snoozed_until: Option<TimestampMs>,
    pub withheld_by: Option<String>,
    pub inhibited_by: Option<Uuid>,
    pub data_state: String,
    pub value: Option<f64>,
    pub occurrences: i32,
}

/// A channel, as far as notifications need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "described by the columns of alert_channels")]
pub struct TellableChannel {
    pub id: Uuid,
    pub enabled: bool,
    pub is_default: bool,
    pub min_severity: Severity,
    pub tells_resolved: bool,
    pub group_wait_ms: i32,
    pub group_interval_ms: i32,
    pub difference_since: Option<TimestampMs>,
    pub handed_at: Option<TimestampMs>,
}

impl TellableChannel {
    /// Whether the alerts of a rule are told here.
    pub fn is_told_of(&self, rule: &Rule) -> bool {
        match &rule.channel_ids {
            Some(ids) => ids.contains(&self.id),
            None => self.is_default,
        }
    }
}

/// Why nobody is told of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WithheldAlert {
    /// The alert's id.
    pub id: Uuid,
    /// The reason; `None` if it is not withheld.
    pub withheld_by: Option<&'static str>,
    /// The alert that inhibits it.
    pub inhibited_by: Option<Uuid>,
}

/// A transition sent to a channel.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxItem {
    /// The alert's id.
    pub alert_id: Uuid,
    /// `firing`, `escalated`, `repeat` or `resolved`.
    pub transition: &'static str,
    /// The severity: `info`, `warning` or `critical`.
    pub severity: &'static str,
    /// When it was found.
    pub at: TimestampMs,
    /// The value then.
    pub value: Option<f64>,
    /// It was over before it could be told that it fires.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unseen: bool,
}

#[derive(Serialize)]
struct ToldRow {
    alert_id: Uuid,
    told: i16,
    severity: i16,
    repeat_at: Option<i64>,
}

impl Evaluation<'_> {
    /// Returns the alerts that fire, and those that some channel believes to fire.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn open_alerts(&self) -> Result<Vec<OpenAlert>, Error> {
        let rows = self.0.query(OPEN, &[]).await?;
        let open = |row: &Row| OpenAlert {
            id: row.get(0),
            rule_id: row.get(1),
            agent_key: row.get(2),
            target: row.get(3),
            severity: severity(row.get(4)),
            fires: row.get(5),
            flapping: row.get(6),
            is_acknowledged: row.get(7),
            snoozed_until: row.get(8),
            withheld_by: row.get(9),
            inhibited_by: row.get(10),
            data_state: row.get(11),
            value: row.get(12),
            occurrences: row.get(13),
        };
        Ok(rows.iter().map(open).collect())
    }

    /// Returns what channels were last sent about these alerts, by alert and channel.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn told(&self, alerts: &[Uuid]) -> Result<HashMap<(Uuid, Uuid), Told>, Error> {
        let rows = self.0.query(TOLD, &[&alerts]).await?;
        let told = |row: &Row| {
            let told = Told {
                fires: row.get::<_, i16>(2) == 1,
                severity: severity(row.get(3)),
                repeat_at: row.get(4),
            };
            ((row.get(0), row.get(1)), told)
        };
        Ok(rows.iter().map(told).collect())
    }

    /// Returns all channels.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn channels(&self) -> Result<Vec<TellableChannel>, Error> {
        let rows = self.0.query(CHANNELS, &[]).await?;
        let channel = |row: &Row| TellableChannel {
            id: row.get(0),
            enabled: row.get(1),
            is_default: row.get(2),
            min_severity: severity(row.get(3)),
            tells_resolved: row.get(4),
            group_wait_ms: row.get(5),
            group_interval_ms: row.get(6),
            difference_since: row.get(7),
            handed_at: row.get(8),
        };
        Ok(rows.iter().map(channel).collect())
    }

    /// Records why alerts are withheld.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn set_withheld(&self, withheld: &[WithheldAlert], now: TimestampMs) -> Result<(), Error> {
        if !withheld.is_empty() {
            let rows = serde_json::to_string(withheld).unwrap_or_else(|_| "[]".to_owned());
            self.0.execute(SET_WITHHELD, &[&rows, &now]).await?;
        }
        Ok(())
    }

    /// Records since when a channel has something to be sent, and when something was last handed over to it.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn set_channel(&self, channel: &TellableChannel) -> Result<(), Error> {
        let TellableChannel { id, difference_since, handed_at, .. } = channel;
        self.0.execute(SET_CHANNEL, &[id, difference_since, handed_at]).await?;
        Ok(())
    }

    /// Hands over a channel's items as one message.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn hand_over(
        &self,
        channel: Uuid,
        items: &[OutboxItem],
        now: TimestampMs,
    ) -> Result<i64, Error> {
        let items = serde_json::to_string(items).unwrap_or_else(|_| "[]".to_owned());
        let expires_at = now.saturating_add(EXPIRY_MS);
        let row =
            self.0.query_one(HAND_OVER, &[&channel, &items, &Uuid::new_v4(), &now, &expires_at]).await?;
        Ok(row.get(0))
    }

    /// Records what a channel has been sent about alerts, or would have been if it received ends.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn save_told(
        &self,
        channel: Uuid,
        told: &[(Uuid, Told)],
        outbox_id: Option<i64>,
        now: TimestampMs,
    ) -> Result<(), Error> {
        let row = |(alert_id, told): &(Uuid, Told)| ToldRow {
            alert_id: *alert_id,
            told: if told.fires { 1 } else { 2 },
            severity: told.severity.number(),
            repeat_at: told.repeat_at,
        };
        let rows: Vec<ToldRow> = told.iter().map(row).collect();
        let rows = serde_json::to_string(&rows).unwrap_or_else(|_| "[]".to_owned());
        self.0.execute(SAVE_TOLD, &[&rows, &channel, &now, &outbox_id]).await?;
        Ok(())
    }
}

/// The columns have no other numbers.
fn severity(number: i16) -> Severity {
    Severity::of_number(number).unwrap_or(Severity::Critical)
}
