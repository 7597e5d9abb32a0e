//! The configuration. `config/server.yaml` documents every key with its default.

mod bounds;
mod environment;
mod error;
mod layers;
mod lookup;
mod nearest;
mod web_origin;
mod yaml;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::domain::enrollment::EnrollmentLimits;
use layers::Layers;
use yaml::DEFAULTS;

pub use environment::unknown_variables;
pub use error::{ConfigError, UnknownVariable};
pub use lookup::Setting;
pub use web_origin::WebOrigin;

/// The configuration file that is used if none is given.
const SYSTEM_FILE: &str = "/etc/pika/server.yaml";

/// The configuration. `config/server.yaml` documents the fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The database connection.
    pub database: DatabaseConfig,
    /// The HTTP server.
    pub server: ServerConfig,
    /// Logging.
    pub log: LogConfig,
    /// Ingest of samples.
    pub ingest: IngestConfig,
    /// Authentication.
    pub auth: AuthConfig,
    /// Alerting and notifications.
    pub alerting: AlertingConfig,
    /// The server's own metrics.
    pub metrics: MetricsConfig,
    /// Grafana.
    pub grafana: GrafanaConfig,
}

/// The database connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct DatabaseConfig {
    #[serde(rename = "type")]
    pub database_type: DatabaseType,
    pub url: SecretString,
    pub postgres: Postgres,
    pub root_certificates: PathBuf,
    pub pool_size: u32,
    pub connect_timeout_ms: u64,
    pub statement_timeout_ms: u64,
}

/// The kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseType {
    /// PostgreSQL with TimescaleDB.
    Postgres,
}

/// The parts of a database URL.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct Postgres {
    pub hostname: String,
    pub port: u16,
    pub username: String,
    pub password: SecretString,
    pub database: String,
    pub sslmode: String,
}

/// The HTTP server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct ServerConfig {
    pub addr: SocketAddr,
    pub public_url: String,
    pub tls: ServerTls,
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    pub cors_origins: Vec<String>,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub request_head_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub write_timeout_ms: u64,
    pub request_timeout_ms: u64,
    pub body_bytes_max: usize,
    pub anonymous_body_bytes_max: usize,
    pub body_timeout_ms: u64,
    pub buffered_bytes_max: usize,
    pub buffered_bytes_per_address_max: usize,
    pub charts_per_user_max: usize,
    pub serve_agents: bool,
    pub install_dir: PathBuf,
    pub shutdown_timeout_ms: u64,
}

/// TLS by the server itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct ServerTls {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    pub reload_interval_ms: u64,
    pub pin_key: bool,
}

/// The paths of certificate and key.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// PEM file: the server's certificate, followed by intermediate ones.
    pub certificate: PathBuf,
    /// PEM file: the key of the first certificate.
    pub key: PathBuf,
}

/// Parses networks; a single address is a network of its own.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let network = |text: &String| {
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| {
            D::Error::custom(format!("{text:?} is neither a network, such as 10.0.0.0/8, nor an address"))
        })
    };
    texts.iter().map(network).collect()
}

/// Logging.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct LogConfig {
    pub level: String,
    pub format: LogFormat,
    pub filename: PathBuf,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human-readable.
    Human,
    /// One JSON object per line.
    Json,
}

/// Alerting and notifications.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct AlertingConfig {
    pub enabled: bool,
    pub evaluation_interval_ms: u64,
    pub secret_keys: Vec<SecretString>,
    #[serde(deserialize_with = "networks")]
    pub allowed_networks: Vec<IpNet>,
    pub http_proxy: String,
    pub workers: usize,
    pub request_timeout_ms: u64,
}

/// Ingest of samples.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct IngestConfig {
    pub flush_rows_max: usize,
    pub flush_interval_ms: u64,
    pub writers: usize,
    pub write_timeout_ms: u64,
    pub late_after_ms: i64,
    pub late_limit_ms: i64,
    pub queue_frames_max: usize,
    pub pending_rows_max: u32,
    pub unacknowledged_frames_max: usize,
    pub frame_bytes_max: usize,
    pub samples_per_frame_max: usize,
    pub samples_per_second_max: u32,
    pub rows_per_second_max: u32,
    pub bytes_per_second_max: u32,
    pub rows_per_day_max: u32,
    pub sample_spacing_ms_min: i64,
    pub outbound_bytes_max: usize,
    pub registrations_max: usize,
    pub registration_wait_ms: u64,
    pub idle_timeout_ms: u64,
    pub register_timeout_ms: u64,
    pub register_bytes_max: usize,
    pub reconnect_grace_ms: u64,
    pub write_method: WriteMethod,
}

