//! How people and their programs get in: passwords, second factors, sessions, API tokens, and limits on guessing.

mod accounts;
mod attempts;
mod limits;
mod login;
mod password;
mod totp;

use std::sync::Arc;

use pika_shared::Clock;
use pika_shared::token::TokenKind;

use crate::config;
use crate::domain::permission::Credential;
use crate::domain::token::TokenHash;
use crate::domain::user::User;
use crate::store::{self, Store, UserError};
use crate::telemetry::Instruments;

pub use accounts::{FIRST_ADMIN, NewAccount, NewPassword, TotpSetup};
pub use login::{Login, LoginRequest};
pub use password::{Fit, PasswordError, Passwords};

use limits::LoginLimits;

/// Logs people in and knows them again.
#[derive(Clone, Debug)]
pub struct Auth {
    store: Store,
    clock: Clock,
    passwords: Passwords,
    limits: LoginLimits,
    instruments: Arc<Instruments>,
    config: config::Auth,
}

/// Why nobody was let in, or nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Wrong name, wrong password, or disabled: which one is nobody's business.
    #[error("the username or the password is wrong")]
    InvalidCredentials,
    /// The token is none, or not any more.
    #[error("the token is not valid")]
    InvalidToken,
    /// Name and password are right, but the user has a second factor.
    #[error("a code of the second factor is needed")]
    CodeRequired,
    /// Name and password are right, the code is not, or it has been used.
    #[error("the code is wrong or has been used")]
    InvalidCode,
    /// Somebody who is logged in gave a wrong password.
    #[error("the password is wrong")]
    WrongPassword,
    /// Somebody who is logged in gave a wrong code.
    #[error("the code is wrong or has been used")]
    WrongCode,
    /// Somebody means to set the own password, or to remove the own second factor, as an administrator does with others.
    #[error(
        "this is your own account: change the password with the old one, and remove the second factor with the \
         password and a code"
    )]
    OwnAccount,
    /// Too many attempts have failed.
    #[error("too many attempts have failed; try again later")]
    Limited {
        /// How long to wait.
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
    /// There is no randomness.
    #[error("the operating system gives no random numbers")]
    Random(#[from] getrandom::Error),
}

impl Auth {
    /// Puts the parts together.
    ///
    /// # Errors
    /// When scrypt's parameters make no sense.
    pub fn new(
        store: Store,
        clock: Clock,
        config: &config::Auth,
        instruments: Arc<Instruments>,
    ) -> Result<Self, PasswordError> {
        let passwords = Passwords::new(config, Arc::clone(&instruments))?;
        let limits = LoginLimits::new(config);
        Ok(Self { store, clock, passwords, limits, instruments, config: config.clone() })
    }

    /// The enabled user behind a live session token or API token, and what the token is.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn authenticate(&self, token: &str) -> Result<Option<(User, Credential)>, store::Error> {
        let now = self.clock.now();
        let hash = TokenHash::of(token);
        Ok(match TokenKind::of(token) {
            Some(TokenKind::Session) => {
                let found = self.store.session_user(hash, now).await?;
                found.map(|(user, id, expires_at)| (user, Credential::Session { id, expires_at }))
            }
            Some(TokenKind::Api) => {
                let found = self.store.api_token_user(hash, now).await?;
                found.map(|(user, token)| (user, Credential::ApiToken(token)))
            }
            Some(TokenKind::Enrollment | TokenKind::AgentSecret) | None => None,
        })
    }
}
