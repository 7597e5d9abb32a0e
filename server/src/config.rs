//! The configuration: `config/server.yaml` holds every key, its meaning and its default.

mod layers;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use pika_protocol::limits;
use secrecy::{ExposeSecret, SecretString};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::domain::tier::DAY_MS;
use crate::http::{Origin, TlsFiles};
use crate::store::{StoreConfig, WriteMethod};

pub use layers::ConfigError;

/// The defaults, which are also the documentation.
const DEFAULTS: &str = include_str!("../../config/server.yaml");

/// Where the configuration is looked for when no file is named.
const SYSTEM_FILE: &str = "/etc/pika/server.yaml";

/// Upper bounds of durations, so that sums of them stay far from overflowing.
const HOUR_MS: u64 = 3_600_000;
/// A shorter token could be guessed.
const METRICS_TOKEN_CHARS_MIN: usize = 16;
const DECADE_MS: i64 = 315_576_000_000;

/// More failed logins than this are no limit.
const FAILURES_MAX: u32 = 1_000;

/// The whole configuration. The fields are described in `config/server.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How to reach the database.
    pub database: Database,
    /// Where to listen.
    pub server: Server,
    /// What to log.
    pub log: Log,
    /// How samples are taken in.
    pub ingest: Ingest,
    /// How people get in.
    pub auth: Auth,
    /// Who may read the server's own metrics.
    pub metrics: Metrics,
}

/// How to reach the database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct Database {
    #[serde(rename = "type")]
    pub database_type: DatabaseType,
    pub url: SecretString,
    pub postgres: Postgres,
    pub root_certificates: PathBuf,
    pub pool_size: u32,
    pub connect_timeout_ms: u64,
    pub statement_timeout_ms: u64,
}

/// The one kind of database that there is.
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

/// Where to listen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct Server {
    pub addr: SocketAddr,
    pub public_url: String,
    pub tls: ServerTls,
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    pub cors_origins: Vec<String>,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub body_bytes_max: usize,
    pub charts_per_user_max: usize,
    pub shutdown_timeout_ms: u64,
}

/// TLS of the server itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct ServerTls {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    pub reload_interval_ms: u64,
    pub pin_key: bool,
}

/// Networks; an address alone is one of its own.
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

/// What to log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
    pub filename: PathBuf,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// For machines.
    Json,
}

/// How samples are taken in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct Ingest {
    pub flush_rows_max: usize,
    pub flush_interval_ms: u64,
    pub write_timeout_ms: u64,
    pub late_after_ms: i64,
    pub late_limit_ms: i64,
    pub queue_frames_max: usize,
    pub unacknowledged_frames_max: usize,
    pub frame_bytes_max: usize,
    pub samples_per_frame_max: usize,
    pub samples_per_second_max: u32,
    pub outbound_bytes_max: usize,
    pub registrations_max: usize,
    pub registration_wait_ms: u64,
    pub idle_timeout_ms: u64,
    pub register_timeout_ms: u64,
    pub reconnect_grace_ms: u64,
    #[serde(with = "WriteMethodName")]
    pub write_method: WriteMethod,
}

#[derive(Deserialize)]
#[serde(remote = "WriteMethod", rename_all = "lowercase")]
enum WriteMethodName {
    Copy,
    Insert,
}

/// Who may read the server's own metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct Metrics {
    #[serde(deserialize_with = "optional_address")]
    pub addr: Option<SocketAddr>,
    pub token: SecretString,
}

/// An empty text is no address.
fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| D::Error::custom("must be an address and a port, or empty"))
}

/// How people get in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "described in config/server.yaml")]
pub struct Auth {
    pub session_lifetime_ms: i64,
    pub failure_window_ms: i64,
    pub failures_per_account_and_address_max: u32,
    pub failures_per_address_max: u32,
    pub failures_per_account_max: u32,
    pub audit_retention_ms: i64,
    pub password_checks_max: usize,
    pub scrypt_log_n: u8,
    pub scrypt_r: u32,
    pub scrypt_p: u32,
    pub admin_password: SecretString,
}

