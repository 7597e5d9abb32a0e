//! How people get in: passwords, sessions, the first administrator.

mod password;

use secrecy::{ExposeSecret, SecretString};

use crate::clock::Clock;
use crate::config;
use crate::domain::TimestampMs;
use crate::domain::token::{NewToken, TokenHash, TokenKind};
use crate::domain::user::{Role, User};
use crate::store::{self, NewSession, NewUser, Store};

pub use password::{PasswordError, Passwords};

/// The name of the first user.
pub const FIRST_ADMIN: &str = "admin";

/// Longest user agent that is kept with a session, in characters.
const USER_AGENT_CHARS_MAX: usize = 256;

/// Logs people in and knows them again.
#[derive(Clone, Debug)]
pub struct Auth {
    store: Store,
    clock: Clock,
    passwords: Passwords,
    session_lifetime_ms: i64,
}

/// A login that succeeded.
#[derive(Debug)]
pub struct Login {
    /// What the client shows from now on.
    pub token: SecretString,
    /// When it ends.
    pub expires_at: TimestampMs,
    /// How long it lasts from now, in milliseconds.
    pub lifetime_ms: i64,
    /// Who it is.
    pub user: User,
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Wrong name, wrong password, or disabled: which one is nobody's business.
    #[error("the username or the password is wrong")]
    InvalidCredentials,
    /// The password could not be checked.
    #[error(transparent)]
    Password(#[from] PasswordError),
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
    pub fn new(store: Store, clock: Clock, config: &config::Auth) -> Result<Self, PasswordError> {
        let passwords = Passwords::new(config)?;
        Ok(Self { store, clock, passwords, session_lifetime_ms: config.session_lifetime_ms })
    }

    /// Checks a name and a password and opens a session.
    ///
    /// # Errors
    /// [`AuthError::InvalidCredentials`] where they do not fit; it takes the same time whether the user exists.
    pub async fn login(
        &self,
        username: &str,
        password: SecretString,
        address: String,
        user_agent: &str,
    ) -> Result<Login, AuthError> {
        let found = self.store.user_with_password(username).await?;
        let hash = found.as_ref().map(|found| found.password_hash.clone());
        let is_right = self.passwords.verify(password, hash).await?;
        let user = match found {
            Some(found) if is_right && found.user.enabled => found.user,
            _ => return Err(AuthError::InvalidCredentials),
        };
        let token = NewToken::random(TokenKind::Session)?;
        let now = self.clock.now();
        let expires_at = now + self.session_lifetime_ms;
        let session = NewSession {
            token_hash: token.hash,
            user_id: user.id,
            expires_at,
            address,
            user_agent: user_agent.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect(),
        };
        self.store.insert_session(&session, now).await?;
        Ok(Login { token: token.secret, expires_at, lifetime_ms: self.session_lifetime_ms, user })
    }

    /// The enabled user of a live session.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn user_of_token(&self, token: &str) -> Result<Option<User>, store::Error> {
        match TokenKind::of(token) {
            Some(TokenKind::Session) => self.store.session_user(TokenHash::of(token), self.clock.now()).await,
            _ => Ok(None),
        }
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn logout(&self, token: &str) -> Result<(), store::Error> {
        self.store.delete_session(TokenHash::of(token)).await
    }

    /// Makes the user `admin` in a database that has no users yet. Answers the password where it was made up here,
    /// so that it can be shown once.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn create_first_admin(
        &self,
        password: &SecretString,
    ) -> Result<Option<SecretString>, AuthError> {
        if self.store.has_users().await? {
            return Ok(None);
        }
        let is_given = !password.expose_secret().is_empty();
        let password = if is_given { password.clone() } else { password::random()? };
        let new = NewUser {
            username: FIRST_ADMIN.to_owned(),
            password_hash: self.passwords.hash(password.clone()).await?,
            nickname: "Administrator".to_owned(),
            role: Role::Admin,
        };
        match self.store.insert_user(&new, self.clock.now()).await {
            Ok(_) => {
                tracing::info!(username = FIRST_ADMIN, "created the first administrator");
                Ok((!is_given).then_some(password))
            }
            // Another server was quicker.
            Err(store::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
