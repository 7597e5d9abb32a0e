//! Enrollment tokens, with which new agents register.

use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::Parameter;
use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::audit::{AuditEvent, Object, ObjectKind};
use crate::domain::id::{AgentId, ApiTokenId, EnrollmentId};
use crate::domain::token::TokenHash;

// Nothing is created with an API token that has expired in the meantime.
macro_rules! maker_is_live {
    ($id:literal) => {
        concat!(
            "(",
            $id,
            "::uuid IS NULL OR EXISTS (SELECT FROM api_tokens WHERE id = ",
            $id,
            " FOR KEY SHARE))"
        )
    };
}

const INSERT: &str = concat!(
    "INSERT INTO enrollments (id, name, token_hash, max_uses, expires_at, created_at, api_token_id) \
     SELECT $1, $2, $3, $4, $5, $6, $7 WHERE ",
    maker_is_live!("$7")
);
// Earlier tokens for the same agent end, since with several nobody would know which are still in circulation.
const INSERT_FOR_AGENT: &str = concat!(
    "WITH agent AS (SELECT key, coalesce(custom_name, name) AS name FROM agents WHERE id = $2 AND ",
    maker_is_live!("$6"),
    "), \
         ended AS (DELETE FROM enrollments USING agent WHERE agent_key = agent.key AND uses = 0) \
     INSERT INTO enrollments (id, name, token_hash, max_uses, expires_at, created_at, agent_key, api_token_id) \
     SELECT $1, agent.name, $3, 1, $4, $5, agent.key, $6 FROM agent RETURNING name"
);
macro_rules! select_enrollments {
    ($rest:literal) => {
        concat!(
            "SELECT enrollments.id, enrollments.name, max_uses, uses, expires_at, enrollments.created_at, agents.id, \
                 api_token_id \
             FROM enrollments LEFT JOIN agents ON agents.key = agent_key ",
            $rest
        )
    };
}

const LIST: &str = select_enrollments!("ORDER BY enrollments.created_at DESC, enrollments.id");
const FIND: &str = select_enrollments!("WHERE enrollments.id = $1");
const DELETE: &str = "DELETE FROM enrollments WHERE id = $1 RETURNING name";
const DELETE_ENDED: &str = "DELETE FROM enrollments WHERE expires_at <= $1 OR max_uses <= uses";

pub(super) const STATEMENTS: &[&str] = &[INSERT, INSERT_FOR_AGENT, LIST, FIND, DELETE, DELETE_ENDED];

/// An enrollment token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrollment {
    /// The token's id.
    pub id: EnrollmentId,
    /// The name given by people.
    pub name: String,
    /// The one agent it enrolls again; `None` for a token that enrolls new agents.
    pub agent_id: Option<AgentId>,
    /// How many agents it may enroll.
    pub max_uses: i32,
    /// How many agents it has enrolled.
    pub uses: i32,
    /// When it expires.
    pub expires_at: TimestampMs,
    /// When it was created.
    pub created_at: TimestampMs,
    /// The API token that created it, with which it ends; `None` if a logged-in user did.
    pub api_token_id: Option<ApiTokenId>,
}

/// An enrollment token to create.
#[derive(Clone, Debug)]
pub struct NewEnrollment {
    /// The name given by people.
    pub name: String,
    /// The token's hash.
    pub token_hash: TokenHash,
    /// How many agents it may enroll; at least one.
    pub max_uses: i32,
    /// When it expires.
    pub expires_at: TimestampMs,
}

impl Store {
    /// Creates an enrollment token. If created by an API token, it ends with that one. Returns `None` if the API token
    /// has expired already. The event's object is filled in.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn insert_enrollment(
        &self,
        new: &NewEnrollment,
        event: AuditEvent,
    ) -> Result<Option<Enrollment>, Error> {
        let id = EnrollmentId::random();
        let (now, maker) = (event.origin.at, event.actor.api_token_id());
        let parameters: [Parameter<'_>; 7] = [
            &id.0,
            &new.name,
            &new.token_hash.0.as_slice(),
            &new.max_uses,
            &new.expires_at,
            &now,
            &maker.map(|id| id.0),
        ];
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        if transaction.execute(INSERT, &parameters).await? == 0 {
            return Ok(None);
        }
        audit::insert(&transaction, &event.about(Object::new(ObjectKind::Enrollment, &id, &new.name)))
            .await?;
        transaction.commit().await?;
        Ok(Some(Enrollment {
            id,
            name: new.name.clone(),
            agent_id: None,
            max_uses: new.max_uses,
            uses: 0,
            expires_at: new.expires_at,
            created_at: now,
            api_token_id: maker,
        }))
    }

    /// Creates a token that gives an agent a new secret, once. Returns `None` if there is no such agent, or the
    /// creating API token has expired already. The event's object is filled in.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn insert_reenrollment(
        &self,
        agent: AgentId,
        token_hash: TokenHash,
        expires_at: TimestampMs,
        event: AuditEvent,
    ) -> Result<Option<Enrollment>, Error> {
        let id = EnrollmentId::random();
        let (now, maker) = (event.origin.at, event.actor.api_token_id());
        let parameters: [Parameter<'_>; 6] =
            [&id.0, &agent.0, &token_hash.0.as_slice(), &expires_at, &now, &maker.map(|id| id.0)];
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let Some(row) = transaction.query_opt(INSERT_FOR_AGENT, &parameters).await? else {
            return Ok(None);
        };
        let name: String = row.get(0);
        audit::insert(&transaction, &event.about(Object::new(ObjectKind::Enrollment, &id, &name))).await?;
        transaction.commit().await?;
        Ok(Some(Enrollment {
            id,
            name,
            agent_id: Some(agent),
            max_uses: 1,
            uses: 0,
            expires_at,
            created_at: now,
            api_token_id: maker,
        }))
    }

    /// Returns all enrollment tokens, newest first.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn enrollments(&self) -> Result<Vec<Enrollment>, Error> {
        Ok(self.connection().await?.query(LIST, &[]).await?.iter().map(enrollment).collect())
    }

    /// Returns one enrollment token.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn enrollment(&self, id: EnrollmentId) -> Result<Option<Enrollment>, Error> {
        Ok(self.connection().await?.query_opt(FIND, &[&id.0]).await?.as_ref().map(enrollment))
    }

    /// Deletes an enrollment token. Agents it has enrolled stay. Returns whether there was one. The event's object is
    /// filled in.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_enrollment(&self, id: EnrollmentId, event: AuditEvent) -> Result<bool, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let Some(row) = transaction.query_opt(DELETE, &[&id.0]).await? else {
            return Ok(false);
        };
        let object = Object::new(ObjectKind::Enrollment, &id, row.get::<_, String>(0));
        audit::insert(&transaction, &event.about(object)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Deletes the enrollment tokens that are expired or used up, and returns how many. Agents they have enrolled stay.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_ended_enrollments(&self, now: TimestampMs) -> Result<u64, Error> {
        Ok(self.connection().await?.execute(DELETE_ENDED, &[&now]).await?)
    }
}

fn enrollment(row: &Row) -> Enrollment {
    Enrollment {
        id: EnrollmentId(row.get(0)),
        name: row.get(1),
        max_uses: row.get(2),
        uses: row.get(3),
        expires_at: row.get(4),
        created_at: row.get(5),
        agent_id: row.get::<_, Option<Uuid>>(6).map(AgentId),
        api_token_id: row.get::<_, Option<Uuid>>(7).map(ApiTokenId),
    }
}
