//! Why no mail was sent.

use lettre::transport::smtp::Error;

use crate::notify::outbound::OutboundError;

/// Why no mail was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum SmtpError {
    /// No connection.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// The server refuses, or cannot be understood.
    #[error(transparent)]
    Smtp(#[from] Error),
    /// The settings make no mail.
    #[error("the mail cannot be made: {0}")]
    Unusable(&'static str),
    /// The server does not do what was asked for before anything else.
    #[error("the mail server offers no STARTTLS, and nothing is sent without encryption")]
    NoStartTls,
    /// The server says something else than SMTP, or refuses to talk.
    #[error("the mail server answered {0}")]
    Greeting(u16),
    /// The login was refused.
    #[error("the mail server does not accept the login ({0})")]
    Login(String),
}
