//! Stored secrets of second factors: sealed if the configuration has a key, plain if it has none.

use secrecy::{ExposeSecret as _, SecretSlice};

use super::{Auth, AuthError};
use crate::domain::id::UserId;
use crate::secrets::{is_sealed, totp_owner};
use crate::store;

impl Auth {
    /// Converts a user's secret to its stored form.
    pub(super) fn seal_totp(
        &self,
        user: UserId,
        secret: &SecretSlice<u8>,
    ) -> Result<SecretSlice<u8>, AuthError> {
        if self.keys.is_empty() {
            return Ok(secret.clone());
        }
        Ok(self.keys.seal(secret.expose_secret(), &totp_owner(user))?.into())
    }

    /// Restores a user's secret from its stored form.
    pub(super) fn open_totp(
        &self,
        user: UserId,
        kept: &SecretSlice<u8>,
    ) -> Result<SecretSlice<u8>, AuthError> {
        if !is_sealed(kept.expose_secret()) {
            return Ok(kept.clone());
        }
        Ok(self.keys.open(kept.expose_secret(), &totp_owner(user))?)
    }

    /// Seals with the current key all secrets that are stored plain or sealed with another one. Returns how many.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn seal_totp_secrets(&self) -> Result<u64, store::Error> {
        let mut n_sealed = 0;
        for (user, kept) in self.store.totp_secrets().await? {
            if !self.keys.should_reseal(kept.expose_secret()) {
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
