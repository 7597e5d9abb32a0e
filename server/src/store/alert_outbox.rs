//! Messages to channels: leased by channel, sent in order, and recorded.

use serde_json::Value;
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::alert_channels::{self, AlertChannel, channel};
use super::{Error, Store};
use crate::domain::TimestampMs;

/// Maximum rows of a channel read at a time; the others follow.
const WAITING_MAX: i64 = 200;
/// Maximum rows expired at a time.
const EXPIRED_MAX: i64 = 500;

// A channel is due when its oldest message is: what follows a message that has failed waits with it.
const LEASE: &str = "UPDATE alert_channels SET leased_by = $1, leased_until = $3 WHERE id = (\
         SELECT c.id FROM alert_channels c \
         CROSS JOIN LATERAL (SELECT next_attempt_at, created_at FROM alert_outbox \
             WHERE channel_id = c.id AND status IN ('waiting', 'sending') ORDER BY id LIMIT 1) AS first \
         WHERE c.enabled AND coalesce(c.leased_until, 0) <= $2 AND coalesce(c.next_at, 0) <= $2 \
             AND first.next_attempt_at <= $2 \
         ORDER BY first.created_at LIMIT 1 FOR UPDATE OF c SKIP LOCKED) \
     RETURNING id";
const RENEW: &str = "UPDATE alert_channels SET leased_until = $3 WHERE id = $1 AND leased_by = $2";
const WAITING: &str = "SELECT id, kind, items::text, key, status, attempts, created_at, expires_at FROM alert_outbox \
     WHERE channel_id = $1 AND status IN ('waiting', 'sending') ORDER BY id LIMIT $2";
const SENT_SINCE: &str = "SELECT count(*) FROM alert_outbox WHERE channel_id = $1 AND status = 'sent' AND $2 < sent_at AND kind = 'alerts'";
const SUPERSEDE: &str = "UPDATE alert_outbox SET status = 'superseded' WHERE id = ANY ($1)";
const MERGE: &str = "UPDATE alert_outbox SET items = $2::text::jsonb, created_at = $3, attempts = $4, \
         expires_at = greatest(expires_at, $5) WHERE id = $1";
const TOLD_BY: &str = "UPDATE alert_told SET outbox_id = $2 WHERE channel_id = $1 AND outbox_id = ANY ($3)";
const BEGIN: &str = "UPDATE alert_outbox SET status = 'sending', attempts = attempts + 1 WHERE id = $1 \
     RETURNING attempts";
const BEGIN_ATTEMPT: &str =
    "INSERT INTO alert_attempts (outbox_id, number, started_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const END_ATTEMPT: &str = "UPDATE alert_attempts SET duration_ms = $3, result = $4, http_status = $5, error = $6 \
     WHERE outbox_id = $1 AND number = $2";
const END: &str = "UPDATE alert_outbox SET status = $2::text, sent_at = CASE WHEN $2::text = 'sent' THEN $3::int8 END, \
         next_attempt_at = $4, last_error = $5 WHERE id = $1";
const END_CHANNEL: &str = "UPDATE alert_channels SET state = $3::text, next_at = $4, last_error = $5, leased_until = NULL, \
         failing_since = CASE WHEN $3::text <> 'ok' THEN coalesce(failing_since, $6::int8) END, \
         last_ok_at = CASE WHEN $3::text = 'ok' THEN $6::int8 ELSE last_ok_at END \
     WHERE id = $1 AND leased_by = $2";
const RELEASE: &str =
    "UPDATE alert_channels SET leased_until = NULL, next_at = $3 WHERE id = $1 AND leased_by = $2";
const MOVE_SETTING: &str = "UPDATE alert_channels SET settings = jsonb_set(settings, ARRAY[$2], to_jsonb($3::text)) \
     WHERE id = $1";
const FORGET_FIRING: &str =
    "DELETE FROM alert_told WHERE channel_id = $1 AND outbox_id = $2 AND alert_id = ANY ($3)";
const FORGET_RESOLVED: &str = "UPDATE alert_told SET told = 1, outbox_id = NULL \
     WHERE channel_id = $1 AND outbox_id = $2 AND alert_id = ANY ($3)";
const FORGET_ESCALATED: &str = "UPDATE alert_told SET severity = 1, outbox_id = NULL \
     WHERE channel_id = $1 AND outbox_id = $2 AND alert_id = ANY ($3)";
