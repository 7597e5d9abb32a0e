//! Enrollment tokens: what lets a new agent in.

use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::Parameter;
use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::audit::{AuditEvent, Object, ObjectKind};
use crate::domain::id::{AgentId, ApiTokenId, EnrollmentId};
use crate::domain::token::TokenHash;

// With an API token that has ended meanwhile nothing is made.
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
// Tokens that were made for the same agent before end: of several, nobody would know which are still about.
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
    /// The API token that made it, and that it ends with; `None` where somebody did who was logged in.
    pub api_token_id: Option<ApiTokenId>,
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
    /// Keeps a new enrollment token. Where an API token makes it, it ends with that one; `None` where that has ended
    /// already. The event's object is filled in.
    ///
    /// # Errors
    /// When the database is away.
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

    /// Keeps a token that gives an agent a new secret, once. `None` where there is no such agent, or where the API token
    /// that makes it has ended already. The event's object is filled in.
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

    /// All enrollment tokens, the newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn enrollments(&self) -> Result<Vec<Enrollment>, Error> {
        Ok(self.connection().await?.query(LIST, &[]).await?.iter().map(enrollment).collect())
    }

    /// One enrollment token.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn enrollment(&self, id: EnrollmentId) -> Result<Option<Enrollment>, Error> {
        Ok(self.connection().await?.query_opt(FIND, &[&id.0]).await?.as_ref().map(enrollment))
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

    /// Forgets the enrollment tokens that have expired or are used up, and answers how many. Agents that they let in stay.
    ///
    /// # Errors
    /// When the database is away.
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
