//! Logging in: limits first, then the password, then the second factor, then a new session.

use pika_shared::chain;
use pika_shared::token::TokenKind;
use secrecy::{ExposeSecret, SecretString};

use super::attempts::Checked;
use super::limits::Account;
use super::password::PasswordMatch;
use super::{Auth, AuthError, totp};
use crate::domain::TimestampMs;
use crate::domain::audit::{Action, Actor, AuditEvent, Object, Origin};
use crate::domain::id::UserId;
use crate::domain::permission::Credential;
use crate::domain::token::{NewToken, TokenHash};
use crate::domain::user::User;
use crate::store::{NewSession, UserWithPassword};

/// Maximum length of the user agent kept with a session, in characters.
const USER_AGENT_CHARS_MAX: usize = 256;

/// A login request.
#[derive(Debug)]
pub struct LoginAttempt {
    /// The claimed username.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// A code of the second factor, or a recovery code.
    pub code: Option<SecretString>,
    /// Where the request comes from.
    pub origin: Origin,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// The token of the client's previous session, which ends.
    pub replaces: Option<SecretString>,
}

/// A login that succeeded.
#[derive(Debug)]
pub struct Login {
    /// The token of the new session.
    pub token: SecretString,
    /// When the session expires.
    pub expires_at: TimestampMs,
    /// Remaining lifetime, in milliseconds.
    pub lifetime_ms: i64,
    /// The user who logged in.
    pub user: User,
}

impl Auth {
    /// Checks a name, a password and the second factor if there is one, and opens a session.
    ///
    /// # Errors
    /// [`AuthError::InvalidCredentials`] if name and password do not match; it takes the same time whether or not the
    /// user exists. [`AuthError::CodeRequired`] and [`AuthError::InvalidCode`] only if they match.
    pub async fn login(&self, request: LoginAttempt) -> Result<Login, AuthError> {
        let account = Account::named(&request.username);
        let origin = request.origin.clone();
        let attempt = self.admit(&account, &origin).await?;
        let login = self.judge(attempt, &origin, self.check_login(request)).await?;
        self.limits.remember_home(&account, &origin.address, origin.at);
        Ok(login)
    }

    async fn check_login(&self, request: LoginAttempt) -> Result<Checked<Login>, AuthError> {
        let LoginAttempt { username, password, code, origin, user_agent, replaces } = request;
        let found = self.store.user_with_password(&username).await?;
        let hash = found.as_ref().map(|found| found.password_hash.clone());
        let fit = self.passwords.verify(password.clone(), hash).await?;
        let found = match found {
            Some(found) if fit.is_right() && found.user.enabled => found,
            other => {
                let user = other.map(|found| found.user);
                return Ok(Checked::wrong(user.as_ref(), "password", AuthError::InvalidCredentials));
            }
        };
        if found.user.has_totp {
            let code = code.filter(|code| !code.expose_secret().trim().is_empty());
            let code = code.ok_or(AuthError::CodeRequired)?;
            if !self.use_code(&found.user, &code, &origin).await? {
                return Ok(Checked::wrong(Some(&found.user), "code", AuthError::InvalidCode));
            }
        }
        let (id, old_hash) = (found.user.id, found.password_hash.clone());
        let opened = self.open_session(found, password.clone(), &origin, &user_agent, replaces).await?;
        if fit == PasswordMatch::Outdated
            && let Err(error) = self.rehash(id, &old_hash, password).await
        {
            // The old hash serves this login and the next one.
            tracing::warn!(error = %chain(&error), user = %id, "a password could not be rehashed");
        }
        Ok(opened)
    }

    async fn rehash(&self, id: UserId, old_hash: &str, password: SecretString) -> Result<(), AuthError> {
        let new_hash = self.passwords.hash(password).await?;
        Ok(self.store.rehash_password(id, old_hash, &new_hash).await?)
    }

    /// Returns the user and the credential of an API token or a session token.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] if it is neither, or no longer valid.
    pub async fn login_with_token(
        &self,
        token: &SecretString,
        origin: &Origin,
    ) -> Result<(User, Credential), AuthError> {
        let attempt = self.admit_address(origin).await?;
        let check = async {
            Ok(match self.authenticate(token.expose_secret()).await? {
                Some(found) => Checked::Right(found),
                None => Checked::wrong(None, "token", AuthError::InvalidToken),
            })
        };
        self.judge(attempt, origin, check).await
    }

    /// Checks the password of a logged-in user, with the limits of a login.
    ///
    /// # Errors
    /// [`AuthError::WrongPassword`].
    pub async fn confirm_password(
        &self,
        user: &User,
        password: SecretString,
        origin: &Origin,
    ) -> Result<(), AuthError> {
        let check = async {
            let hash = self.store.password_hash(user.id).await?;
            Ok(match self.passwords.verify(password, hash).await?.is_right() {
                true => Checked::Right(()),
                false => Checked::wrong(Some(user), "password", AuthError::WrongPassword),
            })
        };
        self.check_own(user, origin, check).await
    }

    /// Consumes a code of the second factor, or a recovery code. Returns whether it was valid.
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
            Some(found) if found.is_confirmed => {
                let secret = self.open_totp(user.id, &found.secret)?;
                totp::matching_step(&secret, code, origin.at)
            }
            _ => None,
        };
        match step {
            Some(step) => Ok(self.store.use_totp_step(user.id, step).await?),
            None => Ok(false),
        }
    }

    /// Opens a session for a user whose password was correct.
    async fn open_session(
        &self,
        mut found: UserWithPassword,
        password: SecretString,
        origin: &Origin,
        user_agent: &str,
        replaces: Option<SecretString>,
    ) -> Result<Checked<Login>, AuthError> {
        let token = NewToken::random(TokenKind::Session)?;
        let lifetime_ms = self.config.session_lifetime_ms;
        let session = NewSession {
            token_hash: token.hash,
            user_id: found.user.id,
            expires_at: origin.at + lifetime_ms,
            user_agent: user_agent.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS_MAX).collect(),
            replaces: replaces.map(|token| TokenHash::of(token.expose_secret())),
        };
        let actor = Actor::User { id: found.user.id, name: found.user.username.clone() };
        let event = AuditEvent::new(actor, origin.clone(), Action::Login).about(Object::user(&found.user));
        if self.store.insert_session(&session, &found.password_hash, &event).await?.is_none() {
            // The user was disabled, the password changed, or a concurrent login rehashed it.
            let wrong = Checked::wrong(Some(&found.user), "password", AuthError::InvalidCredentials);
            let again = self.store.user_with_password(&found.user.username).await?;
            let Some(again) = again.filter(|again| again.user.id == session.user_id && again.user.enabled)
            else {
                return Ok(wrong);
            };
            found = again;
            let hash = found.password_hash.clone();
            if !self.passwords.verify(password.clone(), Some(hash)).await?.is_right()
                || self.store.insert_session(&session, &found.password_hash, &event).await?.is_none()
            {
                return Ok(wrong);
            }
        }
        Ok(Checked::Right(Login {
            token: token.secret,
            expires_at: session.expires_at,
            lifetime_ms,
            user: found.user,
        }))
    }
}
