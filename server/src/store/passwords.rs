//! Password hashes of users.

use super::user_rows::{USER_COLUMNS, find_to_change, finish, user, user_columns};
use super::{Error, Store, UserError};
use crate::domain::audit::AuditEvent;
use crate::domain::id::{SessionId, UserId};
use crate::domain::name::username_key;
use crate::domain::user::User;

const FIND_WITH_PASSWORD: &str =
    concat!("SELECT ", user_columns!(), ", password_hash FROM users WHERE username_key = $1");
const FIND_PASSWORD: &str = "SELECT password_hash FROM users WHERE id = $1";
const SET_PASSWORD: &str = "UPDATE users SET password_hash = $3, updated_at = $2 WHERE id = $1";
const REHASH_PASSWORD: &str = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
const DELETE_OTHER_SESSIONS: &str = "DELETE FROM sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2";

pub(super) const STATEMENTS: &[&str] =
    &[FIND_WITH_PASSWORD, FIND_PASSWORD, SET_PASSWORD, REHASH_PASSWORD, DELETE_OTHER_SESSIONS];

/// A user and their password hash.
#[derive(Clone, Debug)]
pub struct UserWithPassword {
    /// The user.
    pub user: User,
    /// In PHC form.
    pub password_hash: String,
}

impl Store {
    /// Returns a user by login name, with the password hash.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn user_with_password(&self, username: &str) -> Result<Option<UserWithPassword>, Error> {
        let row = self.connection().await?.query_opt(FIND_WITH_PASSWORD, &[&username_key(username)]).await?;
        Ok(row.map(|row| UserWithPassword { user: user(&row), password_hash: row.get(USER_COLUMNS) }))
    }

    /// Returns a user's password hash.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn password_hash(&self, id: UserId) -> Result<Option<String>, Error> {
        Ok(self.connection().await?.query_opt(FIND_PASSWORD, &[&id.0]).await?.map(|row| row.get(0)))
    }

    /// Sets a password, given as its hash, and ends all sessions of the user but one. The event's object is filled in.
    ///
    /// # Errors
    /// [`UserError`]; nothing has changed then.
    pub async fn set_password(
        &self,
        id: UserId,
        password_hash: &str,
        session_to_keep: Option<SessionId>,
        event: AuditEvent,
    ) -> Result<(), UserError> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let user = find_to_change(&transaction, id, |_| false).await?;
        transaction.execute(SET_PASSWORD, &[&id.0, &event.origin.at, &password_hash]).await?;
        transaction.execute(DELETE_OTHER_SESSIONS, &[&id.0, &session_to_keep.map(|id| id.0)]).await?;
        finish(transaction, event, &user).await
    }

    /// Replaces a password's hash by another one of the same password, unless the password has changed.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn rehash_password(&self, id: UserId, old_hash: &str, new_hash: &str) -> Result<(), Error> {
        self.connection().await?.execute(REHASH_PASSWORD, &[&id.0, &old_hash, &new_hash]).await?;
        Ok(())
    }
}
