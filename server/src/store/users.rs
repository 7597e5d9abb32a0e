//! Users. A change and its audit event are one transaction.

use tokio_postgres::Transaction;

use super::user_rows::{UserError, exclude_others, find_to_change, finish, user, user_columns};
use super::usernames::check_username;
use super::{Error, Store};
use crate::domain::audit::AuditEvent;
use crate::domain::id::UserId;
use crate::domain::name::username_key;
use crate::domain::user::{Role, User};

// Not LIKE, in which some characters of the search text would be special.
macro_rules! search {
    () => {
        " FROM users WHERE $1 = '' OR strpos(lower(username), lower($1)) > 0 OR strpos(lower(nickname), lower($1)) > 0 \
             OR strpos(lower(email), lower($1)) > 0 OR strpos(lower(phone), lower($1)) > 0"
    };
}

const INSERT: &str = "INSERT INTO users (id, username, password_hash, nickname, email, phone, avatar, role, created_at, \
         updated_at, username_key) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)";
const FIND: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1");
const FIND_BY_NAME: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE username_key = $1");
const ANY: &str = "SELECT EXISTS (SELECT FROM users)";
const COUNT: &str = concat!("SELECT count(*)", search!());
const UPDATE: &str = "UPDATE users SET username = coalesce($3, username), username_key = coalesce($9, username_key), nickname = coalesce($4, nickname), \
         email = coalesce($5, email), phone = coalesce($6, phone), avatar = coalesce($7, avatar), \
         role = coalesce($8, role), updated_at = $2 \
     WHERE id = $1";
const SET_STATUS: &str = "UPDATE users SET status = $3, updated_at = $2 WHERE id = $1";
const DELETE: &str = "DELETE FROM users WHERE id = $1";
const DELETE_SESSIONS: &str = "DELETE FROM sessions WHERE user_id = $1";
const DELETE_API_TOKENS: &str = "DELETE FROM api_tokens WHERE user_id = $1";

pub(super) const STATEMENTS: &[&str] =
    &[INSERT, FIND, FIND_BY_NAME, ANY, COUNT, UPDATE, SET_STATUS, DELETE, DELETE_SESSIONS, DELETE_API_TOKENS];

/// The sort order of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of a user")]
pub enum UserSort {
    #[default]
    Username,
    Nickname,
    Email,
    Role,
    Status,
    CreatedAt,
    UpdatedAt,
}

impl UserSort {
    /// All sort orders.
    pub const ALL: [UserSort; 7] = [
        UserSort::Username,
        UserSort::Nickname,
        UserSort::Email,
        UserSort::Role,
        UserSort::Status,
        UserSort::CreatedAt,
        UserSort::UpdatedAt,
    ];

    fn expression(self) -> &'static str {
        match self {
            UserSort::Username => "lower(username)",
            UserSort::Nickname => "lower(nickname)",
            UserSort::Email => "lower(email)",
            UserSort::Role => "role",
            UserSort::Status => "status",
            UserSort::CreatedAt => "users.created_at",
            UserSort::UpdatedAt => "updated_at",
        }
    }
}

/// Returns the statement of a page of users: search text, limit, offset.
pub(super) fn list_statement(sort: UserSort, is_descending: bool) -> String {
    let direction = if is_descending { "DESC" } else { "ASC" };
    format!(
        concat!("SELECT ", user_columns!(), search!(), " ORDER BY {} {}, users.id LIMIT $2 OFFSET $3"),
        sort.expression(),
        direction
    )
}

/// A user to create.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The login name.
    pub username: String,
    /// The password's hash in PHC form.
    pub password_hash: String,
    /// The display name.
    pub nickname: String,
    /// Mail address.
    pub email: String,
    /// Telephone number.
    pub phone: String,
    /// Address of a picture.
    pub avatar: String,
    /// The user's role.
    pub role: Role,
}

/// Changes to a user; absent fields stay.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields of a user")]
pub struct UserUpdate {
    pub username: Option<String>,
    pub nickname: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub avatar: Option<String>,
    pub role: Option<Role>,
}

