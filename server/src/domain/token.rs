//! Random tokens and secrets, shown once and stored only as a hash.

use std::fmt;

use pika_shared::token::{self, TokenKind};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The SHA-256 of a token. Tokens are 256 random bits, so a plain hash cannot be brute-forced and needs no salt.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Hashes a received token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// A new token and its hash.
#[derive(Debug)]
pub struct NewToken {
    /// The token, for its owner.
    pub secret: SecretString,
    /// The hash, for the database.
    pub hash: TokenHash,
}

impl NewToken {
    /// Generates a token of 256 random bits.
    ///
    /// # Errors
    /// If the operating system provides no randomness.
    pub fn random(kind: TokenKind) -> Result<Self, getrandom::Error> {
        let secret = token::generate(kind)?;
        let hash = TokenHash::of(secret.expose_secret());
        Ok(Self { secret, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_token() {
        let token = NewToken::random(TokenKind::Enrollment).unwrap();
        assert_eq!(token.hash, TokenHash::of(token.secret.expose_secret()));
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = NewToken::random(TokenKind::Session).unwrap();
        let shown = format!("{token:?}");
        assert!(!shown.contains(token.secret.expose_secret()));
        assert!(!shown.contains("pika_session_"));
    }
}
