//! Seals (encrypts) stored secrets that have to be read again, of channels and second factors. Without the key, a copy
//! of the database reveals none of them.
//!
//! A sealed value is one byte for the format, four for the key's id, a nonce of 24 random ones, and the ciphertext of
//! XChaCha20-Poly1305 with its tag. Its owner is authenticated with it, so it cannot be moved elsewhere.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};

/// Length of a key in bytes.
pub const KEY_BYTES: usize = 32;
/// The only format.
const FORMAT: u8 = 1;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;

/// The error for a text that is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret key is 32 bytes in base64; `pika-server secret-key new` generates one")]
pub struct SecretKeyError;

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// There is no key to seal with.
    #[error(
        "the configuration has no key to seal secrets with: set alerting.secret_keys \
         (`pika-server secret-key new` makes a key)"
    )]
    NoKey,
    /// It was sealed with a key that is no longer configured, for another owner, or was changed since.
    #[error("a secret was sealed with a key that the configuration does not have, or is damaged")]
    CannotOpen,
    /// The system provides no random bytes.
    #[error("the system provides no random bytes")]
    Random(#[source] getrandom::Error),
}

/// The keys for secrets: the first seals, all open.
#[derive(Clone, Default)]
pub struct SecretKeys(Vec<SecretKey>);

#[derive(Clone)]
struct SecretKey {
    id: [u8; KEY_ID_BYTES],
    cipher: XChaCha20Poly1305,
}

impl SecretKey {
    fn new(bytes: [u8; KEY_BYTES]) -> Self {
        let [a, b, c, d, ..]: [u8; KEY_BYTES] = Sha256::digest(bytes).into();
        Self { id: [a, b, c, d], cipher: XChaCha20Poly1305::new(&Key::from(bytes)) }
    }
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKeys({})", self.0.len())
    }
}

impl SecretKeys {
    /// Parses keys. The first one seals.
    ///
    /// # Errors
    /// If one is not 32 bytes in base64.
    pub fn parse(texts: &[SecretString]) -> Result<Self, SecretKeyError> {
        texts.iter().map(parse_key).collect::<Result<_, _>>().map(Self)
    }

    /// Uses a single key.
    pub fn of_key(key: [u8; KEY_BYTES]) -> Self {
        Self(vec![SecretKey::new(key)])
    }

    /// Returns whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Seals a secret of `owner`, for example a channel's id.
    ///
    /// # Errors
    /// If there is no key or no randomness.
    pub fn seal(&self, secret: &[u8], owner: &str) -> Result<Vec<u8>, SecretsError> {
        let key = self.0.first().ok_or(SecretsError::NoKey)?;
        let mut sealed = Vec::with_capacity(HEADER_BYTES + secret.len() + TAG_BYTES);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&key.id);
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(SecretsError::Random)?;
        sealed.extend_from_slice(&nonce);
        let payload = Payload { msg: secret, aad: owner.as_bytes() };
        let ciphertext = key.cipher.encrypt(&XNonce::from(nonce), payload);
        sealed.extend(ciphertext.map_err(|_| SecretsError::CannotOpen)?);
        Ok(sealed)
    }

    /// Opens what was sealed for `owner`.
    ///
    /// # Errors
    /// If its key is missing, it belongs to another owner, or it was changed.
    pub fn open(&self, sealed: &[u8], owner: &str) -> Result<SecretSlice<u8>, SecretsError> {
        let (id, nonce, ciphertext) = parts(sealed).ok_or(SecretsError::CannotOpen)?;
        let key = self.0.iter().find(|key| key.id == id).ok_or(SecretsError::CannotOpen)?;
        let payload = Payload { msg: ciphertext, aad: owner.as_bytes() };
        let opened = key.cipher.decrypt(&XNonce::from(nonce), payload);
        opened.map(SecretSlice::from).map_err(|_| SecretsError::CannotOpen)
    }

    /// Returns whether a value should be sealed again: it is not sealed with the current key, and there is one.
    pub fn should_reseal(&self, sealed: &[u8]) -> bool {
        !self.is_empty() && !self.is_current(sealed)
    }

    /// Returns whether it was sealed with the current key.
    fn is_current(&self, sealed: &[u8]) -> bool {
        let id = parts(sealed).map(|(id, ..)| id);
        id.is_some() && id == self.0.first().map(|key| key.id)
    }
}

