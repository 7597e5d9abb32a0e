//! Users, what they may be called, and their roles.

use super::TimestampMs;
use super::id::UserId;

/// Longest username, in characters.
pub const USERNAME_CHARS_MAX: usize = 64;
/// Longest nickname, in characters.
pub const NICKNAME_CHARS_MAX: usize = 64;
/// Longest mail address, in characters.
pub const EMAIL_CHARS_MAX: usize = 254;
/// Longest telephone number, in characters.
pub const PHONE_CHARS_MAX: usize = 32;
/// Longest address of a picture, in characters.
pub const AVATAR_CHARS_MAX: usize = 2_048;

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
    /// What the user logs in with, in whatever case.
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
    /// Disabled users cannot log in and have neither sessions nor API tokens.
    pub enabled: bool,
    /// A login takes a code, too.
    pub has_totp: bool,
    /// When the user was made.
    pub created_at: TimestampMs,
    /// When the user was last changed.
    pub updated_at: TimestampMs,
}

/// What is wrong with a field of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserFieldError {
    /// There is nothing in it but space.
    #[error("must not be empty")]
    Empty,
    /// It is too long.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// It has characters that nobody can see, and that would make two names look alike.
    #[error("must not have control characters or invisible ones")]
    Invisible,
}

/// A username without the space around it.
///
/// # Errors
/// Where it cannot be one.
pub fn parse_username(text: &str) -> Result<String, UserFieldError> {
    let name = parse_field(text, USERNAME_CHARS_MAX)?;
    if name.is_empty() { Err(UserFieldError::Empty) } else { Ok(name) }
}

/// Any other text about a user, without the space around it.
///
/// # Errors
/// Where it is too long or has invisible characters.
pub fn parse_field(text: &str, chars_max: usize) -> Result<String, UserFieldError> {
    let text = text.trim();
    if chars_max < text.chars().count() {
        return Err(UserFieldError::TooLong(chars_max));
    }
    if text.chars().any(is_invisible) {
        return Err(UserFieldError::Invisible);
    }
    Ok(text.to_owned())
}

/// Control characters, and those that join, separate or turn text without being seen.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_short_visible_and_not_empty() {
        assert_eq!(parse_username("  Ana Müller ").as_deref(), Ok("Ana Müller"));
        assert_eq!(parse_username(" \t"), Err(UserFieldError::Empty));
        assert_eq!(parse_username(&"ü".repeat(65)), Err(UserFieldError::TooLong(64)));
        assert!(parse_username(&"ü".repeat(64)).is_ok());
        for hidden in ["ad\nmin", "ad\u{0}min", "ad\u{200b}min", "\u{202e}nimda", "ad\u{7f}min"] {
            assert_eq!(parse_username(hidden), Err(UserFieldError::Invisible), "{hidden:?}");
        }
    }

    #[test]
    fn other_fields_may_be_empty() {
        assert_eq!(parse_field(" ", PHONE_CHARS_MAX).as_deref(), Ok(""));
        assert_eq!(parse_field(&"1".repeat(33), PHONE_CHARS_MAX), Err(UserFieldError::TooLong(32)));
    }
}
