//! Sets, changes and removes users' passwords and second factors, for the users themselves and for administrators.

use secrecy::{ExposeSecret, SecretString};

use super::attempts::Checked;
use super::{Auth, AuthError, PasswordError, password, totp};
use crate::domain::audit::{Action, Actor, AuditEvent, Object, Origin};
use crate::domain::id::{SessionId, UserId};
use crate::domain::user::{Role, User, check_password};
use crate::store::{NewUser, UserError};

pub use totp::TotpSetup;

/// The name of the first user.
pub const FIRST_ADMIN: &str = "admin";

/// A user to create. The texts have been validated.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields of a user")]
pub struct NewAccount {
    pub username: String,
    pub nickname: String,
    pub email: String,
    pub phone: String,
    pub avatar: String,
    pub role: Role,
}

/// The password of a user to create.
#[derive(Clone, Debug)]
pub enum NewPassword {
    /// Chosen by a person.
    Given(SecretString),
    /// To be generated, and shown once.
    Generated,
    /// Nobody knows it: an administrator has to set one before the user can log in.
    Unusable,
}

impl NewPassword {
    /// Returns the given password, or asks for a generated one.
    pub fn given_or_generated(password: Option<String>) -> Self {
        password.map_or(NewPassword::Generated, |password| NewPassword::Given(password.into()))
    }
}

impl Auth {
    /// Creates a user. Returns the password if it was generated, so that it can be shown once.
    ///
    /// # Errors
    /// If the password is not acceptable or the name is taken.
    pub async fn create_user(
        &self,
        account: NewAccount,
        password: NewPassword,
        event: AuditEvent,
    ) -> Result<(User, Option<SecretString>), AuthError> {
        let (password_hash, shown) = self.new_password(password).await?;
        let NewAccount { username, nickname, email, phone, avatar, role } = account;
        let new = NewUser { username, password_hash, nickname, email, phone, avatar, role };
        Ok((self.store.insert_user(&new, event).await?, shown))
    }

    /// Changes the password of a logged-in user who knows the old one, and ends all other sessions.
    ///
    /// # Errors
    /// If the old password is wrong or the new one is not acceptable.
    pub async fn change_password(
        &self,
        user: &User,
        old: SecretString,
        new: SecretString,
        session: SessionId,
        event: AuditEvent,
    ) -> Result<(), AuthError> {
        check_password(new.expose_secret()).map_err(PasswordError::from)?;
        self.confirm_password(user, old, &event.origin).await?;
        let hash = self.passwords.hash(new).await?;
        Ok(self.store.set_password(user.id, &hash, Some(session), event).await?)
    }

    /// Sets another user's password and ends all sessions of that user. Returns the password if it was generated.
    ///
    /// # Errors
    /// If the password is not acceptable, there is no such user, or the user is the acting one.
    pub async fn reset_password(
        &self,
        id: UserId,
        password: NewPassword,
        event: AuditEvent,
    ) -> Result<Option<SecretString>, AuthError> {
        check_other(id, &event)?;
        let (hash, shown) = self.new_password(password).await?;
        self.store.set_password(id, &hash, None, event).await?;
        Ok(shown)
    }

    /// Removes another user's second factor. Returns whether there was one.
    ///
    /// # Errors
    /// If the user is the acting one.
    pub async fn reset_totp(&self, user: &User, event: AuditEvent) -> Result<bool, AuthError> {
        check_other(user.id, &event)?;
        Ok(self.store.delete_totp(user.id, &event.about(Object::user(user))).await?)
    }

    /// Generates a secret for one-time passwords. It has no effect until [`Auth::confirm_totp`].
    ///
    /// # Errors
    /// If the password is wrong, or there is a second factor already.
    pub async fn begin_totp(
        &self,
        user: &User,
        password: SecretString,
        origin: &Origin,
    ) -> Result<TotpSetup, AuthError> {
        self.confirm_password(user, password, origin).await?;
        let secret = totp::random_secret()?;
        let setup = totp::setup(&secret, &user.username).ok_or(AuthError::InvalidCode)?;
        let kept = self.seal_totp(user.id, &secret)?;
        if !self.store.begin_totp(user.id, &kept, origin.at).await? {
            return Err(AuthError::TotpEnabled);
        }
        Ok(setup)
    }

