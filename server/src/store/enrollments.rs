//! Enrollment tokens: what lets a new agent in.

use tokio_postgres::Row;

use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::audit::{AuditEvent, Object, ObjectKind};
use crate::domain::id::EnrollmentId;
use crate::domain::token::TokenHash;

const INSERT: &str = "INSERT INTO enrollments (id, name, token_hash, max_uses, expires_at, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6)";
const LIST: &str =
    "SELECT id, name, max_uses, uses, expires_at, created_at FROM enrollments ORDER BY created_at DESC, id";
const DELETE: &str = "DELETE FROM enrollments WHERE id = $1 RETURNING name";

pub(super) const STATEMENTS: &[&str] = &[INSERT, LIST, DELETE];

/// An enrollment token without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrollment {
    /// Its id.
    pub id: EnrollmentId,
    /// What people call it.
    pub name: String,
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
            max_uses: new.max_uses,
            uses: 0,
            expires_at: new.expires_at,
            created_at: now,
        })
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
    }
}
