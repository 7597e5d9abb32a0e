//! Errors of logging in and of changing accounts.

use super::password::PasswordError;
use crate::secrets::SecretsError;
use crate::store::{self, UserError};

/// Why nobody was logged in, or nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Wrong name, wrong password, or disabled; which one is not revealed.
    #[error("the username or the password is wrong")]
    InvalidCredentials,
    /// The token is unknown or no longer valid.
    #[error("the token is not valid")]
    InvalidToken,
    /// Name and password are right, but the user has a second factor.
    #[error("a code of the second factor is needed")]
    CodeRequired,
    /// Name and password are right, but the code is wrong or has been used.
    #[error("the code is wrong or has been used")]
    InvalidCode,
    /// A logged-in user gave a wrong password.
    #[error("the password is wrong")]
    WrongPassword,
    /// A logged-in user gave a wrong code.
    #[error("the code is wrong or has been used")]
    WrongCode,
    /// An administrator tried to reset their own password or second factor as they may those of others.
    #[error(
        "this is your own account: change the password with the old one, and remove the second factor with the \
         password and a code"
    )]
    OwnAccount,
    /// Too many attempts have failed.
    #[error("too many attempts have failed; try again later")]
    Limited {
        /// How long to wait, in milliseconds.
        retry_after_ms: i64,
    },
    /// There is a second factor already.
    #[error("there is a second factor already; remove it first")]
    TotpEnabled,
    /// There is no second factor.
    #[error("there is no second factor")]
    NoTotp,
    /// The password could not be checked, or cannot be one.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The user could not be changed.
    #[error(transparent)]
    User(#[from] UserError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The secret of a second factor cannot be sealed or opened.
    #[error("the secret of a second factor cannot be used")]
    Secrets(#[from] SecretsError),
    /// There is no randomness.
    #[error("the operating system provides no random numbers")]
    Random(#[from] getrandom::Error),
}
