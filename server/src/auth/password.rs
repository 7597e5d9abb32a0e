//! Password hashes: scrypt in PHC form, computed off the async threads and only a few at a time.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scrypt::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use scrypt::phc::PasswordHash;
use scrypt::{Params, Scrypt};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::config;
use crate::domain::name::normalize;
use crate::domain::user::{PasswordRuleError, check_password_length};
use crate::telemetry::Instruments;

/// Passwords that may wait for their turn. More are rejected, or a flood of logins would lock everybody out for hours.
const WAITING_MAX: usize = 64;

/// Hashes and verifies passwords.
#[derive(Clone, Debug)]
pub struct Passwords {
    params: Params,
    /// A hash takes tens of megabytes and a tenth of a second, so only this many run at a time.
    permits: Arc<Semaphore>,
    /// Those running and those waiting for them.
    waiting: Arc<Semaphore>,
    /// Passwords of unknown users are compared with this one, so that they take as long as those of known ones.
    dummy_hash: Arc<str>,
    instruments: Arc<Instruments>,
}

/// Whether a password matches a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMatch {
    /// It does not.
    Wrong,
    /// It does.
    Right,
    /// It does, but the hash should be replaced: it was made at less cost than is configured now, or from a password
    /// that was not normalized.
    Outdated,
}

impl PasswordMatch {
    /// Returns whether the password matches.
    pub fn is_right(self) -> bool {
        self != PasswordMatch::Wrong
    }
}

/// Why a password could not be hashed or verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The configured cost is invalid.
    #[error("auth.scrypt_log_n, scrypt_r and scrypt_p are not valid parameters of scrypt")]
    Parameters,
    /// The password is not acceptable for anybody.
    #[error(transparent)]
    Rule(#[from] PasswordRuleError),
    /// The library refused, or the stored hash is damaged.
    #[error("scrypt failed")]
    Hash(#[source] scrypt::password_hash::Error),
    /// The maximum number of passwords is already waiting.
    #[error("too many passwords are being checked; try again later")]
    Busy,
    /// The process is shutting down.
    #[error("the password was not checked, because the server is stopping")]
    Stopping,
}

impl Passwords {
    /// Uses the configured cost.
    ///
    /// # Errors
    /// [`PasswordError::Parameters`].
    pub fn new(config: &config::AuthConfig, instruments: Arc<Instruments>) -> Result<Self, PasswordError> {
        let params = params(config)?;
        let dummy_hash = hash(params, b"no user has this password")?.into();
        Ok(Self::with_limits(params, dummy_hash, config.password_checks_max, WAITING_MAX, instruments))
    }

    /// Checks that passwords can be hashed at the configured cost, by hashing one.
    ///
    /// # Errors
    /// [`PasswordError::Parameters`].
    pub fn check(config: &config::AuthConfig) -> Result<(), PasswordError> {
        hash(params(config)?, b"nobody has this password").map(drop)
    }

    fn with_limits(
        params: Params,
        dummy_hash: Arc<str>,
        checks_max: usize,
        waiting_max: usize,
        instruments: Arc<Instruments>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(checks_max));
        let waiting = Arc::new(Semaphore::new(checks_max + waiting_max));
        Self { params, permits, waiting, dummy_hash, instruments }
    }

    /// Returns whether a hash was made at less cost than is configured now.
    fn is_too_cheap(&self, hash: &str) -> bool {
        let cost = |params: &Params| (u128::from(params.r()) * u128::from(params.p())) << params.log_n();
        let found = PasswordHash::new(hash).ok().and_then(|hash| Params::try_from(&hash).ok());
        found.is_some_and(|found| cost(&found) < cost(&self.params))
    }

    /// Hashes a new password, in PHC form.
    ///
    /// # Errors
    /// If the password is too long.
    pub async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        check_password_length(password.expose_secret())?;
        let params = self.params;
        self.compute(move || hash(params, normalized(&password).expose_secret().as_bytes())).await
    }

    /// Returns whether a password matches a hash. Without a hash it never does, after the same time.
    ///
    /// # Errors
    /// If the stored hash is damaged.
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<PasswordMatch, PasswordError> {
        if check_password_length(password.expose_secret()).is_err() {
            return Ok(PasswordMatch::Wrong);
        }
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.dummy_hash.to_string());
        let is_too_cheap = self.is_too_cheap(&hash);
        let fit = self.compute(move || fit(&password, &hash)).await?;
        self.instruments.add_password_checked();
        Ok(match fit {
            _ if !is_known => PasswordMatch::Wrong,
            PasswordMatch::Right if is_too_cheap => PasswordMatch::Outdated,
            fit => fit,
        })
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _waiting = self.waiting.try_acquire().map_err(|_| PasswordError::Busy)?;
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| PasswordError::Stopping)?;
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        task.await.map_err(|_| PasswordError::Stopping)?
    }
}

/// The password in NFC, the form that is hashed, since keyboards differ in the bytes they send for one password.
fn normalized(password: &SecretString) -> SecretString {
    normalize(password.expose_secret()).into()
}

