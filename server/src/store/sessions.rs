//! Sessions of logged-in users. Only the hash of a session's token is kept.

use tokio_postgres::Row;

use super::user_rows::{USER_COLUMNS, user, user_columns};
use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::audit::AuditEvent;
use crate::domain::id::{SessionId, UserId};
use crate::domain::token::TokenHash;
use crate::domain::user::User;

/// Live sessions of one user; one more ends the oldest.
pub const SESSIONS_PER_USER_MAX: i64 = 50;

const INSERT: &str = "INSERT INTO sessions (id, token_hash, user_id, created_at, expires_at, address, user_agent, \
         last_used_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $4)";
const DELETE_OLDEST: &str = "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN \
     (SELECT id FROM sessions WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT $2)";
const FIND_USER: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", sessions.id, expires_at, last_used_at FROM sessions JOIN users ON users.id = user_id \
     WHERE status = 1 AND token_hash = $1 AND $2 < expires_at"
);
const TOUCH: &str = "UPDATE sessions SET last_used_at = $2 WHERE id = $1";
const LIST: &str = "SELECT id, created_at, expires_at, last_used_at, address, user_agent FROM sessions \
     WHERE user_id = $1 AND $2 < expires_at ORDER BY created_at DESC, id";
const ADDRESSES: &str = "SELECT address FROM sessions JOIN users ON users.id = user_id \
     WHERE username_key = $1 AND $2 < expires_at";
const DELETE: &str = "DELETE FROM sessions WHERE id = $1 AND user_id = $2";
const DELETE_BY_TOKEN: &str = "DELETE FROM sessions WHERE token_hash = $1";
const DELETE_EXPIRED: &str = "DELETE FROM sessions WHERE expires_at <= $1";

/// Locks the user of a login that has been checked: whether enabled still, and the password that of the check.
const LOCK_FOR_LOGIN: &str =
    "SELECT 1 FROM users WHERE id = $1 AND status = 1 AND password_hash = $2 FOR NO KEY UPDATE";

/// When a credential was last used is written at most so often.
pub(super) const LAST_USE_INTERVAL_MS: TimestampMs = 60_000;

pub(super) const STATEMENTS: &[&str] = &[
    INSERT,
    LOCK_FOR_LOGIN,
    DELETE_OLDEST,
    FIND_USER,
    TOUCH,
    LIST,
    ADDRESSES,
    DELETE,
    DELETE_BY_TOKEN,
    DELETE_EXPIRED,
];

/// A session to be made.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The token's hash.
    pub token_hash: TokenHash,
    /// Whose.
    pub user_id: UserId,
    /// When it ends.
    pub expires_at: TimestampMs,
    /// What the login came with.
    pub user_agent: String,
    /// The session that the new one takes the place of.
    pub replaces: Option<TokenHash>,
}

/// A live session.
#[derive(Clone, Debug)]
pub struct Session {
    /// What it is called by.
    pub id: SessionId,
    /// When the login was.
    pub created_at: TimestampMs,
    /// When it ends.
    pub expires_at: TimestampMs,
    /// When it was last used, to the minute.
    pub last_used_at: Option<TimestampMs>,
    /// Where the login came from.
    pub address: String,
    /// What the login came with.
    pub user_agent: String,
}

impl Store {
    /// Opens a session for a user whose password has been checked against `password_hash`. `None` where the user has been
    /// disabled, deleted or given another password since.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn insert_session(
        &self,
        new: &NewSession,
        password_hash: &str,
        event: &AuditEvent,
    ) -> Result<Option<SessionId>, Error> {
        let id = SessionId::random();
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        if transaction.query_opt(LOCK_FOR_LOGIN, &[&new.user_id.0, &password_hash]).await?.is_none() {
            return Ok(None);
        }
        if let Some(old) = new.replaces {
            transaction.execute(DELETE_BY_TOKEN, &[&old.0.as_slice()]).await?;
        }
        transaction
            .execute(
                INSERT,
                &[
                    &id.0,
                    &new.token_hash.0.as_slice(),
                    &new.user_id.0,
                    &event.origin.at,
                    &new.expires_at,
                    &event.origin.address,
                    &new.user_agent,
                ],
            )
            .await?;
        transaction.execute(DELETE_OLDEST, &[&new.user_id.0, &SESSIONS_PER_USER_MAX]).await?;
        audit::insert(&transaction, event).await?;
        transaction.commit().await?;
        Ok(Some(id))
    }

    /// The enabled user whose live session this is, the session, and when it ends.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn session_user(
        &self,
        token_hash: TokenHash,
        now: TimestampMs,
    ) -> Result<Option<(User, SessionId, TimestampMs)>, Error> {
        let connection = self.connection().await?;
        let Some(row) = connection.query_opt(FIND_USER, &[&token_hash.0.as_slice(), &now]).await? else {
            return Ok(None);
        };
        let id = SessionId(row.get(USER_COLUMNS));
        let last_used_at: Option<TimestampMs> = row.get(USER_COLUMNS + 2);
        if last_used_at.is_none_or(|at| at <= now - LAST_USE_INTERVAL_MS) {
            connection.execute(TOUCH, &[&id.0, &now]).await?;
        }
        Ok(Some((user(&row), id, row.get(USER_COLUMNS + 1))))
    }

    /// A user's live sessions, the newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sessions(&self, user_id: UserId, now: TimestampMs) -> Result<Vec<Session>, Error> {
        Ok(self.connection().await?.query(LIST, &[&user_id.0, &now]).await?.iter().map(session).collect())
    }

    /// The addresses from which the user whose name has this key has live sessions; none where there is no such user.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn session_addresses(
        &self,
        username_key: &str,
        now: TimestampMs,
    ) -> Result<Vec<String>, Error> {
        let rows = self.connection().await?.query(ADDRESSES, &[&username_key, &now]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Ends a session of a user. Answers whether there was one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn delete_session(
        &self,
        id: SessionId,
        user_id: UserId,
        event: &AuditEvent,
    ) -> Result<bool, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        if transaction.execute(DELETE, &[&id.0, &user_id.0]).await? == 0 {
            return Ok(false);
        }
        audit::insert(&transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Forgets the sessions that have ended by themselves, and answers how many.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn delete_expired_sessions(&self, now: TimestampMs) -> Result<u64, Error> {
        Ok(self.connection().await?.execute(DELETE_EXPIRED, &[&now]).await?)
    }
}

fn session(row: &Row) -> Session {
    Session {
        id: SessionId(row.get(0)),
        created_at: row.get(1),
        expires_at: row.get(2),
        last_used_at: row.get(3),
        address: row.get(4),
        user_agent: row.get(5),
    }
}
