//! Why no mail was sent.

use lettre::transport::smtp::Error;

use crate::notify::outbound::OutboundError;

/// Why no mail was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum SmtpError {
    /// The connection failed.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// The server refused, or its answer is malformed.
    #[error(transparent)]
    Smtp(#[from] Error),
    /// The mail cannot be built from the settings.
    #[error("the mail cannot be built: {0}")]
    Unusable(&'static str),
    /// The server does not offer encryption.
    #[error("the mail server offers no STARTTLS, and nothing is sent without encryption")]
    NoStartTls,
    /// The server does not speak SMTP, or refuses to.
    #[error("the mail server answered {0}")]
    Greeting(u16),
    /// The login was refused.
    #[error("the mail server does not accept the login ({0})")]
    Login(String),
}
