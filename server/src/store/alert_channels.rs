//! Channels, to which messages are sent. A change and its audit event are one transaction.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::audit::{AuditEvent, Object, ObjectKind};

/// Maximum number of channels.
pub const ALERT_CHANNELS_MAX: i64 = 200;

macro_rules! columns {
    () => {
        "id, name, kind, enabled, is_default, tells_outages, min_severity, tells_resolved, language, time_zone, \
         settings::text, secrets, secret_hints::text, templates::text, group_wait_ms, group_interval_ms, \
         min_interval_ms, per_hour_max, includes_addresses, version, state, failing_since, last_ok_at, last_error, \
         created_at, updated_at"
    };
}

const LIST: &str = concat!("SELECT ", columns!(), " FROM alert_channels ORDER BY lower(name)");
pub(super) const FIND: &str = concat!("SELECT ", columns!(), " FROM alert_channels WHERE id = $1");
const COUNT: &str = "SELECT count(*) FROM alert_channels";
const INSERT: &str = "INSERT INTO alert_channels (id, name, kind, enabled, is_default, tells_outages, min_severity, \
         tells_resolved, language, time_zone, settings, secrets, secret_hints, templates, group_wait_ms, \
         group_interval_ms, min_interval_ms, per_hour_max, includes_addresses, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::jsonb, $12, $13::text::jsonb, $14::text::jsonb, $15, \
         $16, $17, $18, $19, $20, $20)";
// Its errors may be fixed by the change.
const UPDATE: &str = "UPDATE alert_channels SET name = $2, kind = $3, enabled = $4, is_default = $5, \
         tells_outages = $6, min_severity = $7, tells_resolved = $8, language = $9, time_zone = $10, \
         settings = $11::text::jsonb, secrets = $12, secret_hints = $13::text::jsonb, templates = $14::text::jsonb, \
         group_wait_ms = $15, group_interval_ms = $16, min_interval_ms = $17, per_hour_max = $18, \
         includes_addresses = $19, updated_at = $20, version = version + 1, state = 'ok', failing_since = NULL, \
         last_error = NULL, next_at = NULL \
     WHERE id = $1 AND version = $21";
const SET_ENABLED: &str = "UPDATE alert_channels SET enabled = $2, updated_at = $3, version = version + 1, \
         next_at = NULL WHERE id = $1 RETURNING name";
const TRY_NOW: &str = "UPDATE alert_outbox SET next_attempt_at = $2 \
     WHERE channel_id = $1 AND status = 'waiting' AND $2 < next_attempt_at";
const MARK_OK: &str = "UPDATE alert_channels SET state = 'ok', failing_since = NULL, last_ok_at = $2, \
         last_error = NULL, next_at = NULL WHERE id = $1";
const DELETE: &str = "DELETE FROM alert_channels WHERE id = $1 RETURNING name";
const LIST_SEALED: &str = "SELECT id, secrets FROM alert_channels WHERE secrets IS NOT NULL";
const RESEAL: &str = "UPDATE alert_channels SET secrets = $3 WHERE id = $1 AND secrets = $2";
const DEFAULT_LANGUAGE: &str = "SELECT language, time_zone FROM alert_settings";

pub(super) const STATEMENTS: &[&str] = &[
    LIST,
    FIND,
    COUNT,
    INSERT,
    UPDATE,
    SET_ENABLED,
    TRY_NOW,
    MARK_OK,
    DELETE,
    LIST_SEALED,
    RESEAL,
    DEFAULT_LANGUAGE,
];