impl Config {
    /// The defaults, the file and the environment, in this order, checked.
    ///
    /// # Errors
    /// Names the file, the key and what is wrong with it.
    pub fn load(file: Option<&Path>, environment: &[(String, String)]) -> Result<Self, ConfigError> {
        let system_file = Path::new(SYSTEM_FILE);
        let file = file.or_else(|| system_file.exists().then_some(system_file));
        let text = match file {
            Some(path) => {
                let read = std::fs::read_to_string(path);
                Some((path, read.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?))
            }
            None => None,
        };
        let config: Self =
            layers::merge(DEFAULTS, text.as_ref().map(|(path, text)| (*path, text.as_str())), environment)?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let checks: &[(&'static str, bool, &'static str)] = &[
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
            ("server.charts_per_user_max", (1..=1_000).contains(&self.server.charts_per_user_max), "1–1000"),
            ("ingest.flush_rows_max", (1..=1_000_000).contains(&self.ingest.flush_rows_max), "1–1000000"),
            ("ingest.flush_interval_ms", (1..=60_000).contains(&self.ingest.flush_interval_ms), "1–60000"),
            (
                "ingest.write_timeout_ms",
                (100..=HOUR_MS).contains(&self.ingest.write_timeout_ms),
                "100–3600000",
            ),
            (
                "ingest.late_limit_ms",
                // Rollups are refreshed as far back as a day, and no further.
                (60_000..=DAY_MS).contains(&self.ingest.late_limit_ms),
                "60000–86400000",
            ),
            (
                "ingest.late_after_ms",
                (1_000..=DECADE_MS).contains(&self.ingest.late_after_ms),
                "1000–315576000000",
            ),
            ("ingest.queue_frames_max", (1..=1_000_000).contains(&self.ingest.queue_frames_max), "1–1000000"),
            (
                "ingest.unacknowledged_frames_max",
                (1..=10_000).contains(&self.ingest.unacknowledged_frames_max),
                "1–10000",
            ),
            // Less than the protocol promises to agents would make them send again and again what is never taken.
            (
                "ingest.frame_bytes_max",
                (limits::FRAME_BYTES_MAX..=16 << 20).contains(&self.ingest.frame_bytes_max),
                "524288–16777216",
            ),
            (
                "ingest.samples_per_frame_max",
                (limits::SAMPLES_PER_FRAME_MAX..=10_000).contains(&self.ingest.samples_per_frame_max),
                "200–10000",
            ),
            (
                "ingest.samples_per_second_max",
                (1..=1_000_000).contains(&self.ingest.samples_per_second_max),
                "1–1000000",
            ),
            (
                "ingest.outbound_bytes_max",
                (16 << 10..=16 << 20).contains(&self.ingest.outbound_bytes_max),
                "16384–16777216",
            ),
            ("ingest.registrations_max", (1..=1_000).contains(&self.ingest.registrations_max), "1–1000"),
            (
                "ingest.registration_wait_ms",
                (1..=HOUR_MS).contains(&self.ingest.registration_wait_ms),
                "1–3600000",
            ),
            (
                "ingest.idle_timeout_ms",
                (1_000..=HOUR_MS).contains(&self.ingest.idle_timeout_ms),
                "1000–3600000",
            ),
            (
                "ingest.register_timeout_ms",
                (1..=HOUR_MS).contains(&self.ingest.register_timeout_ms),
                "1–3600000",
            ),
            ("ingest.reconnect_grace_ms", self.ingest.reconnect_grace_ms <= HOUR_MS, "0–3600000"),
            ("server.shutdown_timeout_ms", self.server.shutdown_timeout_ms <= HOUR_MS, "0–3600000"),
            (
                "server.public_url",
                ["", "http://", "https://"].iter().any(|scheme| match *scheme {
                    "" => self.server.public_url.is_empty(),
                    scheme => self.server.public_url.starts_with(scheme),
                }),
                "empty or begin with http:// or https://",
            ),
            (
                "metrics.token",
                self.metrics.token.expose_secret().is_empty()
                    || METRICS_TOKEN_CHARS_MIN <= self.metrics.token.expose_secret().len(),
                "empty or at least 16 characters",
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
                "server.cors_origins",
                self.server.cors_origins.iter().all(|origin| Origin::parse(origin).is_some()),
                "a list of origins, such as https://tool.example.org, without a path",
            ),
            ("auth.password_checks_max", (1..=1_000).contains(&self.auth.password_checks_max), "1–1000"),
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
                "auth.audit_retention_ms",
                (DAY_MS..=DECADE_MS).contains(&self.auth.audit_retention_ms),
                "86400000–315576000000",
            ),
            (
                "auth.session_lifetime_ms",
                (60_000..=DECADE_MS).contains(&self.auth.session_lifetime_ms),
                "60000–315576000000",
            ),
        ];
        match checks.iter().find(|(_, holds, _)| !holds) {
            Some(&(key, _, allowed)) => Err(ConfigError::OutOfRange { key, allowed }),
            None => Ok(()),
        }
    }
}

