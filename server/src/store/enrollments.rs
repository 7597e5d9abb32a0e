//! Enrollment tokens: what lets a new agent in.

use postgres_types::ToSql;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::audit::{AuditEvent, Object, ObjectKind};
use crate::domain::id::{AgentId, EnrollmentId};
use crate::domain::token::TokenHash;

const INSERT: &str = "INSERT INTO enrollments (id, name, token_hash, max_uses, expires_at, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6)";
// Tokens that were made for the same agent before end: of several, nobody would know which are still about.
const INSERT_FOR_AGENT: &str = "WITH agent AS (SELECT key, coalesce(custom_name, name) AS name FROM agents WHERE id = $2), \
         ended AS (DELETE FROM enrollments USING agent WHERE agent_key = agent.key AND uses = 0) \
     INSERT INTO enrollments (id, name, token_hash, max_uses, expires_at, created_at, agent_key) \
     SELECT $1, agent.name, $3, 1, $4, $5, agent.key FROM agent RETURNING name";
const LIST: &str = "SELECT enrollments.id, enrollments.name, max_uses, uses, expires_at, enrollments.created_at, agents.id \
     FROM enrollments LEFT JOIN agents ON agents.key = agent_key ORDER BY enrollments.created_at DESC, enrollments.id";
const DELETE: &str = "DELETE FROM enrollments WHERE id = $1 RETURNING name";

pub(super) const STATEMENTS: &[&str] = &[INSERT, INSERT_FOR_AGENT, LIST, DELETE];

/// An enrollment token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrollment {
    /// Its id.
    pub id: EnrollmentId,
    /// What people call it.
    pub name: String,
    /// The one agent that it enrolls again; `None` for one that lets new agents in.
    pub agent_id: Option<AgentId>,
    /// How many agents it lets in.
    pub max_uses: i32,
    /// How many it has let in.
    pub uses: i32,
    /// When it ends.
    pub expires_at: TimestampMs,
    /// When it was made.
    pub created_at: TimestampMs,
}

/// An enrollment token to be made.
#[derive(Clone, Debug)]
pub struct NewEnrollment {
    /// What people call it.
    pub name: String,
    /// The token's hash.
    pub token_hash: TokenHash,
    /// How many agents it lets in; at least one.
    pub max_uses: i32,
    /// When it ends.
    pub expires_at: TimestampMs,
}

impl Store {
    /// Keeps a new enrollment token. The event's object is filled in.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn insert_enrollment(
        &self,
        new: &NewEnrollment,
        event: AuditEvent,
    ) -> Result<Enrollment, Error> {
        let id = EnrollmentId::random();
        let now = event.origin.at;
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        transaction
            .execute(
                INSERT,
                &[&id.0, &new.name, &new.token_hash.0.as_slice(), &new.max_uses, &new.expires_at, &now],
            )
            .await?;
        audit::insert(&transaction, &event.about(Object::new(ObjectKind::Enrollment, &id, &new.name)))
            .await?;
        transaction.commit().await?;
        Ok(Enrollment {
            id,
            name: new.name.clone(),
            agent_id: None,
            max_uses: new.max_uses,
            uses: 0,
            expires_at: new.expires_at,
            created_at: now,
        })
    }

    /// Keeps a token that gives an agent a new secret, once. `None` where there is no such agent. The event's object is
    /// filled in.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn insert_reenrollment(
        &self,
        agent: AgentId,
        token_hash: TokenHash,
        expires_at: TimestampMs,
        event: AuditEvent,
    ) -> Result<Option<Enrollment>, Error> {
        let id = EnrollmentId::random();
        let now = event.origin.at;
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&id.0, &agent.0, &token_hash.0.as_slice(), &expires_at, &now];
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
        }))
    }

    /// All enrollment tokens, the newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn enrollments(&self) -> Result<Vec<Enrollment>, Error> {
        Ok(self.connection().await?.query(LIST, &[]).await?.iter().map(enrollment).collect())
    }

    /// Ends an enrollment token. Agents that it let in stay. Answers whether there was one. The event's object is filled in.
    ///
    /// # Errors
    /// When the database is away.
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
    }
}