/// The settings of a channel.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the columns of alert_channels")]
pub struct AlertChannelSettings {
    pub name: String,
    pub kind: String,
    pub enabled: bool,
    pub is_default: bool,
    pub tells_outages: bool,
    pub min_severity: i16,
    pub tells_resolved: bool,
    pub language: Option<String>,
    pub time_zone: Option<String>,
    /// A JSON object.
    pub settings: String,
    /// Sealed; never in the clear.
    pub secrets: Option<Vec<u8>>,
    /// A JSON object.
    pub secret_hints: String,
    /// A JSON object.
    pub templates: Option<String>,
    pub group_wait_ms: i32,
    pub group_interval_ms: i32,
    pub min_interval_ms: i32,
    pub per_hour_max: i32,
    pub includes_addresses: bool,
}

/// A channel and its state.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the columns of alert_channels")]
pub struct AlertChannel {
    pub id: Uuid,
    pub settings: AlertChannelSettings,
    pub version: i32,
    pub state: String,
    pub failing_since: Option<TimestampMs>,
    pub last_ok_at: Option<TimestampMs>,
    pub last_error: Option<String>,
    pub created_at: TimestampMs,
    pub updated_at: TimestampMs,
}

/// Why a channel was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AlertChannelError {
    /// There is no such channel.
    #[error("there is no such channel")]
    NotFound,
    /// Somebody else has changed it in the meantime.
    #[error("the channel was changed in the meantime; its version is now {0}")]
    Changed(i32),
    /// Another channel has the name, possibly in another case.
    #[error("another channel has this name")]
    NameTaken,
    /// There are too many.
    #[error("there are {ALERT_CHANNELS_MAX} channels already")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Store(Error),
}

impl From<Error> for AlertChannelError {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict { .. } => AlertChannelError::NameTaken,
            other => AlertChannelError::Store(other),
        }
    }
}

impl From<tokio_postgres::Error> for AlertChannelError {
    fn from(error: tokio_postgres::Error) -> Self {
        Error::from(error).into()
    }
}

impl Store {
    /// Returns all channels, by name.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_channels(&self) -> Result<Vec<AlertChannel>, Error> {
        Ok(self.connection().await?.query(LIST, &[]).await?.iter().map(channel).collect())
    }

    /// Returns a channel.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_channel(&self, id: Uuid) -> Result<Option<AlertChannel>, Error> {
        Ok(self.connection().await?.query_opt(FIND, &[&id]).await?.as_ref().map(channel))
    }

    /// Creates a channel. The event's object is filled in.
    ///
    /// # Errors
    /// If the name is taken, there are too many, or the database is unavailable.
    pub async fn insert_alert_channel(
        &self,
        id: Uuid,
        new: &AlertChannelSettings,
        event: AuditEvent,
    ) -> Result<(), AlertChannelError> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        if ALERT_CHANNELS_MAX <= transaction.query_one(COUNT, &[]).await?.get::<_, i64>(0) {
            return Err(AlertChannelError::TooMany);
        }
        write(&transaction, INSERT, id, new, event.origin.at, None).await?;
        audit::insert(&transaction, &event.about(object(id, &new.name))).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Changes a channel of this version. Its pending messages are tried at once. The event's object is filled in.
    ///
    /// # Errors
    /// If it has another version, the name is taken, or the database is unavailable.
    pub async fn update_alert_channel(
        &self,
        id: Uuid,
        version: i32,
        new: &AlertChannelSettings,
        event: AuditEvent,
    ) -> Result<(), AlertChannelError> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        if write(&transaction, UPDATE, id, new, event.origin.at, Some(version)).await? == 0 {
            let row = transaction.query_opt(FIND, &[&id]).await?;
            let found = row.as_ref().map(channel).ok_or(AlertChannelError::NotFound)?;
            return Err(AlertChannelError::Changed(found.version));
        }
        transaction.execute(TRY_NOW, &[&id, &event.origin.at]).await?;
        audit::insert(&transaction, &event.about(object(id, &new.name))).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Enables or disables a channel. Returns whether it exists. The event's object is filled in.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn set_alert_channel_enabled(
        &self,
        id: Uuid,
        enabled: bool,
        event: AuditEvent,
    ) -> Result<bool, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let row = transaction.query_opt(SET_ENABLED, &[&id, &enabled, &event.origin.at]).await?;
        let Some(row) = row else {
            return Ok(false);
        };
        audit::insert(&transaction, &event.about(object(id, row.get(0)))).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Records a successful test: pending messages are tried at once. The event's object is filled in.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn mark_alert_channel_ok(&self, id: Uuid, now: TimestampMs) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        transaction.execute(MARK_OK, &[&id, &now]).await?;
        transaction.execute(TRY_NOW, &[&id, &now]).await?;
        Ok(transaction.commit().await?)
    }

    /// Deletes a channel with its pending messages. Returns whether there was one. The event's object is filled in.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_alert_channel(&self, id: Uuid, event: AuditEvent) -> Result<bool, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let Some(row) = transaction.query_opt(DELETE, &[&id]).await? else {
            return Ok(false);
        };
        audit::insert(&transaction, &event.about(object(id, row.get(0)))).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns the sealed secrets of all channels.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn sealed_channel_secrets(&self) -> Result<Vec<(Uuid, Vec<u8>)>, Error> {
        let rows = self.connection().await?.query(LIST_SEALED, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Replaces sealed secrets by the same ones, resealed, unless they have changed in the meantime.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn reseal_channel_secrets(&self, id: Uuid, old: &[u8], new: &[u8]) -> Result<(), Error> {
        self.connection().await?.execute(RESEAL, &[&id, &old, &new]).await?;
        Ok(())
    }

    /// Returns the default language and time zone of messages.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_language(&self) -> Result<(String, String), Error> {
        let row = self.connection().await?.query_opt(DEFAULT_LANGUAGE, &[]).await?;
        Ok(row.map_or_else(|| ("en".to_owned(), "UTC".to_owned()), |row| (row.get(0), row.get(1))))
    }
}