/// Hashes made before passwords were normalized match the password as it was typed.
fn fit(password: &SecretString, hash: &str) -> Result<PasswordMatch, PasswordError> {
    let normalized = normalized(password);
    let (normalized, given) = (normalized.expose_secret(), password.expose_secret());
    if verify(normalized.as_bytes(), hash)? {
        return Ok(PasswordMatch::Right);
    }
    let is_outdated = normalized != given && verify(given.as_bytes(), hash)?;
    Ok(if is_outdated { PasswordMatch::Outdated } else { PasswordMatch::Wrong })
}

/// Generates a password that nobody can guess.
pub(super) fn random() -> Result<SecretString, getrandom::Error> {
    let mut bytes = [0_u8; 18];
    getrandom::fill(&mut bytes)?;
    Ok(SecretString::from(URL_SAFE_NO_PAD.encode(bytes)))
}

fn params(config: &config::AuthConfig) -> Result<Params, PasswordError> {
    Params::new(config.scrypt_log_n, config.scrypt_r, config.scrypt_p).map_err(|_| PasswordError::Parameters)
}

fn hash(params: Params, password: &[u8]) -> Result<String, PasswordError> {
    let hash = Scrypt::new_with_params(params).hash_password(password).map_err(PasswordError::Hash)?;
    Ok(hash.to_string())
}

fn verify(password: &[u8], hash: &str) -> Result<bool, PasswordError> {
    let hash = PasswordHash::new(hash).map_err(|error| PasswordError::Hash(error.into()))?;
    match Scrypt::new().verify_password(password, &hash) {
        Ok(()) => Ok(true),
        Err(scrypt::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(PasswordError::Hash(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> Passwords {
        let params = Params::new(4, 8, 1).unwrap();
        let dummy_hash = hash(params, b"dummy").unwrap().into();
        Passwords::with_limits(params, dummy_hash, 1, 1, Arc::new(Instruments::new().unwrap()))
    }

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = cheap();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$scrypt$ln=4,r=8,p=1$"), "{hash}");
        assert_eq!(
            passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap(),
            PasswordMatch::Right
        );
        assert_eq!(passwords.verify("wrong horse".into(), Some(hash)).await.unwrap(), PasswordMatch::Wrong);
    }

    #[tokio::test]
    async fn an_unknown_user_has_no_password_not_even_the_dummy() {
        assert_eq!(cheap().verify("dummy".into(), None).await.unwrap(), PasswordMatch::Wrong);
    }

    #[tokio::test]
    async fn a_hash_that_cost_less_than_configured_is_noticed() {
        let passwords = cheap();
        let hash = |log_n, r| hash(Params::new(log_n, r, 1).unwrap(), b"x").unwrap();
        assert!(passwords.is_too_cheap(&hash(3, 8)) && passwords.is_too_cheap(&hash(4, 4)));
        assert!(!passwords.is_too_cheap(&hash(4, 8)) && !passwords.is_too_cheap(&hash(5, 8)));
        assert!(!passwords.is_too_cheap("damaged"));
        assert_eq!(passwords.verify("x".into(), Some(hash(3, 8))).await.unwrap(), PasswordMatch::Outdated);
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_it_is_typed() {
        let (passwords, whole, apart) = (cheap(), "pässwörter", "pa\u{308}sswo\u{308}rter");
        let fit = async |password: &str, hash: &str| {
            passwords.verify(password.into(), Some(hash.to_owned())).await.unwrap()
        };
        for hash in [passwords.hash(whole.into()).await.unwrap(), passwords.hash(apart.into()).await.unwrap()]
        {
            assert_eq!(
                (fit(whole, &hash).await, fit(apart, &hash).await),
                (PasswordMatch::Right, PasswordMatch::Right)
            );
        }
        let old = hash(passwords.params, apart.as_bytes()).unwrap();
        assert_eq!(
            (fit(apart, &old).await, fit(whole, &old).await),
            (PasswordMatch::Outdated, PasswordMatch::Wrong)
        );
    }

    #[tokio::test]
    async fn only_so_many_wait_for_their_turn() {
        let passwords = cheap();
        let busy = passwords.permits.acquire().await.unwrap();
        let [mut first, mut second] = ["a", "b"].map(|password| Box::pin(passwords.hash(password.into())));
        assert!(futures_util::poll!(&mut first).is_pending());
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(matches!(passwords.verify("c".into(), None).await, Err(PasswordError::Busy)));
        drop(busy);
        first.await.unwrap();
        second.await.unwrap();
        assert_eq!(passwords.verify("c".into(), None).await.unwrap(), PasswordMatch::Wrong);
    }

    #[tokio::test]
    async fn a_giant_password_is_not_hashed() {
        let giant = SecretString::from("x".repeat(1 << 20));
        assert!(matches!(
            cheap().hash(giant.clone()).await,
            Err(PasswordError::Rule(PasswordRuleError::TooLong))
        ));
        assert_eq!(cheap().verify(giant, None).await.unwrap(), PasswordMatch::Wrong);
    }
}
