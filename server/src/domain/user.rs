//! Users, their roles, and validation of their data.

use url::Url;

use super::TimestampMs;
use super::id::UserId;
use super::name::{NameError, normalize, parse_name, parse_optional};

/// Maximum length of a username, in characters.
pub const USERNAME_CHARS_MAX: usize = 64;
/// Maximum length of a nickname, in characters.
pub const NICKNAME_CHARS_MAX: usize = 64;
/// Maximum length of a mail address, in characters.
pub const EMAIL_CHARS_MAX: usize = 254;
/// Maximum length of a telephone number, in characters.
pub const PHONE_CHARS_MAX: usize = 32;
/// Maximum length of a picture's URL, in characters.
pub const AVATAR_CHARS_MAX: usize = 2_048;

/// Minimum length of a new password, in characters.
const PASSWORD_CHARS_MIN: usize = 8;
/// Maximum length of a password in bytes, to bound the cost of hashing.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// The prefix of a picture's URL.
const HTTPS: &str = "https://";

/// The role of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// May read and change everything.
    Admin,
    /// May read.
    User,
}

impl Role {
    /// Returns the role as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::User => "user",
        }
    }

    /// Returns the role with this stored name.
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
    /// The case-insensitive name for logging in.
    pub username: String,
    /// The displayed name.
    pub nickname: String,
    /// Mail address, possibly empty.
    pub email: String,
    /// Telephone number, possibly empty.
    pub phone: String,
    /// URL of a picture, possibly empty.
    pub avatar: String,
    /// What the user may do.
    pub role: Role,
    /// Disabled users cannot log in and have neither sessions nor API tokens.
    pub enabled: bool,
    /// Whether a login also requires a code.
    pub has_totp: bool,
    /// When the user was created.
    pub created_at: TimestampMs,
    /// When the user was last changed.
    pub updated_at: TimestampMs,
}

/// Why a picture's URL is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AvatarError {
    /// The text is invalid.
    #[error(transparent)]
    Text(#[from] NameError),
    /// It is not an `https` URL.
    #[error("must be an address that begins with https://, without username and password, or empty")]
    NotHttps,
}

/// Why a password is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRuleError {
    /// The password is too short.
    #[error("a password must have at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// The password is too long.
    #[error("a password may have {PASSWORD_BYTES_MAX} bytes at most")]
    TooLong,
}

/// Checks whether a password can be set.
///
/// # Errors
/// If it is too short or too long.
pub fn check_password(password: &str) -> Result<(), PasswordRuleError> {
    if normalize(password).chars().count() < PASSWORD_CHARS_MIN {
        return Err(PasswordRuleError::TooShort);
    }
    check_password_length(password)
}

/// Checks whether a password is short enough to be hashed.
///
/// # Errors
/// If it is too long.
pub fn check_password_length(password: &str) -> Result<(), PasswordRuleError> {
    if PASSWORD_BYTES_MAX < password.len() { Err(PasswordRuleError::TooLong) } else { Ok(()) }
}

/// Validates and normalizes a username.
///
/// # Errors
/// If it is not a valid username.
pub fn parse_username(text: &str) -> Result<String, NameError> {
    parse_name(text, USERNAME_CHARS_MAX)
}

/// Validates a picture's URL, which may be empty.
///
/// # Errors
/// If it is not an `https` URL.
pub fn parse_avatar(text: &str) -> Result<String, AvatarError> {
    let text = parse_optional(text, AVATAR_CHARS_MAX)?;
    if text.is_empty() {
        return Ok(text);
    }
    // The parser repairs careless input; stored URLs must not need repair.
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