const EVENT: &str = "INSERT INTO alert_events (alert_id, at, kind, details) \
     SELECT id, $2, $3, $4::text::jsonb FROM alerts WHERE id = ANY ($1)";
const EXPIRED: &str = "SELECT id, channel_id, kind, items::text FROM alert_outbox \
     WHERE status = 'waiting' AND expires_at <= $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED";
const EXPIRE: &str = "UPDATE alert_outbox SET status = 'expired' WHERE id = $1";
const NOTICES: &str = "SELECT a.id, a.severity, a.rule_name, a.agent_id, a.agent_name, a.series_name, a.target, a.value, \
         a.threshold, a.recovery_threshold, a.unit, a.started_at, a.fired_at, a.ended_at, a.end_reason, a.peak_value, \
         a.peak_at, a.occurrences, a.flapping, a.details::text, r.definition::text, r.summary, r.runbook, \
         r.runbook_url, g.tags, \
         ARRAY(SELECT DISTINCT o.rule_name FROM alerts o WHERE o.agent_key = a.agent_key AND o.ended_at IS NULL \
             AND o.id <> a.id ORDER BY 1 LIMIT 20) \
     FROM alerts a LEFT JOIN alert_rules r ON r.id = a.rule_id LEFT JOIN agents g ON g.key = a.agent_key \
     WHERE a.id = ANY ($1)";
const BACKLOG: &str = "SELECT count(*), min(created_at), \
         (SELECT count(*) FROM alert_channels WHERE enabled AND state <> 'ok') \
     FROM alert_outbox WHERE status IN ('waiting', 'sending')";

pub(super) const STATEMENTS: &[&str] = &[
    LEASE,
    RENEW,
    WAITING,
    SENT_SINCE,
    SUPERSEDE,
    MERGE,
    TOLD_BY,
    BEGIN,
    BEGIN_ATTEMPT,
    END_ATTEMPT,
    END,
    END_CHANNEL,
    RELEASE,
    MOVE_SETTING,
    FORGET_FIRING,
    FORGET_RESOLVED,
    FORGET_ESCALATED,
    EVENT,
    EXPIRED,
    EXPIRE,
    NOTICES,
    BACKLOG,
];

/// A pending message.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the columns of alert_outbox")]
pub struct WaitingMessage {
    pub id: i64,
    pub kind: String,
    /// The transitions: a list of `{alertId, transition, severity, at, value}`.
    pub items: Vec<Value>,
    pub key: Uuid,
    /// Whether an attempt has begun whose outcome is unknown.
    pub is_uncertain: bool,
    pub attempts: i32,
    pub created_at: TimestampMs,
    pub expires_at: TimestampMs,
}

/// The result of an attempt, and its consequences.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns of alert_attempts, alert_outbox and alert_channels")]
pub struct AttemptEnd {
    pub number: i32,
    pub ended_at: TimestampMs,
    pub duration_ms: i32,
    pub result: &'static str,
    pub http_status: Option<i32>,
    pub error: Option<String>,
    /// `sent`, `waiting` or `failed`.
    pub status: &'static str,
    /// When the message is retried.
    pub next_attempt_at: TimestampMs,
    /// `ok`, `failing` or `broken`.
    pub channel_state: &'static str,
    /// When anything may be sent to the channel again.
    pub channel_next_at: TimestampMs,
    /// A setting and its new value.
    pub moved: Option<(String, String)>,
}

/// An alert with everything that messages say about it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns of alerts, alert_rules and agents")]
pub struct AlertToTell {
    pub id: Uuid,
    pub severity: i16,
    pub rule_name: String,
    pub agent_id: Option<Uuid>,
    pub agent_name: Option<String>,
    pub series_name: Option<String>,
    pub target: String,
    pub value: Option<f64>,
    pub threshold: Option<f64>,
    pub recovery_threshold: Option<f64>,
    pub unit: String,
    pub started_at: TimestampMs,
    pub fired_at: TimestampMs,
    pub ended_at: Option<TimestampMs>,
    pub end_reason: Option<String>,
    pub peak_value: Option<f64>,
    pub peak_at: Option<TimestampMs>,
    pub occurrences: i32,
    pub flapping: bool,
    pub details: Value,
    /// The rule's definition, if it still exists.
    pub definition: Value,
    pub summary: String,
    pub runbook: String,
    pub runbook_url: Option<String>,
    pub tags: Vec<String>,
    pub also_firing: Vec<String>,
}

/// All pending messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxBacklog {
    /// Number of pending messages.
    pub waiting: i64,
    /// When the oldest was created.
    pub oldest_at: Option<TimestampMs>,
    /// Number of failing channels.
    pub channels_failing: i64,
}