/// Returns what the secret of a user's second factor is bound to when it is sealed.
pub fn totp_owner(user: impl fmt::Display) -> String {
    format!("totp:{user}")
}

/// Returns what a channel's secrets are bound to when they are sealed.
pub fn channel_owner(channel: impl fmt::Display) -> String {
    format!("alert_channel:{channel}")
}

/// What the addresses of heartbeats are bound to when they are sealed.
pub const HEARTBEATS_OWNER: &str = "alert_settings:heartbeats";

/// Returns whether the bytes look like a sealed value.
pub fn is_sealed(bytes: &[u8]) -> bool {
    parts(bytes).is_some()
}

/// Generates a random key, in the form for the configuration.
///
/// # Errors
/// When the system provides no random bytes.
pub fn new_key() -> Result<SecretString, getrandom::Error> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(STANDARD.encode(bytes).into())
}

fn parse_key(text: &SecretString) -> Result<SecretKey, SecretKeyError> {
    let bytes = STANDARD.decode(text.expose_secret().trim()).map_err(|_| SecretKeyError)?;
    bytes.try_into().map(SecretKey::new).map_err(|_| SecretKeyError)
}

/// Splits a sealed value into the key's id, the nonce, and the rest.
fn parts(sealed: &[u8]) -> Option<([u8; KEY_ID_BYTES], [u8; NONCE_BYTES], &[u8])> {
    let rest = sealed.strip_prefix(&[FORMAT])?;
    let (id, rest) = rest.split_first_chunk()?;
    let (nonce, ciphertext) = rest.split_first_chunk()?;
    (TAG_BYTES <= ciphertext.len()).then_some((*id, *nonce, ciphertext))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[u8]) -> SecretKeys {
        let texts: Vec<_> =
            names.iter().map(|name| SecretString::from(STANDARD.encode([*name; KEY_BYTES]))).collect();
        SecretKeys::parse(&texts).unwrap()
    }

    #[test]
    fn what_is_sealed_can_be_opened_with_its_key_by_its_owner() {
        let sealed = keys(&[1]).seal(b"hunter2", "a").unwrap();
        assert!(is_sealed(&sealed));
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        for all in [&[1_u8] as &[u8], &[2, 1]] {
            assert_eq!(keys(all).open(&sealed, "a").unwrap().expose_secret(), b"hunter2");
        }
        assert!(matches!(keys(&[2]).open(&sealed, "a"), Err(SecretsError::CannotOpen)));
        assert!(matches!(keys(&[1]).open(&sealed, "b"), Err(SecretsError::CannotOpen)));
        assert!(keys(&[1, 2]).is_current(&sealed) && !keys(&[2, 1]).is_current(&sealed));
        assert_ne!(sealed, keys(&[1]).seal(b"hunter2", "a").unwrap());
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let keys = keys(&[1]);
        let sealed = keys.seal(b"hunter2", "a").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(keys.open(&changed, "a").is_err(), "{index}");
            assert!(keys.open(&sealed[..index], "a").is_err(), "{index}");
        }
    }

    #[test]
    fn nothing_is_sealed_without_a_key() {
        assert!(matches!(SecretKeys::default().seal(b"x", "a"), Err(SecretsError::NoKey)));
        assert!(!is_sealed(&[1; 20]), "the secret of a second factor as it was kept before");
    }

    #[test]
    fn a_key_is_32_bytes_in_base64() {
        let key = new_key().unwrap();
        assert!(SecretKeys::parse(std::slice::from_ref(&key)).is_ok());
        for wrong in ["", "hunter2", &key.expose_secret()[4..]] {
            assert!(SecretKeys::parse(&[wrong.into()]).is_err());
        }
        assert!(
            !format!("{:?}", SecretKeys::parse(std::slice::from_ref(&key)).unwrap())
                .contains(key.expose_secret())
        );
    }
}
