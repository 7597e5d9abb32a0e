//! Users, what they may be called, and their roles.

use url::Url;

use super::TimestampMs;
use super::id::UserId;
use super::name::{NameError, normalize, parse_name, parse_optional};

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

/// Shortest password that can be set, in characters.
const PASSWORD_CHARS_MIN: usize = 8;
/// Longest password in bytes: hashing is not to be fed megabytes.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// How the address of a picture begins.
const HTTPS: &str = "https://";

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

/// The address of a picture that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AvatarError {
    /// No text that may be shown.
    #[error(transparent)]
    Text(#[from] NameError),
    /// Something else than an address of the web.
    #[error("must be an address that begins with https://, without username and password, or empty")]
    NotHttps,
}

/// A password that cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRuleError {
    /// Shorter than a new password may be.
    #[error("a password must have at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// Longer than a password may be.
    #[error("a password may have {PASSWORD_BYTES_MAX} bytes at most")]
    TooLong,
}

/// Whether a password can be set.
///
/// # Errors
/// Where it is too short or too long.
pub fn check_password(password: &str) -> Result<(), PasswordRuleError> {
    if normalize(password).chars().count() < PASSWORD_CHARS_MIN {
        return Err(PasswordRuleError::TooShort);
    }
    check_password_length(password)
}

/// Whether a password is short enough to be looked at.
///
/// # Errors
/// Where it is too long.
pub fn check_password_length(password: &str) -> Result<(), PasswordRuleError> {
    if PASSWORD_BYTES_MAX < password.len() { Err(PasswordRuleError::TooLong) } else { Ok(()) }
}

/// A username as it is kept.
///
/// # Errors
/// Where it cannot be one.
pub fn parse_username(text: &str) -> Result<String, NameError> {
    parse_name(text, USERNAME_CHARS_MAX)
}

/// The address of a picture, or nothing.
///
/// # Errors
/// Where it is anything else.
pub fn parse_avatar(text: &str) -> Result<String, AvatarError> {
    let text = parse_optional(text, AVATAR_CHARS_MAX)?;
    if text.is_empty() {
        return Ok(text);
    }
    // The parser mends what is written carelessly; what is kept is to need no mending.
    let is_careful = |rest: &str| {
        !rest.starts_with('/') && !rest.contains(|c: char| c.is_whitespace() || "\"<>\\`".contains(c))
    };
    let begins = text.get(..HTTPS.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(HTTPS));
    let is_good = begins
        && is_careful(&text[HTTPS.len()..])
        && Url::parse(&text).is_ok_and(|url| url.username().is_empty() && url.password().is_none());
    if is_good { Ok(text) } else { Err(AvatarError::NotHttps) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_neither_short_nor_giant() {
        assert_eq!(check_password("1234567"), Err(PasswordRuleError::TooShort));
        assert_eq!(check_password(&"a\u{308}".repeat(7)), Err(PasswordRuleError::TooShort), "seven letters");
        assert_eq!(check_password("12345678"), Ok(()));
        assert_eq!(check_password(&"x".repeat(PASSWORD_BYTES_MAX)), Ok(()));
        assert_eq!(check_password(&"x".repeat(PASSWORD_BYTES_MAX + 1)), Err(PasswordRuleError::TooLong));
    }

    #[test]
    fn a_picture_comes_over_https_or_not_at_all() {
        for good in
            ["", "https://example.org/a.png?size=64#x", "HTTPS://example.org", "https://[::1]:8443/ü.png"]
        {
            assert_eq!(parse_avatar(good).as_deref(), Ok(good));
        }
        for bad in [
            "http://example.org/a.png",
            "javascript:alert(1)",
            "data:image/png;base64,AAAA",
            "//example.org/a.png",
            "a.png",
            "https:",
            "https://",
            "https:///a.png",
            "https:example.org",
            "https://example.org/a b",
            "https://example.org/\"onerror=x",
            "https://me@example.org/a.png",
            "https://me:secret@example.org/a.png",
        ] {
            assert_eq!(parse_avatar(bad), Err(AvatarError::NotHttps), "{bad}");
        }
        assert!(matches!(parse_avatar("https://example.org/\u{202e}"), Err(AvatarError::Text(_))));
    }
}
