//! The form of tokens and secrets: a prefix that names the kind, and 256 random bits in URL-safe base64.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

/// Number of random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// What a token gives access to. The prefix lets people and secret scanners recognize leaked tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// The API, as a logged-in user.
    Session,
    /// The API, limited to the token's scopes.
    Api,
    /// Enrolling new agents.
    Enrollment,
    /// Sending the samples of one agent.
    AgentSecret,
}

impl TokenKind {
    const ALL: [TokenKind; 4] =
        [TokenKind::Session, TokenKind::Api, TokenKind::Enrollment, TokenKind::AgentSecret];

    fn prefix(self) -> &'static str {
        match self {
            TokenKind::Session => "pika_session_",
            TokenKind::Api => "pika_api_",
            TokenKind::Enrollment => "pika_enroll_",
            TokenKind::AgentSecret => "pika_agent_",
        }
    }

    /// Returns the kind given by the token's prefix.
    pub fn of(token: &str) -> Option<TokenKind> {
        TokenKind::ALL.into_iter().find(|kind| token.starts_with(kind.prefix()))
    }

    /// Returns whether a token has the form of this kind, as made by [`generate`].
    pub fn is_well_formed(self, token: &str) -> bool {
        let bits = token.strip_prefix(self.prefix()).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        bits.is_some_and(|bits| bits.len() == TOKEN_BYTES)
    }
}

/// Generates a new token.
///
/// # Errors
/// If the operating system provides no randomness.
pub fn generate(kind: TokenKind) -> Result<SecretString, getrandom::Error> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(SecretString::from(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes))))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn tokens_differ_and_say_what_they_are() {
        let [one, two] = [(); 2].map(|()| generate(TokenKind::Enrollment).unwrap());
        let (one, two) = (one.expose_secret(), two.expose_secret());
        assert_ne!(one, two);
        assert_eq!(TokenKind::of(one), Some(TokenKind::Enrollment));
        assert_eq!(TokenKind::of("anything"), None);
        assert!(TokenKind::Enrollment.is_well_formed(one));
        assert!(!TokenKind::AgentSecret.is_well_formed(one));
        assert!(!TokenKind::AgentSecret.is_well_formed("pika_agent_short"));
    }
}