impl Store {
    /// Returns whether there is any user yet.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn has_users(&self) -> Result<bool, Error> {
        let row = self.connection().await?.query_opt(ANY, &[]).await?;
        Ok(row.is_some_and(|row| row.get(0)))
    }

    /// Creates a user. The event's object is filled in.
    ///
    /// # Errors
    /// [`UserError::NameTaken`] and [`UserError::NameLooksTaken`].
    pub async fn insert_user(&self, new: &NewUser, event: AuditEvent) -> Result<User, UserError> {
        let id = UserId::random();
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        exclude_others(&transaction).await?;
        check_username(&transaction, &new.username, id).await?;
        transaction
            .execute(
                INSERT,
                &[
                    &id.0,
                    &new.username,
                    &new.password_hash,
                    &new.nickname,
                    &new.email,
                    &new.phone,
                    &new.avatar,
                    &new.role.as_str(),
                    &event.origin.at,
                    &username_key(&new.username),
                ],
            )
            .await?;
        let user = changed(&transaction, id).await?;
        finish(transaction, event, &user).await?;
        Ok(user)
    }

    /// Returns a user by id.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, Error> {
        Ok(self.connection().await?.query_opt(FIND, &[&id.0]).await?.as_ref().map(user))
    }

    /// Returns a user by login name.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn user_by_name(&self, username: &str) -> Result<Option<User>, Error> {
        Ok(self
            .connection()
            .await?
            .query_opt(FIND_BY_NAME, &[&username_key(username)])
            .await?
            .as_ref()
            .map(user))
    }

    /// Returns a page of the users whose name, nickname, mail address or telephone number contains `search`, and their
    /// total number.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn users(
        &self,
        search: &str,
        sort: UserSort,
        is_descending: bool,
        offset: i64,
        limit: i64,
    ) -> Result<(Vec<User>, i64), Error> {
        let connection = self.connection().await?;
        let list = list_statement(sort, is_descending);
        let rows = connection.query(&list, &[&search, &limit, &offset]).await?;
        let total = connection.query_opt(COUNT, &[&search]).await?;
        Ok((rows.iter().map(user).collect(), total.map_or(0, |row| row.get(0))))
    }

    /// Changes a user. The event's object is filled in.
    ///
    /// # Errors
    /// [`UserError`]; nothing has changed then.
    pub async fn update_user(
        &self,
        id: UserId,
        update: &UserUpdate,
        event: AuditEvent,
    ) -> Result<User, UserError> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let loses_power = |_: &User| update.role == Some(Role::User);
        find_to_change(&transaction, id, loses_power).await?;
        let UserUpdate { username, nickname, email, phone, avatar, role } = update;
        let role = role.map(Role::as_str);
        let key = username.as_deref().map(username_key);
        if let Some(username) = username {
            check_username(&transaction, username, id).await?;
        }
        transaction
            .execute(
                UPDATE,
                &[&id.0, &event.origin.at, username, nickname, email, phone, avatar, &role, &key],
            )
            .await?;
        let user = changed(&transaction, id).await?;
        finish(transaction, event, &user).await?;
        Ok(user)
    }

    /// Enables or disables a user. Disabling deletes the user's sessions and API tokens at once and for good. The
    /// event's object is filled in.
    ///
    /// # Errors
    /// [`UserError`]; nothing has changed then.
    pub async fn set_user_enabled(
        &self,
        id: UserId,
        is_enabled: bool,
        event: AuditEvent,
    ) -> Result<User, UserError> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        find_to_change(&transaction, id, |_| !is_enabled).await?;
        transaction.execute(SET_STATUS, &[&id.0, &event.origin.at, &i16::from(is_enabled)]).await?;
        if !is_enabled {
            transaction.execute(DELETE_SESSIONS, &[&id.0]).await?;
            transaction.execute(DELETE_API_TOKENS, &[&id.0]).await?;
        }
        let user = changed(&transaction, id).await?;
        finish(transaction, event, &user).await?;
        Ok(user)
    }

    /// Deletes a user, with sessions and API tokens. The event's object is filled in.
    ///
    /// # Errors
    /// [`UserError`]; nothing has changed then.
    pub async fn delete_user(&self, id: UserId, event: AuditEvent) -> Result<(), UserError> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        let user = find_to_change(&transaction, id, |_| true).await?;
        transaction.execute(DELETE, &[&id.0]).await?;
        finish(transaction, event, &user).await
    }
}

async fn changed(transaction: &Transaction<'_>, id: UserId) -> Result<User, UserError> {
    Ok(user(&transaction.query_one(FIND, &[&id.0]).await?))
}