impl Store {
    /// Leases a channel that is due; no other server serves it until `leased_until`.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn lease_alert_channel(
        &self,
        server: Uuid,
        now: TimestampMs,
        leased_until: TimestampMs,
    ) -> Result<Option<AlertChannel>, Error> {
        let connection = self.connection().await?;
        let Some(leased) = connection.query_opt(LEASE, &[&server, &now, &leased_until]).await? else {
            return Ok(None);
        };
        let id: Uuid = leased.get(0);
        Ok(connection.query_opt(alert_channels::FIND, &[&id]).await?.as_ref().map(channel))
    }

    /// Renews the lease of a channel. Returns whether it was still held.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn renew_alert_channel(
        &self,
        id: Uuid,
        server: Uuid,
        leased_until: TimestampMs,
    ) -> Result<bool, Error> {
        Ok(0 < self.connection().await?.execute(RENEW, &[&id, &server, &leased_until]).await?)
    }

    /// Releases a channel, which is not served again before `next_at`.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn release_alert_channel(
        &self,
        id: Uuid,
        server: Uuid,
        next_at: TimestampMs,
    ) -> Result<(), Error> {
        self.connection().await?.execute(RELEASE, &[&id, &server, &next_at]).await?;
        Ok(())
    }

    /// Returns a channel's pending messages, oldest first, and the number of messages sent to it since `since`.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn waiting_messages(
        &self,
        channel: Uuid,
        since: TimestampMs,
    ) -> Result<(Vec<WaitingMessage>, i64), Error> {
        let connection = self.connection().await?;
        let rows = connection.query(WAITING, &[&channel, &WAITING_MAX]).await?;
        let sent = connection.query_opt(SENT_SINCE, &[&channel, &since]).await?;
        Ok((rows.iter().map(waiting).collect(), sent.map_or(0, |row| row.get(0))))
    }

    /// Merges several messages: the last takes the items of all, the others are superseded.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn merge_messages(
        &self,
        channel: Uuid,
        superseded: &[i64],
        merged: &WaitingMessage,
    ) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        transaction.execute(SUPERSEDE, &[&superseded]).await?;
        let WaitingMessage { id, items, created_at, attempts, expires_at, .. } = merged;
        let items = Value::from(items.clone()).to_string();
        transaction.execute(MERGE, &[id, &items, created_at, attempts, expires_at]).await?;
        transaction.execute(TOLD_BY, &[&channel, id, &superseded]).await?;
        Ok(transaction.commit().await?)
    }

    /// Records that an attempt is about to begin. Returns its number.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn begin_attempt(&self, id: i64, now: TimestampMs) -> Result<i32, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let number: i32 = transaction.query_one(BEGIN, &[&id]).await?.get(0);
        transaction.execute(BEGIN_ATTEMPT, &[&id, &number, &now]).await?;
        transaction.commit().await?;
        Ok(number)
    }

    /// Records the result of an attempt, for the message and its channel. If the message has failed for good, its
    /// transitions count as not sent.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn end_attempt(
        &self,
        channel: Uuid,
        server: Uuid,
        message: &WaitingMessage,
        end: &AttemptEnd,
    ) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let AttemptEnd { number, ended_at, duration_ms, result, http_status, error, .. } = end;
        transaction
            .execute(END_ATTEMPT, &[&message.id, number, duration_ms, result, http_status, error])
            .await?;
        transaction.execute(END, &[&message.id, &end.status, ended_at, &end.next_attempt_at, error]).await?;
        let AttemptEnd { channel_state, channel_next_at, .. } = end;
        transaction
            .execute(END_CHANNEL, &[&channel, &server, channel_state, channel_next_at, error, ended_at])
            .await?;
        if let Some((name, value)) = &end.moved {
            transaction.execute(MOVE_SETTING, &[&channel, name, value]).await?;
        }
        match end.status {
            "sent" => tell_event(&transaction, channel, message, *ended_at, "told").await?,
            "failed" => {
                forget_told(&transaction, channel, message.id, &message.items).await?;
                tell_event(&transaction, channel, message, *ended_at, "told_failed").await?;
            }
            _ => {}
        }
        Ok(transaction.commit().await?)
    }

    /// Gives up expired messages; their transitions count as not sent. Returns the number of messages.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn expire_messages(&self, now: TimestampMs) -> Result<u64, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let rows = transaction.query(EXPIRED, &[&now, &EXPIRED_MAX]).await?;
        for row in &rows {
            let (id, channel): (i64, Uuid) = (row.get(0), row.get(1));
            forget_told(&transaction, channel, id, &items(row.get(3))).await?;
            transaction.execute(EXPIRE, &[&id]).await?;
        }
        transaction.commit().await?;
        Ok(rows.len() as u64)
    }

    /// Returns alerts with everything that messages say about them.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alerts_to_tell(&self, ids: &[Uuid]) -> Result<Vec<AlertToTell>, Error> {
        Ok(self.connection().await?.query(NOTICES, &[&ids]).await?.iter().map(alert).collect())
    }

    /// Returns the backlog of pending messages.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn outbox_backlog(&self) -> Result<OutboxBacklog, Error> {
        let row = self.connection().await?.query_opt(BACKLOG, &[]).await?;
        Ok(row.map_or_else(OutboxBacklog::default, |row| OutboxBacklog {
            waiting: row.get(0),
            oldest_at: row.get(1),
            channels_failing: row.get(2),
        }))
    }
}