impl Server {
    /// Certificate and key, where the server speaks TLS itself.
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let ServerTls { certificate_file, key_file, .. } = &self.tls;
        let is_given = !certificate_file.as_os_str().is_empty();
        is_given.then(|| TlsFiles { certificate: certificate_file.clone(), key: key_file.clone() })
    }

    /// Whether people reach the server over TLS, its own or that of a proxy.
    pub fn is_public_over_tls(&self) -> bool {
        self.tls_files().is_some() || self.public_url.starts_with("https://")
    }
}

impl Database {
    /// The database's URL, made of its parts where it is not given.
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

    /// The limits of its use.
    pub fn store_config(&self) -> StoreConfig {
        StoreConfig {
            pool_size: self.pool_size,
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            statement_timeout: Duration::from_millis(self.statement_timeout_ms),
            root_certificates: (!self.root_certificates.as_os_str().is_empty())
                .then(|| self.root_certificates.clone()),
        }
    }
}

/// A part of a URL, with everything escaped that could end it.
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
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.yaml");
        std::fs::write(&file, text).unwrap();
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::load(Some(&file), &environment)
    }

    fn message(error: &ConfigError) -> String {
        crate::telemetry::chain(error)
    }

    #[test]
    fn the_defaults_are_complete() {
        let config = load("", &[]).unwrap();
        assert_eq!(config.server.addr.port(), 18888);
        assert_eq!(
            config.database.url().expose_secret(),
            "postgres://pika:pika@localhost:15432/pika?sslmode=disable"
        );
    }

    #[test]
    fn the_configuration_of_the_original_is_accepted() {
        let text = "Database:\n  Type: postgres\n  Postgres:\n    Hostname: db\n    Port: 5432\n    Username: u\n    \
                    Password: p@ss/word\n    Database: d\n\nlog:\n  Level: debug\n  Filename: ./logs/pika.log\n\n\
                    Server:\n  Addr: \"0.0.0.0:18888\"\n";
        let config = load(text, &[]).unwrap();
        assert_eq!(
            config.database.url().expose_secret(),
            "postgres://u:p%40ss%2Fword@db:5432/d?sslmode=disable"
        );
        assert_eq!(config.log.level, "debug");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_path() {
        let text = message(&load("server:\n  adress: x\n", &[]).unwrap_err());
        assert!(text.contains("server") && text.contains("adress"), "{text}");
        let text = message(&load("sever: {}\n", &[]).unwrap_err());
        assert!(text.contains("sever"), "{text}");
    }

    #[test]
    fn a_value_of_the_wrong_type_or_size_is_named() {
        let text = message(&load("ingest:\n  flush_rows_max: many\n", &[]).unwrap_err());
        assert!(text.contains("ingest.flush_rows_max"), "{text}");
        let text = message(&load("ingest:\n  flush_rows_max: 0\n", &[]).unwrap_err());
        assert!(text.contains("ingest.flush_rows_max") && text.contains("1–1000000"), "{text}");
    }

    #[test]
    fn the_environment_wins_and_files_hold_secrets() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "12345\n").unwrap();
        let config = load(
            "server:\n  addr: \"127.0.0.1:1\"\n",
            &[
                ("PIKA_SERVER_ADDR", "127.0.0.1:2"),
                ("PIKA_DATABASE_POOL_SIZE", "3"),
                ("PIKA_DATABASE_POSTGRES_PASSWORD_FILE", secret.path().to_str().unwrap()),
                ("UNRELATED", "x"),
            ],
        )
        .unwrap();
        assert_eq!(config.server.addr.port(), 2);
        assert_eq!(config.database.pool_size, 3);
        assert_eq!(config.database.postgres.password.expose_secret(), "12345");
    }

    #[test]
    fn database_url_is_understood_and_pikas_own_wins() {
        let url = |environment| load("", environment).unwrap().database.url();
        assert_eq!(url(&[("DATABASE_URL", "postgres://a/b")]).expose_secret(), "postgres://a/b");
        assert_eq!(
            url(&[("DATABASE_URL", "postgres://a/b"), ("PIKA_DATABASE_URL", "postgres://c/d")])
                .expose_secret(),
            "postgres://c/d"
        );
    }

    #[test]
    fn a_mistyped_variable_is_named() {
        let text = message(&load("", &[("PIKA_DATABASE_POOL_SIZE", "many")]).unwrap_err());
        assert!(text.contains("PIKA_DATABASE_POOL_SIZE"), "{text}");
    }

    #[test]
    fn a_bad_text_in_a_variable_is_blamed_on_the_variable() {
        let text = message(&load("", &[("PIKA_SERVER_ADDR", "everywhere")]).unwrap_err());
        assert!(text.contains("PIKA_SERVER_ADDR") && !text.contains("config.yaml"), "{text}");
    }

    #[test]
    fn the_first_password_has_two_names() {
        for name in ["PIKA_ADMIN_PASSWORD", "PIKA_AUTH_ADMIN_PASSWORD"] {
            let config = load("", &[(name, "secret")]).unwrap();
            assert_eq!(config.auth.admin_password.expose_secret(), "secret", "{name}");
        }
    }

    #[test]
    fn a_password_of_digits_must_be_quoted_and_is_not_repeated() {
        let text = message(&load("database:\n  postgres:\n    password: 815123\n", &[]).unwrap_err());
        assert!(text.contains("database.postgres.password") && text.contains("quotes"), "{text}");
        assert!(!text.contains("815"), "{text}");
        let config = load("database:\n  postgres:\n    password: \"0815\"\n", &[]).unwrap();
        assert_eq!(config.database.postgres.password.expose_secret(), "0815");
    }

    #[test]
    fn hosts_of_all_kinds_fit_into_the_url() {
        let url = |hostname: &str| {
            let config =
                load(&format!("database:\n  postgres:\n    hostname: \"{hostname}\"\n"), &[]).unwrap();
            let url = config.database.url();
            crate::store::Store::new(url.expose_secret(), &config.database.store_config()).map(|_| ())
        };
        // A pool needs a runtime.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _guard = runtime.enter();
        for hostname in ["db.example.org", "::1", "/var/run/postgresql"] {
            assert!(url(hostname).is_ok(), "{hostname}");
        }
    }

    #[test]
    fn durations_have_upper_bounds() {
        for key in ["ingest.idle_timeout_ms", "ingest.late_limit_ms", "auth.session_lifetime_ms"] {
            let (section, name) = key.split_once('.').unwrap();
            let error = load(&format!("{section}:\n  {name}: {}\n", i64::MAX), &[]).unwrap_err();
            assert!(message(&error).contains(key), "{error}");
        }
        assert!(load("server:\n  public_url: pika.example.org\n", &[]).is_err());
    }

    #[test]
    fn lists_come_from_the_file_or_the_environment() {
        let text =
            "server:\n  trusted_proxies: [10.0.0.0/8, \"::1\"]\n  cors_origins: [https://tool.example.org]\n";
        let config = load(text, &[]).unwrap();
        assert_eq!(config.server.trusted_proxies, ["10.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()));
        let proxies = [("PIKA_SERVER_TRUSTED_PROXIES", "192.0.2.1, 10.0.0.0/8")];
        let config = load(text, &proxies).unwrap();
        assert_eq!(
            config.server.trusted_proxies,
            ["192.0.2.1/32", "10.0.0.0/8"].map(|net| net.parse().unwrap())
        );
        assert!(load("", &[("PIKA_SERVER_CORS_ORIGINS", "")]).unwrap().server.cors_origins.is_empty());
        let error = load("", &[("PIKA_SERVER_TRUSTED_PROXIES", "everybody")]).unwrap_err();
        assert!(message(&error).contains("PIKA_SERVER_TRUSTED_PROXIES"), "{error}");
        for text in ["cors_origins: [\"*\"]", "cors_origins: [https://a.example/]", "tls: {key_file: a}"] {
            assert!(load(&format!("server:\n  {text}\n"), &[]).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = load("database:\n  postgres:\n    password: hunter2\n", &[]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
