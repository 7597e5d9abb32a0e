//! Secrets of second factors as they are kept: sealed where the configuration has a key, as they are where it has none.

use secrecy::{ExposeSecret as _, SecretSlice};

use super::{Auth, AuthError};
use crate::domain::id::UserId;
use crate::secrets::is_sealed;
use crate::store;

impl Auth {
    /// A user's secret as it is to be kept.
    pub(super) fn seal_totp(
        &self,
        user: UserId,
        secret: &SecretSlice<u8>,
    ) -> Result<SecretSlice<u8>, AuthError> {
        if self.keys.is_empty() {
            return Ok(secret.clone());
        }
        Ok(self.keys.seal(secret.expose_secret(), &owner(user))?.into())
    }

    /// A user's secret, of what was kept of it.
    pub(super) fn open_totp(
        &self,
        user: UserId,
        kept: &SecretSlice<u8>,
    ) -> Result<SecretSlice<u8>, AuthError> {
        if !is_sealed(kept.expose_secret()) {
            return Ok(kept.clone());
        }
        Ok(self.keys.open(kept.expose_secret(), &owner(user))?)
    }

    /// Seals secrets with the current key that are kept as they are, or sealed with another one. Answers how many.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn seal_totp_secrets(&self) -> Result<u64, store::Error> {
        let mut n_sealed = 0;
        for (user, kept) in self.store.totp_secrets().await? {
            if self.keys.is_empty() || self.keys.is_current(kept.expose_secret()) {
                continue;
            }
            let sealed = self.open_totp(user, &kept).and_then(|secret| self.seal_totp(user, &secret));
            match sealed {
                Ok(sealed) => {
                    self.store.replace_totp_secret(user, &kept, &sealed).await?;
                    n_sealed += 1;
                }
                Err(error) => {
                    tracing::warn!(%user, error = %pika_shared::chain(&error), "a second factor cannot be read");
                }
            }
        }
        Ok(n_sealed)
    }
}

/// What a user's secret is sealed for.
fn owner(user: UserId) -> String {
    format!("totp:{user}")
}
