//! The audit log: who did what. An event is written in the transaction of the change it describes, so that neither
//! exists without the other.

use tokio_postgres::{GenericClient, Row};
use uuid::Uuid;

use super::connection::Parameter;
use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::audit::AuditEvent;

const INSERT: &str = "INSERT INTO audit_log (at, actor_kind, actor_id, actor_name, api_token_id, action, object_kind, \
         object_id, object_name, address, request_id, details) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::jsonb)";
macro_rules! filter {
    () => {
        " FROM audit_log WHERE ($1::text IS NULL OR lower(actor_name) = lower($1) OR actor_id::text = $1) \
             AND ($2::text IS NULL OR action = $2) \
             AND ($3::text IS NULL OR lower(object_name) = lower($3) OR object_id = $3) \
             AND ($4::int8 IS NULL OR $4 <= at) AND ($5::int8 IS NULL OR at < $5) \
             AND ($6::text IS NULL OR address = $6)"
    };
}
const LIST: &str = concat!(
    "SELECT id, at, actor_kind, actor_id, actor_name, api_token_id, action, object_kind, object_id, object_name, \
     address, request_id, details::text",
    filter!(),
    " ORDER BY id DESC LIMIT $7 OFFSET $8"
);
const COUNT: &str = concat!("SELECT count(*)", filter!());
const DELETE_OLD: &str = "DELETE FROM audit_log WHERE at < $1";

pub(super) const STATEMENTS: &[&str] = &[INSERT, LIST, COUNT, DELETE_OLD];

/// Which events to return; absent fields match everything.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Name or id of the acting user.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// Name or id of the object.
    pub object: Option<String>,
    /// Start of the range, inclusive.
    pub from: Option<TimestampMs>,
    /// End of the range, exclusive.
    pub to: Option<TimestampMs>,
    /// The address it was done from.
    pub address: Option<String>,
}

/// A stored event.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "described by domain::audit and the columns of audit_log")]
pub struct AuditEntry {
    pub id: i64,
    pub at: TimestampMs,
    pub actor_kind: String,
    pub actor_id: Option<Uuid>,
    pub actor_name: String,
    pub api_token_id: Option<Uuid>,
    pub action: String,
    pub object_kind: Option<String>,
    pub object_id: Option<String>,
    pub object_name: Option<String>,
    pub address: String,
    pub request_id: String,
    pub details: serde_json::Value,
}

impl Store {
    /// Writes an event that belongs to no change in the database.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn record(&self, event: &AuditEvent) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        Ok(insert(connection.client(), event).await?)
    }

    /// Returns a page of the log, newest first, and the total number of events.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn audit_log(
        &self,
        filter: &AuditFilter,
        offset: i64,
        limit: i64,
    ) -> Result<(Vec<AuditEntry>, i64), Error> {
        let AuditFilter { actor, action, object, from, to, address } = filter;
        let mut parameters: Vec<Parameter<'_>> = vec![actor, action, object, from, to, address];
        let connection = self.connection().await?;
        let total = connection.query_opt(COUNT, &parameters).await?;
        parameters.extend([&limit as Parameter<'_>, &offset]);
        let rows = connection.query(LIST, &parameters).await?;
        Ok((rows.iter().map(entry).collect(), total.map_or(0, |row| row.get(0))))
    }

    /// Deletes the events before `time`, and returns how many.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_audit_log_before(&self, time: TimestampMs) -> Result<u64, Error> {
        Ok(self.connection().await?.execute(DELETE_OLD, &[&time]).await?)
    }
}

/// Writes an event in the transaction of the change it describes.
pub(super) async fn insert(
    client: &impl GenericClient,
    event: &AuditEvent,
) -> Result<(), tokio_postgres::Error> {
    let AuditEvent { actor, origin, action, object, details } = event;
    let object = object.as_ref();
    client
        .execute(
            INSERT,
            &[
                &origin.at,
                &actor.kind(),
                &actor.user_id().map(|id| id.0),
                &actor.name(),
                &actor.api_token_id().map(|id| id.0),
                &action.as_str(),
                &object.map(|object| object.kind.as_str()),
                &object.map(|object| object.id.as_str()),
                &object.map(|object| object.name.as_str()),
                &origin.address,
                &origin.request_id,
                &details.to_string(),
            ],
        )
        .await?;
    Ok(())
}

fn entry(row: &Row) -> AuditEntry {
    AuditEntry {
        id: row.get(0),
        at: row.get(1),
        actor_kind: row.get(2),
        actor_id: row.get(3),
        actor_name: row.get(4),
        api_token_id: row.get(5),
        action: row.get(6),
        object_kind: row.get(7),
        object_id: row.get(8),
        object_name: row.get(9),
        address: row.get(10),
        request_id: row.get(11),
        details: serde_json::from_str(row.get(12)).unwrap_or_default(),
    }
}
