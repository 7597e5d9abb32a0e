//! The bounds of every value, and constraints between values.

mod ingest;

use std::net::SocketAddr;

use ipnet::IpNet;
use secrecy::ExposeSecret;

use super::{Config, ConfigError, WebOrigin};
use crate::domain::tier::DAY_MS;
use crate::domain::user::check_password;

/// Upper bounds of durations, so that sums stay far from overflow.
const HOUR_MS: u64 = 3_600_000;
/// Minimum length of the metrics token, in characters; a shorter one could be guessed.
const METRICS_TOKEN_CHARS_MIN: usize = 16;
const DECADE_MS: i64 = 315_576_000_000;

/// Maximum of the limits on failed logins.
const FAILURES_MAX: u32 = 1_000;

/// Maximum memory of one password hash, and of all concurrent ones, in bytes. More than the machine has would end the
/// process.
const SCRYPT_BYTES_MAX: u64 = 1 << 30;
const ALL_SCRYPT_BYTES_MAX: u64 = 16 << 30;

/// The path of a key, whether its value is allowed, and the allowed values.
type Check = (&'static str, bool, &'static str);

impl Config {
    /// Validates all values.
    ///
    /// # Errors
    /// If a value is not allowed; names the first such key.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let checks = [
            self.database_checks(),
            self.client_checks(),
            self.address_checks(),
            self.ingest_checks(),
            self.auth_checks(),
            self.password_checks(),
            self.alerting_checks(),
            self.metrics_checks(),
        ];
        match checks.iter().flatten().find(|(_, holds, _)| !holds) {
            Some(&(key, _, allowed)) => Err(ConfigError::OutOfRange { key, allowed }),
            None => Ok(()),
        }
    }

    fn database_checks(&self) -> Vec<Check> {
        vec![
            ("database.pool_size", (1..=1_000).contains(&self.database.pool_size), "1–1000"),
            (
                "database.connect_timeout_ms",
                (1..=HOUR_MS).contains(&self.database.connect_timeout_ms),
                "1–3600000",
            ),
            (
                "database.statement_timeout_ms",
                (1..=HOUR_MS).contains(&self.database.statement_timeout_ms),
                "1–3600000",
            ),
        ]
    }

    /// Limits on clients.
    fn client_checks(&self) -> Vec<Check> {
        vec![
            ("server.connections_max", (1..=1_000_000).contains(&self.server.connections_max), "1–1000000"),
            (
                "server.connections_per_address_max",
                (1..=1_000_000).contains(&self.server.connections_per_address_max),
                "1–1000000",
            ),
            (
                "server.body_bytes_max",
                (1_024..=1 << 30).contains(&self.server.body_bytes_max),
                "1024–1073741824",
            ),
            (
                "server.request_head_timeout_ms",
                (10..=HOUR_MS).contains(&self.server.request_head_timeout_ms),
                "10–3600000",
            ),
            ("server.idle_timeout_ms", (10..=HOUR_MS).contains(&self.server.idle_timeout_ms), "10–3600000"),
            ("server.write_timeout_ms", (10..=HOUR_MS).contains(&self.server.write_timeout_ms), "10–3600000"),
            (
                "server.request_timeout_ms",
                (10..=HOUR_MS).contains(&self.server.request_timeout_ms),
                "10–3600000",
            ),
            (
                "server.anonymous_body_bytes_max",
                (1_024..=self.server.body_bytes_max).contains(&self.server.anonymous_body_bytes_max),
                "1024 to server.body_bytes_max",
            ),
            ("server.body_timeout_ms", (10..=HOUR_MS).contains(&self.server.body_timeout_ms), "10–3600000"),
            // Less would refuse allowed bodies.
            (
                "server.buffered_bytes_per_address_max",
                (self.server.body_bytes_max.max(65_536)..=1 << 40)
                    .contains(&self.server.buffered_bytes_per_address_max),
                "at least server.body_bytes_max and 65536, at most 1099511627776",
            ),
            (
                "server.buffered_bytes_max",
                (self.server.buffered_bytes_per_address_max..=1 << 40)
                    .contains(&self.server.buffered_bytes_max),
                "server.buffered_bytes_per_address_max to 1099511627776",
            ),
            ("server.charts_per_user_max", (1..=1_000).contains(&self.server.charts_per_user_max), "1–1000"),
            ("server.shutdown_timeout_ms", self.server.shutdown_timeout_ms <= HOUR_MS, "0–3600000"),
        ]
    }

    /// Addresses, origins and proxies.
    fn address_checks(&self) -> Vec<Check> {
        vec![
            (
                "server.public_url",
                is_web_address(&self.server.public_url),
                "empty or begin with http:// or https://",
            ),
            (
                "server.tls.key_file",
                self.server.tls.certificate_file.as_os_str().is_empty()
                    == self.server.tls.key_file.as_os_str().is_empty(),
                "given with server.tls.certificate_file, and only then",
            ),
            (
                "server.tls.reload_interval_ms",
                (10..=HOUR_MS).contains(&self.server.tls.reload_interval_ms),
                "10–3600000",
            ),
            (
                "server.trusted_proxies",
                !IpNet::aggregate(&self.server.trusted_proxies).iter().any(|net| net.prefix_len() == 0),
                "the networks of your proxies; everybody (0.0.0.0/0 or ::/0) could claim to be anybody",
            ),
            (
                "server.cors_origins",
                self.server.cors_origins.iter().all(|origin| WebOrigin::parse(origin).is_some()),
                "a list of origins, such as https://tool.example.org, without a path",
            ),
        ]
    }

    fn auth_checks(&self) -> Vec<Check> {
        vec![
            (
                "auth.failure_window_ms",
                (1_000..=DAY_MS).contains(&self.auth.failure_window_ms),
                "1000–86400000",
            ),
            (
                "auth.failures_per_account_and_address_max",
                (1..=FAILURES_MAX).contains(&self.auth.failures_per_account_and_address_max),
                "1–1000",
            ),
            (
                "auth.failures_per_address_max",
                (1..=FAILURES_MAX).contains(&self.auth.failures_per_address_max),
                "1–1000",
            ),
            (
                "auth.failures_per_account_max",
                (1..=FAILURES_MAX).contains(&self.auth.failures_per_account_max),
                "1–1000",
            ),
            (
                "auth.enrollment_lifetime_max_ms",
                (60_000..=DECADE_MS).contains(&self.auth.enrollment_lifetime_max_ms),
                "60000–315576000000",
            ),
            (
                "auth.enrollment_uses_max",
                (1..=1_000_000).contains(&self.auth.enrollment_uses_max),
                "1–1000000",
            ),
            (
                "auth.audit_retention_ms",
                (DAY_MS..=DECADE_MS).contains(&self.auth.audit_retention_ms),
                "86400000–315576000000",
            ),
            (
                "auth.session_lifetime_ms",
                (60_000..=DECADE_MS).contains(&self.auth.session_lifetime_ms),
                "60000–315576000000",
            ),
        ]
    }

    fn password_checks(&self) -> Vec<Check> {
        let block_bytes = 128 * u64::from(self.auth.scrypt_r);
        let scrypt_bytes =
            block_bytes.saturating_mul(1_u64.checked_shl(self.auth.scrypt_log_n.into()).unwrap_or(u64::MAX));
        let admin_password = self.auth.admin_password.expose_secret();
        vec![
            ("auth.password_checks_max", (1..=1_000).contains(&self.auth.password_checks_max), "1–1000"),
            ("auth.scrypt_log_n", (1..=20).contains(&self.auth.scrypt_log_n), "1–20"),
            ("auth.scrypt_r", (1..=64).contains(&self.auth.scrypt_r), "1–64"),
            ("auth.scrypt_p", (1..=64).contains(&self.auth.scrypt_p), "1–64"),
            (
                "auth.scrypt_log_n",
                scrypt_bytes <= SCRYPT_BYTES_MAX,
                "so low that 2^scrypt_log_n * scrypt_r * 128 bytes are at most 1 GiB",
            ),
            (
                "auth.password_checks_max",
                scrypt_bytes.saturating_mul(self.auth.password_checks_max as u64) <= ALL_SCRYPT_BYTES_MAX,
                "so low that as many passwords take at most 16 GiB (2^scrypt_log_n * scrypt_r * 128 bytes each)",
            ),
            (
                "auth.admin_password",
                admin_password.is_empty() || check_password(admin_password).is_ok(),
                "empty, or a password of at least 8 characters and at most 1024 bytes",
            ),
        ]
    }

    fn alerting_checks(&self) -> Vec<Check> {
        vec![
            (
                "alerting.evaluation_interval_ms",
                (1_000..=60_000).contains(&self.alerting.evaluation_interval_ms),
                "1000–60000",
            ),
            ("alerting.workers", (1..=64).contains(&self.alerting.workers), "1–64"),
            // A lease is renewed every 30 seconds and expires after 90.
            (
                "alerting.request_timeout_ms",
                (100..=60_000).contains(&self.alerting.request_timeout_ms),
                "100–60000",
            ),
        ]
    }

    fn metrics_checks(&self) -> Vec<Check> {
        vec![
            (
                "metrics.token",
                self.metrics.token.expose_secret().is_empty()
                    || METRICS_TOKEN_CHARS_MIN <= self.metrics.token.expose_secret().len(),
                "empty or at least 16 characters",
            ),
            (
                "metrics.addr",
                self.metrics.addr.is_none_or(|addr| !collide(addr, self.server.addr)),
                "another address than server.addr, or another port",
            ),
            (
                "metrics.history_interval_ms",
                (1_000..=HOUR_MS).contains(&self.metrics.history_interval_ms),
                "1000–3600000",
            ),
            ("grafana.url", is_web_address(&self.grafana.url), "empty or begin with http:// or https://"),
        ]
    }
}

/// Returns whether a text is empty or an address of the web.
fn is_web_address(text: &str) -> bool {
    text.is_empty() || ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme))
}

/// Returns whether two sockets cannot listen on these addresses at the same time.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |one: SocketAddr, other: SocketAddr| {
        one.ip() == other.ip() || one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4())
    };
    // With port 0 the system assigns each socket a different port.
    one.port() != 0 && one.port() == other.port() && (covers(one, other) || covers(other, one))
}
