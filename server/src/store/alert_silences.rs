//! Silences, maintenance and quiet hours.

use tokio_postgres::{GenericClient, Row};
use uuid::Uuid;

use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::alert::severity::Severity;
use crate::domain::alert::silence::{SILENCES_MAX, Silence, SilenceKind};
use crate::domain::audit::{AuditEvent, Object, ObjectKind};

macro_rules! select_silences {
    ($rest:literal) => {
        concat!(
            "SELECT id, kind, name, comment, matcher::text, starts_at, ends_at, recurrence::text, \
             min_severity_through, created_by, created_at, updated_at, version FROM alert_silences ",
            $rest
        )
    };
}

const LIST: &str = select_silences!("ORDER BY created_at DESC, id");
const CURRENT: &str = select_silences!("WHERE ends_at IS NULL OR $1 < ends_at");
const FIND: &str = select_silences!("WHERE id = $1");
const COUNT: &str = "SELECT count(*) FROM alert_silences";
const INSERT: &str = "INSERT INTO alert_silences (id, kind, name, comment, matcher, starts_at, ends_at, recurrence, \
         min_severity_through, created_by, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8::text::jsonb, $9, $10, $11, $11)";
const UPDATE: &str = "UPDATE alert_silences SET kind = $2, name = $3, comment = $4, matcher = $5::text::jsonb, \
         starts_at = $6, ends_at = $7, recurrence = $8::text::jsonb, min_severity_through = $9, updated_at = $10, \
         version = version + 1 \
     WHERE id = $1 AND version = $11";
const DELETE: &str = "DELETE FROM alert_silences WHERE id = $1 RETURNING name";
const DELETE_OLD: &str = "DELETE FROM alert_silences WHERE ends_at < $1";

pub(super) const STATEMENTS: &[&str] = &[LIST, CURRENT, FIND, COUNT, INSERT, UPDATE, DELETE, DELETE_OLD];

/// Why a silence was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AlertSilenceError {
    /// There is no such silence.
    #[error("there is no such silence")]
    NotFound,
    /// Somebody else has changed it since it was read.
    #[error("the silence was changed in the meantime; read it again")]
    ChangedMeanwhile,
    /// The maximum number of silences exists.
    #[error("there are {SILENCES_MAX} silences already")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<tokio_postgres::Error> for AlertSilenceError {
    fn from(error: tokio_postgres::Error) -> Self {
        AlertSilenceError::Store(error.into())
    }
}

/// Returns those that have not ended.
pub(super) async fn current(
    client: &impl GenericClient,
    now: TimestampMs,
) -> Result<Vec<Silence>, tokio_postgres::Error> {
    Ok(client.query(CURRENT, &[&now]).await?.iter().filter_map(silence).collect())
}

/// Reads a silence. One that is unreadable, because a newer server wrote it, is skipped and logged.
fn silence(row: &Row) -> Option<Silence> {
    let id: Uuid = row.get(0);
    let unreadable = |what: &str| tracing::warn!(%id, what, "a silence cannot be read and is skipped");
    let matcher = serde_json::from_str(row.get(4)).inspect_err(|error| unreadable(&error.to_string()));
    let recurrence = row.get::<_, Option<&str>>(7).map(serde_json::from_str).transpose();
    let recurrence = recurrence.inspect_err(|error| unreadable(&error.to_string()));
    let kind = SilenceKind::parse(row.get(1));
    if kind.is_none() {
        unreadable("its kind");
    }
    Some(Silence {
        id,
        kind: kind?,
        name: row.get(2),
        comment: row.get(3),
        matcher: matcher.ok()?,
        starts_at: row.get(5),
        ends_at: row.get(6),
        recurrence: recurrence.ok()?,
        min_severity_through: row.get::<_, Option<i16>>(8).and_then(Severity::of_number),
        created_by: row.get(9),
        created_at: row.get(10),
        updated_at: row.get(11),
        version: row.get(12),
    })
}

