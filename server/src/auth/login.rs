//! Logging in: limits first, then the password, then the second factor, then a new session.

use pika_shared::token::TokenKind;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::limits::{Account, Attempt, Limited, network};
use super::{Auth, AuthError, totp};
use crate::domain::TimestampMs;
use crate::domain::audit::{Action, Actor, AuditEvent, Object, Origin};
use crate::domain::permission::Credential;
use crate::domain::token::{NewToken, TokenHash};
use crate::domain::user::{User, parse_username};
use crate::store::{NewSession, UserWithPassword};

/// Longest user agent that is kept with a session, in characters.
const USER_AGENT_CHARS_MAX: usize = 256;

/// Somebody who wants in.
#[derive(Debug)]
pub struct LoginRequest {
    /// Who it is said to be.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// A code of the second factor, or a recovery code.
    pub code: Option<SecretString>,
    /// Where the request comes from.
    pub origin: Origin,
    /// What it comes with.
    pub user_agent: String,
    /// The token of the session that the client had until now; it ends.
    pub replaces: Option<SecretString>,
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

impl Auth {
    /// Checks a name, a password and where there is one the second factor, and opens a session.
    ///
    /// # Errors
    /// [`AuthError::InvalidCredentials`] where name and password do not fit; it takes the same time whether the user
    /// exists. [`AuthError::CodeRequired`] and [`AuthError::InvalidCode`] only where they do.
    pub async fn login(&self, request: LoginRequest) -> Result<Login, AuthError> {
        let LoginRequest { username, password, code, origin, user_agent, replaces } = request;
        let found = match parse_username(&username) {
            Ok(username) => self.store.user_with_password(&username).await?,
            Err(_) => None,
        };
        let account = match &found {
            Some(found) => Account::Known(found.user.id),
            None => Account::Unknown(username.to_lowercase()),
        };
        let attempt = self.admit(&account, &origin).await?;

        let hash = found.as_ref().map(|found| found.password_hash.clone());
        let is_right = match self.passwords.verify(password.clone(), hash).await {
            Ok(is_right) => is_right,
            Err(error) => {
                self.limits.forgive(attempt);
                return Err(error.into());
            }
        };
        let found = match found {
            Some(found) if is_right && found.user.enabled => found,
            other => {
                self.count_failure(other.as_ref().map(|found| &found.user), &origin, "password").await?;
                return Err(AuthError::InvalidCredentials);
            }
        };
        if found.user.has_totp {
            let Some(code) = code.filter(|code| !code.expose_secret().trim().is_empty()) else {
                self.limits.forgive(attempt);
                return Err(AuthError::CodeRequired);
            };
            if !self.use_code(&found.user, &code, &origin).await? {
                self.count_failure(Some(&found.user), &origin, "code").await?;
                return Err(AuthError::InvalidCode);
            }
        }
        let login = self.open_session(found, password, &origin, &user_agent, replaces).await?;
        self.limits.forgive(attempt);
        self.limits.remember_home(&account, &origin.address, origin.at);
        Ok(login)
    }

    /// The user and the credential of an API token or a session token.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] where it is neither, or not any more.
    pub async fn login_with_token(
        &self,
        token: &SecretString,
        origin: &Origin,
    ) -> Result<(User, Credential), AuthError> {
        let admitted = self.limits.admit_address(&origin.address, origin.at);
        let attempt = admitted.map_err(|limited| self.limited(limited))?;
        match self.authenticate(token.expose_secret()).await? {
            Some(found) => {
                self.limits.forgive(attempt);
                Ok(found)
            }
            None => {
                self.instruments.add_login_failed();
                Err(AuthError::InvalidToken)
            }
        }
    }

    /// Checks the password of somebody who is logged in, with the limits of a login.
    ///
    /// # Errors
    /// [`AuthError::WrongPassword`].
    pub async fn confirm_password(
        &self,
        user: &User,
        password: SecretString,
        origin: &Origin,
    ) -> Result<(), AuthError> {
        let attempt = self.admit(&Account::Known(user.id), origin).await?;
        let hash = self.store.password_hash(user.id).await?;
        match self.passwords.verify(password, hash).await {
            Ok(true) => {
                self.limits.forgive(attempt);
                Ok(())
            }
            Ok(false) => {
                self.count_failure(Some(user), origin, "password").await?;
                Err(AuthError::WrongPassword)
            }
            Err(error) => {
                self.limits.forgive(attempt);
                Err(error.into())
            }
        }
    }

