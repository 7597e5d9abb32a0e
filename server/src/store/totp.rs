//! Second factors: the secrets of one-time passwords, and recovery codes as hashes.

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

/// What a user's codes are computed from.
#[derive(Debug)]
pub struct TotpSecret {
    /// The bytes that the user's device has, too, sealed or as they are.
    pub secret: SecretSlice<u8>,
    /// The user has shown that the device computes the right codes: logins ask for one.
    pub is_confirmed: bool,
}

impl Store {
    /// Keeps a new secret that is not asked for until it is confirmed. Answers false where one has been confirmed.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn begin_totp(
        &self,
        user_id: UserId,
        secret: &SecretSlice<u8>,
        now: TimestampMs,
    ) -> Result<bool, Error> {
        let connection = self.connection().await?;
        Ok(0 < connection.execute(BEGIN, &[&user_id.0, &secret.expose_secret(), &now]).await?)
    }

    /// A user's secret.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn totp(&self, user_id: UserId) -> Result<Option<TotpSecret>, Error> {
        let row = self.connection().await?.query_opt(FIND, &[&user_id.0]).await?;
        Ok(row.map(|row| TotpSecret { secret: row.get::<_, Vec<u8>>(0).into(), is_confirmed: row.get(1) }))
    }

    /// From now on logins take a code; this step's has been used. Answers false where that was so before.
    ///
    /// # Errors
    /// When the database is away.
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

    /// Uses the code of a step up. Answers false where it, or a later one, was used before.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn use_totp_step(&self, user_id: UserId, step: i64) -> Result<bool, Error> {
        Ok(0 < self.connection().await?.execute(USE_STEP, &[&user_id.0, &step]).await?)
    }

    /// Uses a recovery code up. Answers false where there is no such code any more.
    ///
    /// # Errors
    /// When the database is away.
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

    /// The secrets of all users, as they are kept.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn totp_secrets(&self) -> Result<Vec<(UserId, SecretSlice<u8>)>, Error> {
        let rows = self.connection().await?.query(LIST, &[]).await?;
        Ok(rows.iter().map(|row| (UserId(row.get(0)), row.get::<_, Vec<u8>>(1).into())).collect())
    }

    /// Keeps a user's secret in another form, unless it has changed meanwhile.
    ///
    /// # Errors
    /// When the database is away.
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

    /// Removes the second factor with its recovery codes. Answers whether there was one.
    ///
    /// # Errors
    /// When the database is away.
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