async fn write(
    transaction: &tokio_postgres::Transaction<'_>,
    statement: &str,
    id: Uuid,
    new: &AlertChannelSettings,
    now: TimestampMs,
    version: Option<i32>,
) -> Result<u64, tokio_postgres::Error> {
    let mut parameters: Vec<super::connection::Parameter<'_>> = vec![
        &id,
        &new.name,
        &new.kind,
        &new.enabled,
        &new.is_default,
        &new.tells_outages,
        &new.min_severity,
        &new.tells_resolved,
        &new.language,
        &new.time_zone,
        &new.settings,
        &new.secrets,
        &new.secret_hints,
        &new.templates,
        &new.group_wait_ms,
        &new.group_interval_ms,
        &new.min_interval_ms,
        &new.per_hour_max,
        &new.includes_addresses,
        &now,
    ];
    if let Some(version) = &version {
        parameters.push(version);
    }
    transaction.execute(statement, &parameters).await
}

fn object(id: Uuid, name: &str) -> Object {
    Object::new(ObjectKind::AlertChannel, &id, name)
}

pub(super) fn channel(row: &Row) -> AlertChannel {
    AlertChannel {
        id: row.get(0),
        settings: AlertChannelSettings {
            name: row.get(1),
            kind: row.get(2),
            enabled: row.get(3),
            is_default: row.get(4),
            tells_outages: row.get(5),
            min_severity: row.get(6),
            tells_resolved: row.get(7),
            language: row.get(8),
            time_zone: row.get(9),
            settings: row.get(10),
            secrets: row.get(11),
            secret_hints: row.get(12),
            templates: row.get(13),
            group_wait_ms: row.get(14),
            group_interval_ms: row.get(15),
            min_interval_ms: row.get(16),
            per_hour_max: row.get(17),
            includes_addresses: row.get(18),
        },
        version: row.get(19),
        state: row.get(20),
        failing_since: row.get(21),
        last_ok_at: row.get(22),
        last_error: row.get(23),
        created_at: row.get(24),
        updated_at: row.get(25),
    }
}
