//! Sessions of logged-in users. Only the hash of a session's token is kept.

use super::users::{user, user_columns};
use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::id::UserId;
use crate::domain::token::TokenHash;
use crate::domain::user::User;

const INSERT: &str = "INSERT INTO sessions (token_hash, user_id, created_at, expires_at, address, user_agent) \
     VALUES ($1, $2, $3, $4, $5, $6)";
const FIND_USER: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users WHERE status = 1 AND id = \
     (SELECT user_id FROM sessions WHERE token_hash = $1 AND $2 < expires_at)"
);
const DELETE: &str = "DELETE FROM sessions WHERE token_hash = $1";
const DELETE_EXPIRED: &str = "DELETE FROM sessions WHERE expires_at <= $1";

pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND_USER, DELETE, DELETE_EXPIRED];

/// A session to be made.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The token's hash.
    pub token_hash: TokenHash,
    /// Whose.
    pub user_id: UserId,
    /// When it ends.
    pub expires_at: TimestampMs,
    /// Where the login came from.
    pub address: String,
    /// What the login came with.
    pub user_agent: String,
}

impl Store {
    /// Opens a session.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn insert_session(&self, new: &NewSession, now: TimestampMs) -> Result<(), Error> {
        self.connection()
            .await?
            .execute(
                INSERT,
                &[
                    &new.token_hash.0.as_slice(),
                    &new.user_id.0,
                    &now,
                    &new.expires_at,
                    &new.address,
                    &new.user_agent,
                ],
            )
            .await?;
        Ok(())
    }

    /// The enabled user whose live session this is.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn session_user(&self, token_hash: TokenHash, now: TimestampMs) -> Result<Option<User>, Error> {
        let row = self.connection().await?.query_opt(FIND_USER, &[&token_hash.0.as_slice(), &now]).await?;
        Ok(row.as_ref().map(user))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn delete_session(&self, token_hash: TokenHash) -> Result<(), Error> {
        self.connection().await?.execute(DELETE, &[&token_hash.0.as_slice()]).await?;
        Ok(())
    }

    /// Forgets the sessions that have ended by themselves, and answers how many.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn delete_expired_sessions(&self, now: TimestampMs) -> Result<u64, Error> {
        Ok(self.connection().await?.execute(DELETE_EXPIRED, &[&now]).await?)
    }
}
