//! Shared by all that reads and changes users: columns, lock and errors.

use tokio_postgres::{Row, Transaction};

use super::{Error, audit, lock};
use crate::domain::audit::{AuditEvent, Object};
use crate::domain::id::UserId;
use crate::domain::user::{Role, User};

macro_rules! user_columns {
    () => {
        "users.id, username, nickname, email, phone, avatar, role, status, users.created_at, updated_at, \
         EXISTS (SELECT FROM totp WHERE totp.user_id = users.id AND confirmed_at IS NOT NULL)"
    };
}
pub(super) use user_columns;

/// Number of columns in `user_columns!`.
pub(super) const USER_COLUMNS: usize = 11;

const FIND_TO_CHANGE: &str =
    concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1 FOR NO KEY UPDATE OF users");
const HAS_OTHER_ADMIN: &str =
    "SELECT EXISTS (SELECT FROM users WHERE role = 'admin' AND status = 1 AND id <> $1)";

pub(super) const STATEMENTS: &[&str] = &[FIND_TO_CHANGE, HAS_OTHER_ADMIN];

/// Why a user was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// Another user has the name, possibly in another case.
    #[error("the username is taken")]
    NameTaken,
    /// The name could be mistaken for another user's.
    #[error("the username looks like that of another user")]
    NameLooksTaken,
    /// No administrator would be left.
    #[error("this is the last enabled administrator; create another one first")]
    LastAdmin,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<tokio_postgres::Error> for UserError {
    fn from(error: tokio_postgres::Error) -> Self {
        match Error::from(error) {
            Error::Conflict { .. } => UserError::NameTaken,
            other => UserError::Store(other),
        }
    }
}

impl From<bb8::RunError<Error>> for UserError {
    fn from(error: bb8::RunError<Error>) -> Self {
        UserError::Store(error.into())
    }
}

/// Keeps others from changing users until the transaction ends.
pub(super) async fn exclude_others(transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
    lock::USERS.hold_in(transaction).await
}

/// Locks a user to be changed. If the change takes an administrator's power away, no one else can do so until the
/// transaction ends, and one administrator must remain.
pub(super) async fn find_to_change(
    transaction: &Transaction<'_>,
    id: UserId,
    loses_power: impl Fn(&User) -> bool,
) -> Result<User, UserError> {
    exclude_others(transaction).await?;
    let row = transaction.query_opt(FIND_TO_CHANGE, &[&id.0]).await?.ok_or(UserError::NotFound)?;
    let user = user(&row);
    if user.role == Role::Admin && user.enabled && loses_power(&user) {
        let has_other: bool = transaction.query_one(HAS_OTHER_ADMIN, &[&id.0]).await?.get(0);
        if !has_other {
            return Err(UserError::LastAdmin);
        }
    }
    Ok(user)
}

/// Commits a change of a user with its audit event.
pub(super) async fn finish(
    transaction: Transaction<'_>,
    event: AuditEvent,
    user: &User,
) -> Result<(), UserError> {
    audit::insert(&transaction, &event.about(Object::user(user))).await?;
    Ok(transaction.commit().await?)
}

/// Reads the columns of `user_columns!`.
pub(super) fn user(row: &Row) -> User {
    User {
        id: UserId(row.get(0)),
        username: row.get(1),
        nickname: row.get(2),
        email: row.get(3),
        phone: row.get(4),
        avatar: row.get(5),
        // The column's CHECK admits nothing else; for anything unknown the lesser role is the safe reading.
        role: Role::parse(row.get(6)).unwrap_or(Role::User),
        enabled: row.get::<_, i16>(7) == 1,
        created_at: row.get(8),
        updated_at: row.get(9),
        has_totp: row.get(10),
    }
}