/// Serializes what is stored as JSON.
fn texts(silence: &Silence) -> (String, Option<String>, Option<i16>) {
    let matcher = serde_json::to_string(&silence.matcher).unwrap_or_default();
    let recurrence =
        silence.recurrence.as_ref().and_then(|recurrence| serde_json::to_string(recurrence).ok());
    (matcher, recurrence, silence.min_severity_through.map(Severity::number))
}

impl Store {
    /// Returns all silences, newest first.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_silences(&self) -> Result<Vec<Silence>, Error> {
        Ok(self.connection().await?.query(LIST, &[]).await?.iter().filter_map(silence).collect())
    }

    /// Returns one silence.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn alert_silence(&self, id: Uuid) -> Result<Option<Silence>, Error> {
        Ok(self.connection().await?.query_opt(FIND, &[&id]).await?.as_ref().and_then(silence))
    }

    /// Creates a silence. The event's object is filled in.
    ///
    /// # Errors
    /// If there are too many, or the database is unavailable.
    pub async fn create_alert_silence(
        &self,
        silence: &Silence,
        event: AuditEvent,
    ) -> Result<(), AlertSilenceError> {
        let (matcher, recurrence, through) = texts(silence);
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let n_silences: i64 = transaction.query_one(COUNT, &[]).await?.get(0);
        if SILENCES_MAX <= n_silences {
            return Err(AlertSilenceError::TooMany);
        }
        transaction
            .execute(
                INSERT,
                &[
                    &silence.id,
                    &silence.kind.as_str(),
                    &silence.name,
                    &silence.comment,
                    &matcher,
                    &silence.starts_at,
                    &silence.ends_at,
                    &recurrence,
                    &through,
                    &silence.created_by,
                    &silence.created_at,
                ],
            )
            .await?;
        let object = Object::new(ObjectKind::AlertSilence, &silence.id, &silence.name);
        audit::insert(&transaction, &event.about(object)).await?;
        Ok(transaction.commit().await?)
    }

    /// Changes a silence that has this version. The event's object is filled in.
    ///
    /// # Errors
    /// If there is none with this id, it has another version, or the database is unavailable.
    pub async fn change_alert_silence(
        &self,
        silence: &Silence,
        event: AuditEvent,
    ) -> Result<(), AlertSilenceError> {
        let (matcher, recurrence, through) = texts(silence);
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let n_changed = transaction
            .execute(
                UPDATE,
                &[
                    &silence.id,
                    &silence.kind.as_str(),
                    &silence.name,
                    &silence.comment,
                    &matcher,
                    &silence.starts_at,
                    &silence.ends_at,
                    &recurrence,
                    &through,
                    &event.origin.at,
                    &silence.version,
                ],
            )
            .await?;
        if n_changed == 0 {
            let is_there = transaction.query_opt(FIND, &[&silence.id]).await?.is_some();
            let error =
                if is_there { AlertSilenceError::ChangedMeanwhile } else { AlertSilenceError::NotFound };
            return Err(error);
        }
        let object = Object::new(ObjectKind::AlertSilence, &silence.id, &silence.name);
        audit::insert(&transaction, &event.about(object)).await?;
        Ok(transaction.commit().await?)
    }

    /// Deletes a silence. The event's object is filled in.
    ///
    /// # Errors
    /// If there is none with this id, or the database is unavailable.
    pub async fn delete_alert_silence(&self, id: Uuid, event: AuditEvent) -> Result<(), AlertSilenceError> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let Some(row) = transaction.query_opt(DELETE, &[&id]).await? else {
            return Err(AlertSilenceError::NotFound);
        };
        let object = Object::new(ObjectKind::AlertSilence, &id, row.get::<_, String>(0));
        audit::insert(&transaction, &event.about(object)).await?;
        Ok(transaction.commit().await?)
    }

    /// Deletes the silences that ended before a time, and returns how many.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_alert_silences_before(&self, time: TimestampMs) -> Result<u64, Error> {
        Ok(self.connection().await?.execute(DELETE_OLD, &[&time]).await?)
    }
}
