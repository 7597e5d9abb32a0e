//! API tokens of users. Only the hash of a token is kept.

use tokio_postgres::Row;

use super::sessions::LAST_USE_INTERVAL_MS;
use super::user_rows::{USER_COLUMNS, user, user_columns};
use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::audit::{AuditEvent, Object, ObjectKind};
use crate::domain::id::{ApiTokenId, UserId};
use crate::domain::permission::{ApiToken, Scope};
use crate::domain::token::TokenHash;
use crate::domain::user::User;

/// Maximum API tokens of one user.
pub const API_TOKENS_PER_USER_MAX: i64 = 100;

macro_rules! token_columns {
    () => {
        "api_tokens.id, name, scopes, api_tokens.created_at, expires_at, last_used_at"
    };
}

const LOCK_USER: &str = "SELECT 1 FROM users WHERE id = $1 AND status = 1 FOR NO KEY UPDATE";
const COUNT: &str = "SELECT count(*) FROM api_tokens WHERE user_id = $1";
const INSERT: &str = "INSERT INTO api_tokens (id, user_id, name, token_hash, scopes, created_at, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";
const FIND_USER: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", ",
    token_columns!(),
    " FROM api_tokens JOIN users ON users.id = user_id \
     WHERE status = 1 AND token_hash = $1 AND (expires_at IS NULL OR $2 < expires_at)"
);
const TOUCH: &str = "UPDATE api_tokens SET last_used_at = $2 WHERE id = $1";
const LIST: &str =
    concat!("SELECT ", token_columns!(), " FROM api_tokens WHERE user_id = $1 ORDER BY created_at DESC, id");
const DELETE: &str =
    "DELETE FROM api_tokens WHERE id = $1 AND ($2::uuid IS NULL OR user_id = $2) RETURNING name, user_id";
const DELETE_EXPIRED: &str = "DELETE FROM api_tokens WHERE expires_at <= $1";

pub(super) const STATEMENTS: &[&str] =
    &[LOCK_USER, COUNT, INSERT, FIND_USER, TOUCH, LIST, DELETE, DELETE_EXPIRED];

/// An API token to create.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// The owner's id.
    pub user_id: UserId,
    /// The owner's name for it.
    pub name: String,
    /// The token's hash.
    pub token_hash: TokenHash,
    /// What the token may be used for.
    pub scopes: Vec<Scope>,
    /// When it expires; `None` means never.
    pub expires_at: Option<TimestampMs>,
}

/// Why an API token was not created.
#[derive(Debug, thiserror::Error)]
pub enum ApiTokenError {
    /// The user has the maximum number, or no longer exists.
    #[error("a user may have {API_TOKENS_PER_USER_MAX} API tokens; delete one first")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Store {
    /// Creates an API token. The event's object is filled in.
    ///
    /// # Errors
    /// [`ApiTokenError::TooMany`].
    pub async fn insert_api_token(
        &self,
        new: &NewApiToken,
        event: AuditEvent,
    ) -> Result<ApiToken, ApiTokenError> {
        let mut connection = self.connection().await?;
        let token = ApiToken {
            id: ApiTokenId::random(),
            name: new.name.clone(),
            scopes: new.scopes.clone(),
            created_at: event.origin.at,
            expires_at: new.expires_at,
            last_used_at: None,
        };
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        let transaction = connection.transaction().await.map_err(Error::from)?;
        let insert = async {
            // One at a time per user, and none for a user who is being disabled.
            if transaction.query_opt(LOCK_USER, &[&new.user_id.0]).await?.is_none() {
                return Ok(false);
            }
            let count: i64 = transaction.query_one(COUNT, &[&new.user_id.0]).await?.get(0);
            if API_TOKENS_PER_USER_MAX <= count {
                return Ok(false);
            }
            transaction
                .execute(
                    INSERT,
                    &[
                        &token.id.0,
                        &new.user_id.0,
                        &token.name,
                        &new.token_hash.0.as_slice(),
                        &scopes,
                        &token.created_at,
                        &token.expires_at,
                    ],
                )
                .await?;
            let object = Object::new(ObjectKind::ApiToken, &token.id, &token.name);
            audit::insert(&transaction, &event.about(object)).await?;
            Ok::<bool, tokio_postgres::Error>(true)
        };
        if !insert.await.map_err(Error::from)? {
            return Err(ApiTokenError::TooMany);
        }
        transaction.commit().await.map_err(Error::from)?;
        Ok(token)
    }

    /// Returns the enabled user behind a live API token, and the token.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn api_token_user(
        &self,
        token_hash: TokenHash,
        now: TimestampMs,
    ) -> Result<Option<(User, ApiToken)>, Error> {
        let connection = self.connection().await?;
        let Some(row) = connection.query_opt(FIND_USER, &[&token_hash.0.as_slice(), &now]).await? else {
            return Ok(None);
        };
        let token = api_token(&row, USER_COLUMNS);
        if token.last_used_at.is_none_or(|at| at <= now - LAST_USE_INTERVAL_MS) {
            connection.execute(TOUCH, &[&token.id.0, &now]).await?;
        }
        Ok(Some((user(&row), token)))
    }

    /// Returns a user's API tokens, newest first.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn api_tokens(&self, user_id: UserId) -> Result<Vec<ApiToken>, Error> {
        let rows = self.connection().await?.query(LIST, &[&user_id.0]).await?;
        Ok(rows.iter().map(|row| api_token(row, 0)).collect())
    }

    /// Deletes an API token; if a user is given, only one of theirs. Returns whether there was one. The event's object
    /// is filled in.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_api_token(
        &self,
        id: ApiTokenId,
        user_id: Option<UserId>,
        event: AuditEvent,
    ) -> Result<bool, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let Some(row) = transaction.query_opt(DELETE, &[&id.0, &user_id.map(|id| id.0)]).await? else {
            return Ok(false);
        };
        let owner = UserId(row.get(1));
        let object = Object::new(ObjectKind::ApiToken, &id, row.get::<_, String>(0));
        let details = serde_json::json!({"userId": owner.0});
        audit::insert(&transaction, &event.about(object).with(details)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Deletes expired API tokens, and returns how many.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_expired_api_tokens(&self, now: TimestampMs) -> Result<u64, Error> {
        Ok(self.connection().await?.execute(DELETE_EXPIRED, &[&now]).await?)
    }
}

/// Reads the columns of `token_columns!`, starting at `first`.
fn api_token(row: &Row, first: usize) -> ApiToken {
    let scopes: Vec<String> = row.get(first + 2);
    ApiToken {
        id: ApiTokenId(row.get(first)),
        name: row.get(first + 1),
        scopes: scopes.iter().filter_map(|scope| Scope::parse(scope)).collect(),
        created_at: row.get(first + 3),
        expires_at: row.get(first + 4),
        last_used_at: row.get(first + 5),
    }
}
