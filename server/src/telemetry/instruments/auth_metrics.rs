//! What is counted of logins.

use prometheus::{Error, IntCounter};

use super::builder::Builder;

/// What is counted of logins.
#[derive(Debug)]
pub(super) struct AuthMetrics {
    pub(super) logins_failed: IntCounter,
    pub(super) logins_limited: IntCounter,
    pub(super) passwords_checked: IntCounter,
}

impl AuthMetrics {
    pub(super) fn new(build: &Builder) -> Result<Self, Error> {
        Ok(Self {
            logins_failed: build.counter(
                "pika_auth_failures_total",
                "Logins, and other checks of passwords, codes or tokens, that failed.",
            )?,
            logins_limited: build.counter(
                "pika_auth_limited_total",
                "Attempts that were not even looked at, because too many had failed.",
            )?,
            passwords_checked: build.counter(
                "pika_auth_passwords_checked_total",
                "Passwords that were compared with a hash, be it that of nobody.",
            )?,
        })
    }
}
