//! Seals the secrets in a backup with a key that is derived from a passphrase by scrypt.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scrypt::Params;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::secrets::{KEY_BYTES, SecretKeys, SecretsError};

/// Shortest accepted passphrase, in bytes.
const PASSPHRASE_BYTES_MIN: usize = 8;
const SALT_BYTES: usize = 16;
/// The greatest cost that is accepted of a file: 1 GiB of memory with the usual `r`.
const LOG_N_MAX: u8 = 20;
/// What is sealed to recognize the passphrase.
const CHECK: &[u8] = b"pika";
const CHECK_OWNER: &str = "backup";

/// The cost of deriving a key.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The logarithm of scrypt's `N`.
    pub log_n: u8,
    /// scrypt's `r`.
    pub r: u32,
    /// scrypt's `p`.
    pub p: u32,
}

/// How a backup's key is derived, and how its passphrase is recognized.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    log_n: u8,
    r: u32,
    p: u32,
    salt: String,
    check: String,
}

/// Why a passphrase cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// It is shorter than `PASSPHRASE_BYTES_MIN`.
    #[error("the passphrase needs at least {PASSPHRASE_BYTES_MIN} bytes")]
    TooShort,
    /// It is not the one that the backup was made with.
    #[error("the passphrase is not the one that the backup was made with")]
    Wrong,
    /// The file's parameters cannot be used.
    #[error("the file names a cost of the passphrase that cannot be used")]
    Parameters,
    /// Sealing failed.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}

/// Derives a new key. Returns how, to be kept with the backup.
pub(super) fn new_key(
    passphrase: &SecretString,
    cost: Cost,
) -> Result<(SecretKeys, Parameters), PassphraseError> {
    if passphrase.expose_secret().len() < PASSPHRASE_BYTES_MIN {
        return Err(PassphraseError::TooShort);
    }
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(SecretsError::Random)?;
    let keys = derive(passphrase, &salt, cost)?;
    let check = STANDARD.encode(keys.seal(CHECK, CHECK_OWNER)?);
    let Cost { log_n, r, p } = cost;
    Ok((keys, Parameters { log_n, r, p, salt: STANDARD.encode(salt), check }))
}

/// Derives a backup's key.
pub(super) fn key(passphrase: &SecretString, parameters: &Parameters) -> Result<SecretKeys, PassphraseError> {
    let Parameters { log_n, r, p, ref salt, ref check } = *parameters;
    if LOG_N_MAX < log_n {
        return Err(PassphraseError::Parameters);
    }
    let salt = STANDARD.decode(salt).map_err(|_| PassphraseError::Parameters)?;
    let check = STANDARD.decode(check).map_err(|_| PassphraseError::Parameters)?;
    let keys = derive(passphrase, &salt, Cost { log_n, r, p })?;
    keys.open(&check, CHECK_OWNER).map_err(|_| PassphraseError::Wrong)?;
    Ok(keys)
}

fn derive(passphrase: &SecretString, salt: &[u8], cost: Cost) -> Result<SecretKeys, PassphraseError> {
    let params = Params::new(cost.log_n, cost.r, cost.p).map_err(|_| PassphraseError::Parameters)?;
    let mut key = [0; KEY_BYTES];
    scrypt::scrypt(passphrase.expose_secret().as_bytes(), salt, &params, &mut key)
        .map_err(|_| PassphraseError::Parameters)?;
    Ok(SecretKeys::of_key(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Cost = Cost { log_n: 4, r: 8, p: 1 };

    #[test]
    fn only_the_same_passphrase_opens() {
        let (keys, parameters) = new_key(&"correct horse".into(), COST).unwrap();
        let sealed = keys.seal(b"hunter2", "a").unwrap();
        let same = key(&"correct horse".into(), &parameters).unwrap();
        assert_eq!(same.open(&sealed, "a").unwrap().expose_secret(), b"hunter2");
        assert!(matches!(key(&"wrong horse".into(), &parameters), Err(PassphraseError::Wrong)));
    }

    #[test]
    fn a_short_passphrase_and_a_giant_cost_are_refused() {
        assert!(matches!(new_key(&"short".into(), COST), Err(PassphraseError::TooShort)));
        let (_, parameters) = new_key(&"correct horse".into(), COST).unwrap();
        let giant = Parameters { log_n: 40, ..parameters };
        assert!(matches!(key(&"correct horse".into(), &giant), Err(PassphraseError::Parameters)));
    }
}