/// Reverts the transitions of a message that never arrived: for the channel, what fired did not, and what ended still
/// fires.
async fn forget_told(
    transaction: &Transaction<'_>,
    channel: Uuid,
    id: i64,
    items: &[Value],
) -> Result<(), tokio_postgres::Error> {
    let of = |wanted: fn(&Value) -> bool| -> Vec<Uuid> {
        items.iter().filter(|item| wanted(item)).filter_map(alert_id).collect()
    };
    let is_unseen = |item: &Value| item["unseen"] == true;
    let firing = of(|item| item["transition"] == "firing" || item["unseen"] == true);
    let escalated = of(|item| item["transition"] == "escalated");
    let resolved: Vec<Uuid> = items
        .iter()
        .filter(|item| item["transition"] == "resolved" && !is_unseen(item))
        .filter_map(alert_id)
        .collect();
    transaction.execute(FORGET_FIRING, &[&channel, &id, &firing]).await?;
    transaction.execute(FORGET_ESCALATED, &[&channel, &id, &escalated]).await?;
    transaction.execute(FORGET_RESOLVED, &[&channel, &id, &resolved]).await?;
    Ok(())
}

/// Records in the history of alerts that a channel was notified of them, or was not.
async fn tell_event(
    transaction: &Transaction<'_>,
    channel: Uuid,
    message: &WaitingMessage,
    at: TimestampMs,
    kind: &str,
) -> Result<(), tokio_postgres::Error> {
    let ids: Vec<Uuid> = message.items.iter().filter_map(alert_id).collect();
    let details = serde_json::json!({"channelId": channel, "deliveryId": message.id}).to_string();
    transaction.execute(EVENT, &[&ids, &at, &kind, &details]).await?;
    Ok(())
}

fn alert_id(item: &Value) -> Option<Uuid> {
    item.get("alertId")?.as_str()?.parse().ok()
}

fn items(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap_or_default()
}

fn waiting(row: &Row) -> WaitingMessage {
    WaitingMessage {
        id: row.get(0),
        kind: row.get(1),
        items: items(row.get(2)),
        key: row.get(3),
        is_uncertain: row.get::<_, &str>(4) == "sending",
        attempts: row.get(5),
        created_at: row.get(6),
        expires_at: row.get(7),
    }
}

fn alert(row: &Row) -> AlertToTell {
    let json = |index: usize| {
        let text: Option<&str> = row.get(index);
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    AlertToTell {
        id: row.get(0),
        severity: row.get(1),
        rule_name: row.get(2),
        agent_id: row.get(3),
        agent_name: row.get(4),
        series_name: row.get(5),
        target: row.get(6),
        value: row.get(7),
        threshold: row.get(8),
        recovery_threshold: row.get(9),
        unit: row.get(10),
        started_at: row.get(11),
        fired_at: row.get(12),
        ended_at: row.get(13),
        end_reason: row.get(14),
        peak_value: row.get(15),
        peak_at: row.get(16),
        occurrences: row.get(17),
        flapping: row.get(18),
        details: json(19),
        definition: json(20),
        summary: row.get::<_, Option<String>>(21).unwrap_or_default(),
        runbook: row.get::<_, Option<String>>(22).unwrap_or_default(),
        runbook_url: row.get(23),
        tags: row.get::<_, Option<Vec<String>>>(24).unwrap_or_default(),
        also_firing: row.get(25),
    }
}