    /// Lets an attempt through, unless too many have failed. Only where it would not be, the sessions are asked whether
    /// the account is at home at this address.
    pub(super) async fn admit(&self, account: &Account, origin: &Origin) -> Result<Attempt, AuthError> {
        let limited = match self.limits.admit(account, &origin.address, false, origin.at) {
            Ok(attempt) => return Ok(attempt),
            Err(limited) => limited,
        };
        if let Account::Known(id) = account {
            let home = network(&origin.address);
            let addresses = self.store.session_addresses(*id, origin.at).await?;
            if addresses.iter().any(|address| network(address) == home) {
                let admitted = self.limits.admit(account, &origin.address, true, origin.at);
                return admitted.map_err(|limited| self.limited(limited));
            }
        }
        Err(self.limited(limited))
    }

    fn limited(&self, limited: Limited) -> AuthError {
        self.instruments.add_login_limited();
        AuthError::Limited { retry_after_ms: limited.retry_after_ms }
    }

    /// Writes down that somebody did not get in. What was given for a name is not kept where no user has it: it may be a
    /// password that was typed into the wrong field.
    pub(super) async fn count_failure(
        &self,
        user: Option<&User>,
        origin: &Origin,
        wrong: &str,
    ) -> Result<(), AuthError> {
        self.instruments.add_login_failed();
        let mut event =
            AuditEvent::new(Actor::Nobody, origin.clone(), Action::LoginFailed).with(json!({"wrong": wrong}));
        event.object = user.map(Object::user);
        Ok(self.store.record(&event).await?)
    }

    /// Uses up a code of the second factor, or a recovery code. Answers whether it was a good one.
    pub(super) async fn use_code(
        &self,
        user: &User,
        code: &SecretString,
        origin: &Origin,
    ) -> Result<bool, AuthError> {
        let code = code.expose_secret().trim();
        if !totp::is_of_device(code) {
            let actor = Actor::User { id: user.id, name: user.username.clone() };
            let event =
                AuditEvent::new(actor, origin.clone(), Action::RecoveryCodeUsed).about(Object::user(user));
            let hash = totp::recovery_code_hash(code);
            return Ok(self.store.use_recovery_code(user.id, hash, &event).await?);
        }
        let step = match self.store.totp(user.id).await? {
            Some(found) if found.is_confirmed => totp::matching_step(&found.secret, code, origin.at),
            _ => None,
        };
        match step {
            Some(step) => Ok(self.store.use_totp_step(user.id, step).await?),
            None => Ok(false),
        }
    }

    async fn open_session(
        &self,
        mut found: UserWithPassword,
        password: SecretString,
        origin: &Origin,
        user_agent: &str,
        replaces: Option<SecretString>,
    ) -> Result<Login, AuthError> {
        let token = NewToken::random(TokenKind::Session)?;
        let expires_at = origin.at + self.config.session_lifetime_ms;
        let session = NewSession {
            token_hash: token.hash,
            user_id: found.user.id,
            expires_at,
            user_agent: user_agent.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect(),
            replaces: replaces.map(|token| TokenHash::of(token.expose_secret())),
        };
        let actor = Actor::User { id: found.user.id, name: found.user.username.clone() };
        let event = AuditEvent::new(actor, origin.clone(), Action::Login).about(Object::user(&found.user));
        if self.store.insert_session(&session, &found.password_hash, &event).await?.is_none() {
            // The user has been disabled, or the password changed, or a login at the same time has hashed it anew.
            let again = self.store.user_with_password(&found.user.username).await?;
            found = again
                .filter(|again| again.user.id == session.user_id && again.user.enabled)
                .ok_or(AuthError::InvalidCredentials)?;
            let hash = found.password_hash.clone();
            if !self.passwords.verify(password.clone(), Some(hash)).await?
                || self.store.insert_session(&session, &found.password_hash, &event).await?.is_none()
            {
                return Err(AuthError::InvalidCredentials);
            }
        }
        if self.passwords.is_too_cheap(&found.password_hash) {
            let new_hash = self.passwords.hash(password).await?;
            self.store.rehash_password(found.user.id, &found.password_hash, &new_hash).await?;
        }
        let lifetime_ms = self.config.session_lifetime_ms;
        Ok(Login { token: token.secret, expires_at, lifetime_ms, user: found.user })
    }
}
