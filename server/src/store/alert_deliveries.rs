//! Messages to channels, sent or not, and every attempt.

use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::Parameter;
use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::audit::{AuditEvent, Object, ObjectKind};

/// How long a message that is retried may wait.
const RETRY_KEEP_MS: i64 = 24 * 60 * 60 * 1_000;

macro_rules! filter {
    () => {
        " FROM alert_outbox o JOIN alert_channels c ON c.id = o.channel_id \
          WHERE ($1::uuid IS NULL OR o.channel_id = $1) AND ($2::text IS NULL OR o.status = $2) \
              AND ($3::text IS NULL OR o.items @> jsonb_build_array(jsonb_build_object('alertId', $3)))"
    };
}

const LIST: &str = concat!(
    "SELECT o.id, o.channel_id, c.name, c.kind, o.kind, o.items::text, o.key, o.status, o.attempts, o.created_at, \
     o.next_attempt_at, o.expires_at, o.sent_at, o.last_error",
    filter!(),
    " ORDER BY o.id DESC LIMIT $4 OFFSET $5"
);
const COUNT: &str = concat!("SELECT count(*)", filter!());
const ATTEMPTS: &str = "SELECT outbox_id, number, started_at, duration_ms, result, http_status, error FROM alert_attempts \
     WHERE outbox_id = ANY ($1) ORDER BY outbox_id, number";
const RETRY: &str = "UPDATE alert_outbox SET status = 'waiting', next_attempt_at = $2, expires_at = $3 \
     WHERE key = $1 AND status IN ('failed', 'expired') RETURNING channel_id";
const FIND_STATUS: &str = "SELECT status FROM alert_outbox WHERE key = $1";
const CHANNEL_NOW: &str = "UPDATE alert_channels SET next_at = NULL WHERE id = $1";
// A message that can no longer be retried is deleted after 30 days, with its attempts.
const DELETE_OLD: &str = "DELETE FROM alert_outbox WHERE id IN (SELECT id FROM alert_outbox \
     WHERE created_at < $1 AND status NOT IN ('waiting', 'sending') ORDER BY created_at LIMIT 5000)";

pub(super) const STATEMENTS: &[&str] = &[LIST, COUNT, ATTEMPTS, RETRY, FIND_STATUS, CHANNEL_NOW, DELETE_OLD];

/// How long messages are kept.
const KEEP_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// Which messages to return; absent fields match everything.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// The channel's id.
    pub channel: Option<Uuid>,
    /// The status.
    pub status: Option<String>,
    /// The id of an alert in the message.
    pub alert: Option<Uuid>,
}

/// A message to a channel.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns of alert_outbox and alert_channels")]
pub struct AlertDelivery {
    pub id: i64,
    pub channel_id: Uuid,
    pub channel_name: String,
    pub channel_kind: String,
    pub kind: String,
    pub items: Vec<Value>,
    pub key: Uuid,
    pub status: String,
    pub n_attempts: i32,
    pub created_at: TimestampMs,
    pub next_attempt_at: TimestampMs,
    pub expires_at: TimestampMs,
    pub sent_at: Option<TimestampMs>,
    pub last_error: Option<String>,
    pub attempts: Vec<AlertAttempt>,
}

/// An attempt to send a message.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns of alert_attempts")]
pub struct AlertAttempt {
    pub number: i32,
    pub started_at: TimestampMs,
    pub duration_ms: Option<i32>,
    pub result: Option<String>,
    pub http_status: Option<i32>,
    pub error: Option<String>,
}

/// Why a message cannot be retried.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// There is no such message.
    #[error("there is no such delivery")]
    NotFound,
    /// It was sent, or is about to be.
    #[error("the delivery is {0}; only failed and expired ones can be retried")]
    Status(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<tokio_postgres::Error> for RetryError {
    fn from(error: tokio_postgres::Error) -> Self {
        RetryError::Store(error.into())
    }
}

impl Store {
    /// Returns a page of messages, newest first, with their attempts, and their total number.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_deliveries(
        &self,
        filter: &DeliveryFilter,
        offset: i64,
        limit: i64,
    ) -> Result<(Vec<AlertDelivery>, i64), Error> {
        let alert = filter.alert.map(|id| id.to_string());
        let mut parameters: Vec<Parameter<'_>> = vec![&filter.channel, &filter.status, &alert];
        let connection = self.connection().await?;
        let total = connection.query_opt(COUNT, &parameters).await?;
        parameters.extend([&limit as Parameter<'_>, &offset]);
        let rows = connection.query(LIST, &parameters).await?;
        let mut deliveries: Vec<AlertDelivery> = rows.iter().map(delivery).collect();
        let ids: Vec<i64> = deliveries.iter().map(|delivery| delivery.id).collect();
        for row in connection.query(ATTEMPTS, &[&ids]).await? {
            let id: i64 = row.get(0);
            if let Some(delivery) = deliveries.iter_mut().find(|delivery| delivery.id == id) {
                delivery.attempts.push(attempt(&row));
            }
        }
        Ok((deliveries, total.map_or(0, |row| row.get(0))))
    }

    /// Retries a message that was given up. The event's object is filled in.
    ///
    /// # Errors
    /// If there is none, it was not given up, or the database is unavailable.
    pub async fn retry_alert_delivery(&self, key: Uuid, event: AuditEvent) -> Result<(), RetryError> {
        let now = event.origin.at;
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let Some(row) = transaction.query_opt(RETRY, &[&key, &now, &(now + RETRY_KEEP_MS)]).await? else {
            let row = transaction.query_opt(FIND_STATUS, &[&key]).await?.ok_or(RetryError::NotFound)?;
            return Err(RetryError::Status(row.get(0)));
        };
        transaction.execute(CHANNEL_NOW, &[&row.get::<_, Uuid>(0)]).await?;
        let object = Object::new(ObjectKind::AlertDelivery, &key, "");
        audit::insert(&transaction, &event.about(object)).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Deletes messages finished 30 days ago, up to 5,000 at a time. Returns how many.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_old_deliveries(&self, now: TimestampMs) -> Result<u64, Error> {
        Ok(self.connection().await?.execute(DELETE_OLD, &[&(now - KEEP_MS)]).await?)
    }
}

fn delivery(row: &Row) -> AlertDelivery {
    AlertDelivery {
        id: row.get(0),
        channel_id: row.get(1),
        channel_name: row.get(2),
        channel_kind: row.get(3),
        kind: row.get(4),
        items: serde_json::from_str(row.get(5)).unwrap_or_default(),
        key: row.get(6),
        status: row.get(7),
        n_attempts: row.get(8),
        created_at: row.get(9),
        next_attempt_at: row.get(10),
        expires_at: row.get(11),
        sent_at: row.get(12),
        last_error: row.get(13),
        attempts: Vec::new(),
    }
}

fn attempt(row: &Row) -> AlertAttempt {
    AlertAttempt {
        number: row.get(1),
        started_at: row.get(2),
        duration_ms: row.get(3),
        result: row.get(4),
        http_status: row.get(5),
        error: row.get(6),
    }
}
