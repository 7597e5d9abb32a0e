//! Sessions of logged-in users. Only the hash of a session's token is stored.

use tokio_postgres::Row;

use super::user_rows::{USER_COLUMNS, user, user_columns};
use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::audit::AuditEvent;
use crate::domain::id::{SessionId, UserId};
use crate::domain::token::TokenHash;
use crate::domain::user::User;

/// Maximum live sessions of one user; another one ends the oldest.
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

/// Locks the user of a checked login, if still enabled and the password is still the one that was checked.
const LOCK_FOR_LOGIN: &str =
    "SELECT 1 FROM users WHERE id = $1 AND status = 1 AND password_hash = $2 FOR NO KEY UPDATE";

/// The time of last use of a credential is updated at most this often.
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

/// A session to create.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The token's hash.
    pub token_hash: TokenHash,
    /// The user's id.
    pub user_id: UserId,
    /// When it expires.
    pub expires_at: TimestampMs,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// The session that the new one replaces.
    pub replaces: Option<TokenHash>,
}

/// A live session.
#[derive(Clone, Debug)]
pub struct Session {
    /// The session's id.
    pub id: SessionId,
    /// When the user logged in.
    pub created_at: TimestampMs,
    /// When it expires.
    pub expires_at: TimestampMs,
    /// When it was last used, to the minute.
    pub last_used_at: Option<TimestampMs>,
    /// The address the user logged in from.
    pub address: String,
    /// The `User-Agent` of the login.
    pub user_agent: String,
}

impl Store {
    /// Creates a session for a user whose password was checked against `password_hash`. Returns `None` if the user was
    /// disabled, deleted or given another password since.
    ///
    /// # Errors
    /// If the database is unavailable.
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

    /// Returns the enabled user behind a live session, the session's id, and when it expires.
    ///
    /// # Errors
    /// If the database is unavailable.
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

    /// Returns a user's live sessions, newest first.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn sessions(&self, user_id: UserId, now: TimestampMs) -> Result<Vec<Session>, Error> {
        Ok(self.connection().await?.query(LIST, &[&user_id.0, &now]).await?.iter().map(session).collect())
    }

    /// Returns the addresses from which the user whose name has this key has live sessions; empty if there is no such
    /// user.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn session_addresses(
        &self,
        username_key: &str,
        now: TimestampMs,
    ) -> Result<Vec<String>, Error> {
        let rows = self.connection().await?.query(ADDRESSES, &[&username_key, &now]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Deletes a session of a user. Returns whether there was one.
    ///
    /// # Errors
    /// If the database is unavailable.
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

    /// Deletes expired sessions, and returns how many.
    ///
    /// # Errors
    /// If the database is unavailable.
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
