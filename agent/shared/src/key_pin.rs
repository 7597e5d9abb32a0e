//! The hash of a server's public key, by which an agent recognizes the server no matter who signed its certificate.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a `SubjectPublicKeyInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPin([u8; 32]);

/// The error for a text that is not a pin.
#[derive(Debug, thiserror::Error)]
#[error("the part after the dot in the enrollment token is not the hash of a key; copy the whole token")]
pub struct KeyPinError;

impl KeyPin {
    /// Parses a pin in URL-safe base64.
    ///
    /// # Errors
    /// If `text` is not a pin.
    pub fn parse(text: &str) -> Result<KeyPin, KeyPinError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyPinError)?;
        bytes.try_into().map(KeyPin).map_err(|_| KeyPinError)
    }

    /// Returns the pin of a key, given as its `SubjectPublicKeyInfo` in DER.
    pub fn of_key(subject_public_key_info: &[u8]) -> KeyPin {
        KeyPin(Sha256::digest(subject_public_key_info).into())
    }

    /// Splits an enrollment token into the part that is sent to the server and the pin, if any.
    ///
    /// # Errors
    /// If the part after the dot is not a pin.
    pub fn split_token(token: &str) -> Result<(&str, Option<KeyPin>), KeyPinError> {
        match token.split_once('.') {
            Some((token, pin)) => Ok((token, Some(KeyPin::parse(pin)?))),
            None => Ok((token, None)),
        }
    }
}

impl fmt::Display for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_carry_a_pin() {
        let pin = KeyPin::of_key(b"key");
        assert_eq!(KeyPin::split_token("pika_enroll_x").unwrap(), ("pika_enroll_x", None));
        let token = format!("pika_enroll_x.{pin}");
        assert_eq!(KeyPin::split_token(&token).unwrap(), ("pika_enroll_x", Some(pin)));
        for broken in ["x.", "x.y", &token[..token.len() - 1], &format!("{token}.{pin}")] {
            assert!(KeyPin::split_token(broken).is_err(), "{broken}");
        }
    }
}
