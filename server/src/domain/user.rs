//! Users and what they may do.

use super::TimestampMs;
use super::id::UserId;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads and changes everything.
    Admin,
    /// Reads.
    User,
}

impl Role {
    /// The role as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::User => "user",
        }
    }

    /// The role of a stored name.
    pub fn parse(name: &str) -> Option<Role> {
        match name {
            "admin" => Some(Role::Admin),
            "user" => Some(Role::User),
            _ => None,
        }
    }
}

/// A user, without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Public id.
    pub id: UserId,
    /// What the user logs in with.
    pub username: String,
    /// What people call the user.
    pub nickname: String,
    /// Mail address, possibly empty.
    pub email: String,
    /// Telephone number, possibly empty.
    pub phone: String,
    /// Address of a picture, possibly empty.
    pub avatar: String,
    /// What the user may do.
    pub role: Role,
    /// Disabled users cannot log in and their sessions are worth nothing.
    pub enabled: bool,
    /// When the user was made.
    pub created_at: TimestampMs,
    /// When the user was last changed.
    pub updated_at: TimestampMs,
}
