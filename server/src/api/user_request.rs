//! Requests about users: creating, changing and sorting.

use poem_openapi::{Enum, Object};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use super::checked::checked;
use super::role::RoleName;
use crate::auth::NewAccount;
use crate::domain::name::parse_optional;
use crate::domain::user::{
    EMAIL_CHARS_MAX, NICKNAME_CHARS_MAX, PHONE_CHARS_MAX, Role, parse_avatar, parse_username,
};
use crate::store::{UserSort, UserUpdate};

/// The direction of sorting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(super) enum SortOrder {
    /// Ascending.
    Asc,
    /// Descending.
    Desc,
}

/// A user to create.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserRequest {
    /// The login name (1–64 characters); unique regardless of case.
    pub(super) username: String,
    /// The password (at least 8 characters, at most 1,024 bytes). If omitted, one is generated and returned once. An
    /// API token cannot set one: an administrator has to set it before the user can log in.
    #[serde(default)]
    pub(super) password: Option<String>,
    /// The display name (at most 64 characters).
    #[serde(default)]
    pub(super) nickname: Option<String>,
    /// Mail address (at most 254 characters).
    #[serde(default)]
    pub(super) email: Option<String>,
    /// Telephone number (at most 32 characters).
    #[serde(default)]
    pub(super) phone: Option<String>,
    /// URL of a picture (at most 2,048 characters): starts with `https://`, or is empty.
    #[serde(default)]
    pub(super) avatar: Option<String>,
    /// The role; by default `user`. Creating an administrator takes a session.
    #[serde(default)]
    pub(super) role: Option<RoleName>,
}

/// Changes to a user; omitted fields stay as they are.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserChange {
    /// The login name (1–64 characters); for administrators.
    #[serde(default)]
    pub(super) username: Option<String>,
    /// The display name (at most 64 characters).
    #[serde(default)]
    pub(super) nickname: Option<String>,
    /// Mail address (at most 254 characters).
    #[serde(default)]
    pub(super) email: Option<String>,
    /// Telephone number (at most 32 characters).
    #[serde(default)]
    pub(super) phone: Option<String>,
    /// URL of a picture (at most 2,048 characters): starts with `https://`, or is empty.
    #[serde(default)]
    pub(super) avatar: Option<String>,
    /// The role; for administrators with a session.
    #[serde(default)]
    pub(super) role: Option<RoleName>,
}

impl UserRequest {
    /// Validates the account to create.
    ///
    /// # Errors
    /// Names the invalid field.
    pub(super) fn check(self, role: Role) -> Result<NewAccount, ApiError> {
        let text = |name, text: Option<String>, max| field(name, text.as_deref().unwrap_or_default(), max);
        Ok(NewAccount {
            username: checked("username", parse_username(&self.username))?,
            nickname: text("nickname", self.nickname, NICKNAME_CHARS_MAX)?,
            email: text("email", self.email, EMAIL_CHARS_MAX)?,
            phone: text("phone", self.phone, PHONE_CHARS_MAX)?,
            avatar: checked("avatar", parse_avatar(self.avatar.as_deref().unwrap_or_default()))?,
            role,
        })
    }
}

impl UserChange {
    /// Returns whether it changes only what users may change about themselves.
    pub(super) fn is_personal(&self) -> bool {
        self.username.is_none() && self.role.is_none()
    }

    /// Validates the changes to store.
    ///
    /// # Errors
    /// Names the invalid field.
    pub(super) fn check(self) -> Result<UserUpdate, ApiError> {
        Ok(UserUpdate {
            username: self.username.map(|text| checked("username", parse_username(&text))).transpose()?,
            nickname: self.nickname.map(|text| field("nickname", &text, NICKNAME_CHARS_MAX)).transpose()?,
            email: self.email.map(|text| field("email", &text, EMAIL_CHARS_MAX)).transpose()?,
            phone: self.phone.map(|text| field("phone", &text, PHONE_CHARS_MAX)).transpose()?,
            avatar: self.avatar.map(|text| checked("avatar", parse_avatar(&text))).transpose()?,
            role: self.role.map(Role::from),
        })
    }
}

/// Returns the audit details of a change: the new name and role, and of the rest only that it was changed.
pub(super) fn audit_details(update: &UserUpdate) -> Value {
    let changed = |is_changed: bool| is_changed.then(|| json!("changed"));
    let details = [
        ("nickname", changed(update.nickname.is_some())),
        ("email", changed(update.email.is_some())),
        ("phone", changed(update.phone.is_some())),
        ("avatar", changed(update.avatar.is_some())),
        ("username", update.username.as_ref().map(|username| json!(username))),
        ("role", update.role.map(|role| json!(role.as_str()))),
    ];
    let details = details.into_iter().filter_map(|(name, detail)| Some((name.to_owned(), detail?)));
    Value::Object(details.collect())
}

fn field(parameter: &str, text: &str, chars_max: usize) -> Result<String, ApiError> {
    checked(parameter, parse_optional(text, chars_max))
}

/// Parses the sort field and whether the order is descending.
pub(super) fn parse_sort(sort: &str, order: Option<SortOrder>) -> Result<(UserSort, bool), ApiError> {
    let (is_reversed, name) = match sort.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, sort),
    };
    let sort = match name {
        "username" => UserSort::Username,
        "nickname" => UserSort::Nickname,
        "email" => UserSort::Email,
        "role" => UserSort::Role,
        "status" => UserSort::Status,
        "createdAt" => UserSort::CreatedAt,
        "updatedAt" => UserSort::UpdatedAt,
        _ => {
            let names = "username, nickname, email, role, status, createdAt or updatedAt, each optionally with a leading -";
            return Err(ApiError::unprocessable("sort", &format!("must be {names}")));
        }
    };
    Ok((sort, is_reversed != (order == Some(SortOrder::Desc))))
}
