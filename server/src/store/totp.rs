//! Stored second factors: the secrets of one-time passwords, and hashes of recovery codes.

use secrecy::{ExposeSecret, SecretSlice};

use super::{Error, Store, audit};
use crate::domain::TimestampMs;
use crate::domain::audit::AuditEvent;
use crate::domain::id::UserId;
use crate::domain::token::TokenHash;

const BEGIN: &str = "INSERT INTO totp (user_id, secret, created_at) VALUES ($1, $2, $3) \
     ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at, last_step = 0 \
         WHERE totp.confirmed_at IS NULL";
const FIND: &str = "SELECT secret, confirmed_at IS NOT NULL FROM totp WHERE user_id = $1";
const CONFIRM: &str =
    "UPDATE totp SET confirmed_at = $2, last_step = $3 WHERE user_id = $1 AND confirmed_at IS NULL";
const INSERT_CODES: &str = "INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])";
const USE_STEP: &str =
    "UPDATE totp SET last_step = $2 WHERE user_id = $1 AND confirmed_at IS NOT NULL AND last_step < $2";
const USE_CODE: &str = "DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2";
const LIST: &str = "SELECT user_id, secret FROM totp";
const REPLACE: &str = "UPDATE totp SET secret = $3 WHERE user_id = $1 AND secret = $2";
const DELETE: &str = "DELETE FROM totp WHERE user_id = $1";

pub(super) const STATEMENTS: &[&str] =
    &[BEGIN, FIND, CONFIRM, INSERT_CODES, USE_STEP, USE_CODE, LIST, REPLACE, DELETE];

/// The secret from which a user's codes are computed.
#[derive(Debug)]
pub struct TotpSecret {
    /// The bytes shared with the user's device, sealed or plain.
    pub secret: SecretSlice<u8>,
    /// Whether the user has shown that the device computes the right codes, so that logins ask for one.
    pub is_confirmed: bool,
}

impl Store {
    /// Stores a new secret, which has no effect until it is confirmed. Returns false if one is confirmed already.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn begin_totp(
        &self,
        user_id: UserId,
        secret: &SecretSlice<u8>,
        now: TimestampMs,
    ) -> Result<bool, Error> {
        let connection = self.connection().await?;
        Ok(0 < connection.execute(BEGIN, &[&user_id.0, &secret.expose_secret(), &now]).await?)
    }

    /// Returns a user's secret.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn totp(&self, user_id: UserId) -> Result<Option<TotpSecret>, Error> {
        let row = self.connection().await?.query_opt(FIND, &[&user_id.0]).await?;
        Ok(row.map(|row| TotpSecret { secret: row.get::<_, Vec<u8>>(0).into(), is_confirmed: row.get(1) }))
    }

    /// Confirms the secret: from now on logins take a code; this step's has been used. Returns false if it was
    /// confirmed before.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn confirm_totp(
        &self,
        user_id: UserId,
        step: i64,
        recovery_codes: &[TokenHash],
        event: &AuditEvent,
    ) -> Result<bool, Error> {
        let hashes: Vec<&[u8]> = recovery_codes.iter().map(|hash| hash.0.as_slice()).collect();
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        if transaction.execute(CONFIRM, &[&user_id.0, &event.origin.at, &step]).await? == 0 {
            return Ok(false);
        }
        transaction.execute(INSERT_CODES, &[&user_id.0, &hashes]).await?;
        audit::insert(&transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Consumes the code of a step. Returns false if it, or a later one, was used before.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn use_totp_step(&self, user_id: UserId, step: i64) -> Result<bool, Error> {
        Ok(0 < self.connection().await?.execute(USE_STEP, &[&user_id.0, &step]).await?)
    }

    /// Consumes a recovery code. Returns false if there is no such code any more.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn use_recovery_code(
        &self,
        user_id: UserId,
        code: TokenHash,
        event: &AuditEvent,
    ) -> Result<bool, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        if transaction.execute(USE_CODE, &[&user_id.0, &code.0.as_slice()]).await? == 0 {
            return Ok(false);
        }
        audit::insert(&transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns the secrets of all users, as stored.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn totp_secrets(&self) -> Result<Vec<(UserId, SecretSlice<u8>)>, Error> {
        let rows = self.connection().await?.query(LIST, &[]).await?;
        Ok(rows.iter().map(|row| (UserId(row.get(0)), row.get::<_, Vec<u8>>(1).into())).collect())
    }

    /// Replaces a user's stored secret by another form, unless it has changed in the meantime.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn replace_totp_secret(
        &self,
        user_id: UserId,
        old: &SecretSlice<u8>,
        new: &SecretSlice<u8>,
    ) -> Result<(), Error> {
        let connection = self.connection().await?;
        connection.execute(REPLACE, &[&user_id.0, &old.expose_secret(), &new.expose_secret()]).await?;
        Ok(())
    }

    /// Deletes the second factor and its recovery codes. Returns whether there was one.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn delete_totp(&self, user_id: UserId, event: &AuditEvent) -> Result<bool, Error> {
        let mut connection = self.connection().await?;
        let transaction = connection.transaction().await?;
        if transaction.execute(DELETE, &[&user_id.0]).await? == 0 {
            return Ok(false);
        }
        audit::insert(&transaction, event).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
