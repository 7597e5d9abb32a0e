//! Attempts with passwords, codes and tokens: admitted within the limits, judged by the outcome of their checks, and
//! recorded in the audit log if they fail.

use std::future::Future;

use serde_json::json;

use super::limits::{Account, Attempt, Refusal, network};
use super::password::PasswordError;
use super::{Auth, AuthError};
use crate::domain::audit::{Action, Actor, AuditEvent, Object, Origin};
use crate::domain::user::User;

/// The outcome of checking a password, a code or a token.
pub(super) enum Checked<T> {
    /// It is right.
    Right(T),
    /// It is wrong.
    Wrong(Box<Wrong>),
}

/// A password, a code or a token that is wrong.
pub(super) struct Wrong {
    /// The user it was claimed to belong to; `None` if there is no such user.
    pub(super) user: Option<User>,
    /// What is wrong, for the audit log.
    pub(super) what: &'static str,
    /// What the client is told.
    pub(super) error: AuthError,
}

impl<T> Checked<T> {
    pub(super) fn wrong(user: Option<&User>, what: &'static str, error: AuthError) -> Self {
        Checked::Wrong(Box::new(Wrong { user: user.cloned(), what, error }))
    }
}

impl Auth {
    /// Checks a credential given by a logged-in user, with the limits of a login.
    pub(super) async fn check_own<T>(
        &self,
        user: &User,
        origin: &Origin,
        check: impl Future<Output = Result<Checked<T>, AuthError>>,
    ) -> Result<T, AuthError> {
        let attempt = self.admit(&Account::named(&user.username), origin).await?;
        self.judge(attempt, origin, check).await
    }

    /// Ends an attempt with the outcome of its check. Only a wrong credential counts as a failure, and is recorded; one
    /// that could not be checked does not count. A username that nobody has is not recorded: it may be a password typed
    /// into the wrong field.
    pub(super) async fn judge<T>(
        &self,
        attempt: Attempt,
        origin: &Origin,
        check: impl Future<Output = Result<Checked<T>, AuthError>>,
    ) -> Result<T, AuthError> {
        let Wrong { user, what, error } = match check.await {
            Ok(Checked::Wrong(wrong)) => *wrong,
            Ok(Checked::Right(found)) => {
                attempt.forgive();
                return Ok(found);
            }
            Err(error) => {
                attempt.forgive();
                return Err(error);
            }
        };
        drop(attempt);
        self.instruments.add_login_failed();
        let mut event =
            AuditEvent::new(Actor::Nobody, origin.clone(), Action::LoginFailed).with(json!({"wrong": what}));
        event.object = user.as_ref().map(Object::user);
        self.store.record(&event).await?;
        Err(error)
    }

    /// Admits an attempt unless too many have failed. The sessions are asked whether the account is at home at this
    /// address only if it would be refused otherwise.
    pub(super) async fn admit(&self, account: &Account, origin: &Origin) -> Result<Attempt, AuthError> {
        let refusal = match self.limits.admit(account, &origin.address, false, origin.at).await {
            Ok(attempt) => return Ok(attempt),
            Err(refusal) => refusal,
        };
        let home = network(&origin.address);
        let addresses = self.store.session_addresses(account.key(), origin.at).await?;
        if !addresses.iter().any(|address| network(address) == home) {
            return Err(self.refused(refusal));
        }
        let admitted = self.limits.admit(account, &origin.address, true, origin.at).await;
        admitted.map_err(|refusal| self.refused(refusal))
    }

    /// Admits an attempt that names no account, unless too many from its address have failed.
    pub(super) async fn admit_address(&self, origin: &Origin) -> Result<Attempt, AuthError> {
        let admitted = self.limits.admit_address(&origin.address, origin.at).await;
        admitted.map_err(|refusal| self.refused(refusal))
    }

    fn refused(&self, refusal: Refusal) -> AuthError {
        match refusal {
            Refusal::Limited { retry_after_ms } => {
                self.instruments.add_login_limited();
                AuthError::Limited { retry_after_ms }
            }
            Refusal::Busy => PasswordError::Busy.into(),
        }
    }
}
