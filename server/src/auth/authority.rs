//! The parts that logging in needs, and the lookup of a token's owner.

use std::sync::Arc;

use pika_shared::Clock;
use pika_shared::token::TokenKind;

use super::limits::LoginLimits;
use super::password::{PasswordError, Passwords};
use crate::config;
use crate::domain::permission::Credential;
use crate::domain::token::TokenHash;
use crate::domain::user::User;
use crate::secrets::SecretKeys;
use crate::store::{self, Store};
use crate::telemetry::Instruments;

/// Authenticates people and their tokens.
#[derive(Clone, Debug)]
pub struct Auth {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) passwords: Passwords,
    pub(super) limits: LoginLimits,
    pub(super) instruments: Arc<Instruments>,
    pub(super) config: config::AuthConfig,
    /// The keys that seal secrets of second factors.
    pub(super) keys: SecretKeys,
}

impl Auth {
    /// Creates the authority.
    ///
    /// # Errors
    /// If the parameters of scrypt are invalid.
    pub fn new(
        store: Store,
        clock: Clock,
        config: &config::AuthConfig,
        keys: &SecretKeys,
        instruments: Arc<Instruments>,
    ) -> Result<Self, PasswordError> {
        let passwords = Passwords::new(config, Arc::clone(&instruments))?;
        let limits = LoginLimits::new(config);
        Ok(Self { store, clock, passwords, limits, instruments, config: config.clone(), keys: keys.clone() })
    }

    /// Returns the enabled user behind a live session token or API token, and the credential.
    ///
    /// # Errors
    /// If the database is unavailable.
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
