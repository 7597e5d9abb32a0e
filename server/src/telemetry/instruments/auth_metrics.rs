//! Metrics of logins.

use prometheus::{Error, IntCounter};

use super::builder::Builder;

/// Metrics of logins.
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
                "Failed logins and other checks of passwords, codes or tokens.",
            )?,
            logins_limited: build.counter(
                "pika_auth_limited_total",
                "Attempts that were rejected unchecked, because too many had failed.",
            )?,
            passwords_checked: build.counter(
                "pika_auth_passwords_checked_total",
                "Passwords compared with a hash, including the dummy hash for unknown users.",
            )?,
        })
    }
}