    /// Enables the second factor once a code has shown that the user's device has the secret. Returns the recovery
    /// codes, so that they can be shown once.
    ///
    /// # Errors
    /// If the code is wrong, there is nothing to confirm, or it has been confirmed before.
    pub async fn confirm_totp(
        &self,
        user: &User,
        code: &SecretString,
        event: &AuditEvent,
    ) -> Result<Vec<SecretString>, AuthError> {
        let found = self.store.totp(user.id).await?.ok_or(AuthError::NoTotp)?;
        if found.is_confirmed {
            return Err(AuthError::TotpEnabled);
        }
        let check = async {
            let code = code.expose_secret().trim();
            let secret = self.open_totp(user.id, &found.secret)?;
            Ok(match totp::matching_step(&secret, code, event.origin.at) {
                Some(step) => Checked::Right(step),
                None => Checked::wrong(Some(user), "code", AuthError::WrongCode),
            })
        };
        let step = self.check_own(user, &event.origin, check).await?;
        let (codes, hashes): (Vec<_>, Vec<_>) = totp::random_recovery_codes()?.into_iter().unzip();
        if !self.store.confirm_totp(user.id, step, &hashes, event).await? {
            return Err(AuthError::TotpEnabled);
        }
        Ok(codes)
    }

    /// Removes the second factor of a user who provides the password and either a code or a recovery code.
    ///
    /// # Errors
    /// If either is wrong, or there is no second factor.
    pub async fn disable_totp(
        &self,
        user: &User,
        password: SecretString,
        code: &SecretString,
        event: &AuditEvent,
    ) -> Result<(), AuthError> {
        if !user.has_totp {
            return Err(AuthError::NoTotp);
        }
        self.confirm_password(user, password, &event.origin).await?;
        let check = async {
            Ok(match self.use_code(user, code, &event.origin).await? {
                true => Checked::Right(()),
                false => Checked::wrong(Some(user), "code", AuthError::WrongCode),
            })
        };
        self.check_own(user, &event.origin, check).await?;
        self.store.delete_totp(user.id, event).await?;
        Ok(())
    }

    /// Creates the user `admin` in a database without users. Returns the password if it was generated, so that it can
    /// be shown once.
    ///
    /// # Errors
    /// If the database is unavailable, or the password is not acceptable.
    pub async fn create_first_admin(
        &self,
        password: &SecretString,
    ) -> Result<Option<SecretString>, AuthError> {
        if self.store.has_users().await? {
            return Ok(None);
        }
        let is_given = !password.expose_secret().is_empty();
        let password = if is_given { NewPassword::Given(password.clone()) } else { NewPassword::Generated };
        let account = NewAccount {
            username: FIRST_ADMIN.to_owned(),
            nickname: "Administrator".to_owned(),
            email: String::new(),
            phone: String::new(),
            avatar: String::new(),
            role: Role::Admin,
        };
        let origin = Origin { at: self.clock.now(), ..Origin::default() };
        let event = AuditEvent::new(Actor::System, origin, Action::UserCreated);
        match self.create_user(account, password, event).await {
            Ok((_, shown)) => {
                tracing::info!(username = FIRST_ADMIN, "created the first administrator");
                Ok(shown)
            }
            // Another server was faster.
            Err(AuthError::User(UserError::NameTaken)) => Ok(None),
            Err(AuthError::User(UserError::Store(error))) => Err(error.into()),
            Err(error) => Err(error),
        }
    }

    /// Returns the hash of a new password, and the password itself if it is to be shown.
    async fn new_password(&self, password: NewPassword) -> Result<(String, Option<SecretString>), AuthError> {
        let (password, is_shown) = match password {
            NewPassword::Given(password) => (password, false),
            NewPassword::Generated => (password::random()?, true),
            NewPassword::Unusable => (password::random()?, false),
        };
        check_password(password.expose_secret()).map_err(PasswordError::from)?;
        let hash = self.passwords.hash(password.clone()).await?;
        Ok((hash, is_shown.then_some(password)))
    }
}

/// Rejects administrative changes to one's own credentials: they take the password or a code, even for administrators,
/// so that a stolen session is not enough to take over the account.
fn check_other(id: UserId, event: &AuditEvent) -> Result<(), AuthError> {
    if event.actor.user_id() == Some(id) { Err(AuthError::OwnAccount) } else { Ok(()) }
}
