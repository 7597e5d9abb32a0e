//! Random tokens and secrets: made once, shown once, kept only as a hash.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// What a token opens. The prefix lets people and secret scanners recognise a token that has leaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A logged-in user.
    Session,
    /// What its scopes say, for a user's programs.
    Api,
    /// A new agent.
    Enrollment,
    /// One agent, for ever.
    AgentSecret,
}

impl TokenKind {
    fn prefix(self) -> &'static str {
        match self {
            TokenKind::Session => "pika_session_",
            TokenKind::Api => "pika_api_",
            TokenKind::Enrollment => "pika_enroll_",
            TokenKind::AgentSecret => "pika_agent_",
        }
    }

    /// Whether a token has the form of those that [`NewToken::random`] makes of this kind.
    pub fn is_well_formed(self, token: &str) -> bool {
        let bits = token.strip_prefix(self.prefix()).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        bits.is_some_and(|bits| bits.len() == TOKEN_BYTES)
    }

    /// The kind that a token claims to be by its prefix.
    pub fn of(token: &str) -> Option<TokenKind> {
        [TokenKind::Session, TokenKind::Api, TokenKind::Enrollment, TokenKind::AgentSecret]
            .into_iter()
            .find(|kind| token.starts_with(kind.prefix()))
    }
}

/// The SHA-256 of a token. Tokens are 256 random bits, so a plain hash cannot be searched and needs no salt.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// Hashes a token as it was received.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// A new token, readable once.
#[derive(Debug)]
pub struct NewToken {
    /// What the owner gets.
    pub secret: SecretString,
    /// What the database keeps.
    pub hash: TokenHash,
}

impl NewToken {
    /// Makes 256 random bits.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random(kind: TokenKind) -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; TOKEN_BYTES];
        getrandom::fill(&mut bytes)?;
        let secret = SecretString::from(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes)));
        let hash = TokenHash::of(secret.expose_secret());
        Ok(Self { secret, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_say_what_they_are() {
        let one = NewToken::random(TokenKind::Enrollment).unwrap();
        let two = NewToken::random(TokenKind::Enrollment).unwrap();
        assert_ne!(one.secret.expose_secret(), two.secret.expose_secret());
        assert_eq!(TokenKind::of(one.secret.expose_secret()), Some(TokenKind::Enrollment));
        assert_eq!(one.hash, TokenHash::of(one.secret.expose_secret()));
        assert_eq!(TokenKind::of("anything"), None);
        assert!(TokenKind::Enrollment.is_well_formed(one.secret.expose_secret()));
        assert!(!TokenKind::AgentSecret.is_well_formed(one.secret.expose_secret()));
        assert!(!TokenKind::AgentSecret.is_well_formed("pika_agent_short"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = NewToken::random(TokenKind::Session).unwrap();
        let shown = format!("{token:?}");
        assert!(!shown.contains(token.secret.expose_secret()));
        assert!(!shown.contains("pika_session_"));
    }
}