/// How rows are written to the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteMethod {
    /// Binary COPY, and INSERT for a flush in which a row exists already. About twice as fast as INSERT alone.
    #[default]
    Copy,
    /// INSERT only, for databases that cannot COPY from a client.
    Insert,
}

/// The server's own metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct MetricsConfig {
    #[serde(deserialize_with = "optional_address")]
    pub addr: Option<SocketAddr>,
    pub token: SecretString,
    pub history_interval_ms: u64,
}

/// Grafana.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct GrafanaConfig {
    pub url: String,
}

/// Parses an address; an empty text is none.
fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| D::Error::custom("must be an address and a port, or empty"))
}

/// Authentication.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct AuthConfig {
    pub session_lifetime_ms: i64,
    pub failure_window_ms: i64,
    pub failures_per_account_and_address_max: u32,
    pub failures_per_address_max: u32,
    pub failures_per_account_max: u32,
    pub enrollment_lifetime_max_ms: i64,
    pub enrollment_uses_max: i32,
    pub audit_retention_ms: i64,
    pub password_checks_max: usize,
    pub scrypt_log_n: u8,
    pub scrypt_r: u32,
    pub scrypt_p: u32,
    pub admin_password: SecretString,
}

impl Config {
    /// Loads and validates the defaults, the file and the environment, each overriding the previous.
    ///
    /// # Errors
    /// If the configuration is invalid; names the file, the key and the reason.
    pub fn load(file: Option<&Path>, environment: &[(String, String)]) -> Result<Self, ConfigError> {
        let config: Self = Self::read_layers(file, environment)?.typed()?;
        config.validate()?;
        Ok(config)
    }

    fn read_layers(file: Option<&Path>, environment: &[(String, String)]) -> Result<Layers, ConfigError> {
        let system_file = Path::new(SYSTEM_FILE);
        let file = file.or_else(|| system_file.exists().then_some(system_file));
        let text = match file {
            Some(path) => {
                let read = std::fs::read_to_string(path);
                Some((path, read.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?))
            }
            None => None,
        };
        Layers::merge(DEFAULTS, text.as_ref().map(|(path, text)| (*path, text.as_str())), environment)
    }
}

impl AuthConfig {
    /// Returns the limits of enrollment tokens.
    pub fn enrollment_limits(&self) -> EnrollmentLimits {
        EnrollmentLimits {
            lifetime_max_ms: self.enrollment_lifetime_max_ms,
            uses_max: self.enrollment_uses_max,
        }
    }
}

impl ServerConfig {
    /// Returns the paths of certificate and key, if the server itself uses TLS.
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let ServerTls { certificate_file, key_file, .. } = &self.tls;
        let is_given = !certificate_file.as_os_str().is_empty();
        is_given.then(|| TlsFiles { certificate: certificate_file.clone(), key: key_file.clone() })
    }

    /// Returns whether the server is reached over TLS, its own or that of a proxy.
    pub fn is_public_over_tls(&self) -> bool {
        self.tls_files().is_some() || self.public_url.starts_with("https://")
    }
}

impl DatabaseConfig {
    /// Returns the database's URL, built from its parts if it is not given.
    pub fn url(&self) -> SecretString {
        if !self.url.expose_secret().is_empty() {
            return self.url.clone();
        }
        let Postgres { hostname, port, username, password, database, sslmode } = &self.postgres;
        SecretString::from(format!(
            "postgres://{}:{}@{}:{port}/{}?sslmode={}",
            UrlPart(username),
            UrlPart(password.expose_secret()),
            if hostname.parse::<Ipv6Addr>().is_ok() {
                format!("[{hostname}]")
            } else {
                UrlPart(hostname).to_string()
            },
            UrlPart(database),
            UrlPart(sslmode),
        ))
    }
}

/// A part of a URL, with special characters escaped.
struct UrlPart<'a>(&'a str);

impl fmt::Display for UrlPart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
