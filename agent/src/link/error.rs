//! Connection errors, and text from the server for the log.

use std::fmt;
use std::time::Duration;

use pika_protocol::ErrorCode;
use pika_protocol::message::Refusal;
use tokio_tungstenite::tungstenite;

/// Why there is no connection, or why it ended.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LinkError {
    #[error("cannot reach {endpoint}")]
    Connect { endpoint: String, source: std::io::Error },
    #[error("cannot agree on TLS with {endpoint}")]
    Tls { endpoint: String, source: std::io::Error },
    #[error("{endpoint} does not accept agents")]
    Upgrade { endpoint: String, source: Box<tungstenite::Error> },
    #[error("no connection to {endpoint} within {} s", timeout.as_secs())]
    ConnectTimeout { endpoint: String, timeout: Duration },
    #[error("the server did not answer `register` in time")]
    RegisterTimeout,
    #[error("the server refuses this agent: {} ({code})", text.0)]
    Refused { code: ErrorCode, text: Printable },
    #[error("the server closed the connection{}", reason.0)]
    Closed { reason: Printable },
    #[error("the connection broke")]
    Broken { source: Box<tungstenite::Error> },
    #[error("the server sent nothing for {} s", silence.as_secs())]
    Silent { silence: Duration },
    #[error("sending timed out")]
    SendTimeout,
    #[error("this machine's clock was set, so the server has to measure its offset again")]
    ClockSet,
    #[error("a frame could not be encoded")]
    Encode { source: serde_json::Error },
}

/// Text from the server, truncated and without control characters, so that it cannot forge log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printable(String);

impl Printable {
    /// Maximum length, in characters.
    const CHARS_MAX: usize = 300;

    pub(super) fn new(text: &str) -> Printable {
        let keep = |character: char| if character.is_control() { ' ' } else { character };
        Printable(text.chars().take(Printable::CHARS_MAX).map(keep).collect())
    }
}

impl fmt::Display for Printable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn refused(refusal: &Refusal) -> LinkError {
    LinkError::Refused { code: refusal.code, text: Printable::new(&refusal.message) }
}

#[cfg(test)]
#[test]
fn text_of_the_server_cannot_forge_a_line() {
    let text = Printable::new(&format!("a\nb\x1b[31m{}", "x".repeat(1_000)));
    assert!(text.0.starts_with("a b [31mxx"));
    assert_eq!(text.0.chars().count(), Printable::CHARS_MAX);
}
