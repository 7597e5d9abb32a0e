//! Users.

use tokio_postgres::Row;

use super::{Error, Store};
use crate::domain::TimestampMs;
use crate::domain::id::UserId;
use crate::domain::user::{Role, User};

macro_rules! user_columns {
    () => {
        "id, username, nickname, email, phone, avatar, role, status, created_at, updated_at"
    };
}
pub(super) use user_columns;

const INSERT: &str = "INSERT INTO users (id, username, password_hash, nickname, role, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $6)";
const FIND_WITH_PASSWORD: &str =
    concat!("SELECT ", user_columns!(), ", password_hash FROM users WHERE username = $1");
const ANY: &str = "SELECT EXISTS (SELECT FROM users)";

pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND_WITH_PASSWORD, ANY];

/// A user to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// What the user logs in with.
    pub username: String,
    /// The password's hash in PHC form.
    pub password_hash: String,
    /// What people call the user.
    pub nickname: String,
    /// What the user may do.
    pub role: Role,
}

/// A user and the hash of the password.
#[derive(Clone, Debug)]
pub struct UserWithPassword {
    /// The user.
    pub user: User,
    /// In PHC form.
    pub password_hash: String,
}

impl Store {
    /// Whether there is any user yet.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn has_users(&self) -> Result<bool, Error> {
        let row = self.connection().await?.query_opt(ANY, &[]).await?;
        Ok(row.is_some_and(|row| row.get(0)))
    }

    /// Makes a user.
    ///
    /// # Errors
    /// [`Error::Conflict`] where the name is taken.
    pub async fn insert_user(&self, new: &NewUser, now: TimestampMs) -> Result<UserId, Error> {
        let id = UserId::random();
        self.connection()
            .await?
            .execute(
                INSERT,
                &[&id.0, &new.username, &new.password_hash, &new.nickname, &new.role.as_str(), &now],
            )
            .await?;
        Ok(id)
    }

    /// A user by login name, with the password's hash.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn user_with_password(&self, username: &str) -> Result<Option<UserWithPassword>, Error> {
        let row = self.connection().await?.query_opt(FIND_WITH_PASSWORD, &[&username]).await?;
        Ok(row.map(|row| UserWithPassword { user: user(&row), password_hash: row.get(10) }))
    }
}

/// The user in the columns of `user_columns!`.
pub(super) fn user(row: &Row) -> User {
    User {
        id: UserId(row.get(0)),
        username: row.get(1),
        nickname: row.get(2),
        email: row.get(3),
        phone: row.get(4),
        avatar: row.get(5),
        // The column's CHECK lets in nothing else; the lesser role is the safe reading of anything unknown.
        role: Role::parse(row.get(6)).unwrap_or(Role::User),
        enabled: row.get::<_, i16>(7) == 1,
        created_at: row.get(8),
        updated_at: row.get(9),
    }
}
