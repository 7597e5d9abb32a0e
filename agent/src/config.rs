//! The agent's settings: the defaults in `config/agent.yaml`, overridden by the user's file, then the environment, then
//! the command line.

mod endpoint;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pika_protocol::limits::{INTERVAL_MS_MAX, INTERVAL_MS_MIN, NAME_CHARS_MAX, SAMPLES_PER_FRAME_MAX};
use pika_shared::layers::overlay;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub use endpoint::{Endpoint, EndpointError};

/// The commented default configuration.
pub const DEFAULTS: &str = include_str!("../../config/agent.yaml");

/// The file that is read if it exists and no other is given.
pub const DEFAULT_PATH: &str = "/etc/pika/agent.yaml";

/// Minimum time between two readings of the slow families, in milliseconds: some make the kernel add up its counters.
const SLOW_INTERVAL_MS_MIN: u64 = 10_000;

/// Environment variables that override the file, each with the key that it sets.
const ENVIRONMENT: [(&str, &[&str]); 5] = [
    ("PIKA_AGENT_SERVER", &["server"]),
    ("PIKA_AGENT_NAME", &["name"]),
    ("PIKA_AGENT_STATE_DIR", &["state_dir"]),
    ("PIKA_AGENT_INTERVAL_MS", &["interval_ms"]),
    ("PIKA_AGENT_LOG_LEVEL", &["log", "level"]),
];

/// The settings. `config/agent.yaml` documents the keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each key is documented in config/agent.yaml, and a test requires it to be there"
)]
pub struct Config {
    pub server: String,
    pub name: String,
    pub state_dir: PathBuf,
    pub interval_ms: u64,
    pub slow_interval_ms: u64,
    pub view: ViewConfig,
    pub heartbeat_interval_ms: u64,
    pub tls: TlsConfig,
    pub collectors: CollectorsConfig,
    pub disk: DiskConfig,
    pub disk_io: DiskIoConfig,
    pub network: NetworkConfig,
    pub sensor: SensorConfig,
    pub cgroup: CgroupConfig,
    pub readings_dir: PathBuf,
    pub readings_owner_uid: u32,
    pub outbox: OutboxConfig,
    pub log: LogConfig,
}

/// What the agent sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewConfig {
    /// What the control group and the mounts say.
    Auto,
    /// The machine itself.
    Host,
    /// A container.
    Container,
}

/// How the server's certificate is verified.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented in config/agent.yaml")]
pub struct TlsConfig {
    pub ca_file: PathBuf,
}

/// The enabled families: one key per table, named like it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented in config/agent.yaml")]
pub struct CollectorsConfig {
    pub cpu: CollectorConfig,
    pub memory: CollectorConfig,
    pub disk: CollectorConfig,
    pub network: CollectorConfig,
    pub load: CollectorConfig,
    pub pressure: CollectorConfig,
    pub disk_io: CollectorConfig,
    pub system: CollectorConfig,
    pub link: CollectorConfig,
    pub sensor: CollectorConfig,
    pub volume: CollectorConfig,
    pub cgroup: CollectorConfig,
    pub gpu: CollectorConfig,
    pub core: CollectorConfig,
}

/// One family.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented in config/agent.yaml")]
pub struct CollectorConfig {
    pub enabled: bool,
}

/// Which file systems are reported.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented in config/agent.yaml")]
pub struct DiskConfig {
    pub every_sample: bool,
    pub include_mount_points: Vec<String>,
    pub exclude_mount_points: Vec<String>,
    pub exclude_fs_types: Vec<String>,
}

/// Which block devices are reported.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented in config/agent.yaml")]
pub struct DiskIoConfig {
    pub include_devices: Vec<String>,
    pub exclude_devices: Vec<String>,
}

/// Which network interfaces are reported.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented in config/agent.yaml")]
pub struct NetworkConfig {
    pub include_interfaces: Vec<String>,
    pub exclude_interfaces: Vec<String>,
}

/// Which sensors are reported.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented in config/agent.yaml")]
pub struct SensorConfig {
    pub exclude_sensors: Vec<String>,
}

/// Which control groups are reported.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented in config/agent.yaml")]
pub struct CgroupConfig {
    pub include_containers: Vec<String>,
    pub exclude_containers: Vec<String>,
    pub include_units: Vec<String>,
}

/// Limits of unacknowledged samples.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented in config/agent.yaml")]
pub struct OutboxConfig {
    pub spool_bytes_max: u64,
    pub age_ms_max: i64,
    pub sync_interval_ms: u64,
    pub memory_samples_max: usize,
    pub samples_per_frame_max: usize,
    pub frames_in_flight_max: usize,
    pub backlog_frame_interval_ms: u64,
}

/// Log settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "documented in config/agent.yaml")]
pub struct LogConfig {
    pub level: LogLevel,
    pub format: LogFormat,
}

/// The minimum severity of logged events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Human-readable.
    Human,
    /// One JSON object per line.
    Json,
}

/// Command-line options, which override everything else.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--server`
    pub server: Option<String>,
    /// `--name`
    pub name: Option<String>,
    /// `--state-dir`
    pub state_dir: Option<PathBuf>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ConfigError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{origin} is not valid YAML")]
    Syntax { origin: String, source: serde_norway::Error },
    #[error("{origin} must hold a map of settings")]
    NotAMap { origin: String },
    #[error("{origin}: at `{path}`")]
    Field { origin: String, path: String, source: serde_json::Error },
    #[error("{origin}: {key} must be text; put it in quotes")]
    Unquoted { origin: String, key: String },
    #[error("`{key}` must be {expected}")]
    Range { key: &'static str, expected: String },
    #[error("`server` is not usable")]
    Server { source: EndpointError },
}

impl Config {
    /// The defaults, with the file at `path` (or, where that is `None`, the one at [`DEFAULT_PATH`] if there is
    /// one), the environment as `variable` tells it, and `overrides` merged over them, in this order.
    ///
    /// # Errors
    /// If a file cannot be read, a key is unknown, or a value has the wrong type or is out of bounds.
    pub fn load(
        path: Option<&Path>,
        variable: impl Fn(&str) -> Option<String>,
        overrides: &Overrides,
    ) -> Result<Config, ConfigError> {
        let (origin, text) = match path {
            Some(path) => (path.display().to_string(), read(path)?),
            None if Path::new(DEFAULT_PATH).exists() => {
                (DEFAULT_PATH.to_owned(), read(Path::new(DEFAULT_PATH))?)
            }
            None => ("the built-in configuration".to_owned(), String::new()),
        };
        Config::from_yaml(&origin, &text, variable, overrides)
    }

    /// Like [`Config::load`], with the user's file given as text; `origin` names it in errors.
    ///
    /// # Errors
    /// See [`Config::load`].
    pub fn from_yaml(
        origin: &str,
        text: &str,
        variable: impl Fn(&str) -> Option<String>,
        overrides: &Overrides,
    ) -> Result<Config, ConfigError> {
        let mut settings = parse("the built-in configuration", DEFAULTS)?;
        lay(&mut settings, parse(origin, text)?, origin)?;
        let mut origin = origin.to_owned();
        for (name, keys) in ENVIRONMENT {
            if let Some(text) = variable(name).filter(|text| !text.is_empty()) {
                origin = format!("{origin} with {name}");
                // This is the only number; text that is not a number fails below, with its key.
                let number = text.parse::<u64>().ok().filter(|_| name == "PIKA_AGENT_INTERVAL_MS");
                let value = number.map_or(Value::from(text), Value::from);
                let over = keys.iter().rev().fold(value, |value, key| json!({ *key: value }));
                lay(&mut settings, over, &origin)?;
            }
        }

        let mut config: Config = serde_path_to_error::deserialize(settings).map_err(|error| {
            ConfigError::Field { origin, path: error.path().to_string(), source: error.into_inner() }
        })?;
        if let Some(server) = &overrides.server {
            config.server.clone_from(server);
        }
        if let Some(name) = &overrides.name {
            config.name.clone_from(name);
        }
        if let Some(state_dir) = &overrides.state_dir {
            config.state_dir.clone_from(state_dir);
        }
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if !self.server.is_empty() {
            Endpoint::parse(&self.server).map_err(|source| ConfigError::Server { source })?;
        }
        if NAME_CHARS_MAX < self.name.chars().count() {
            return Err(ConfigError::Range {
                key: "name",
                expected: format!("at most {NAME_CHARS_MAX} characters"),
            });
        }
        if self.state_dir.as_os_str().is_empty() {
            return Err(ConfigError::Range { key: "state_dir", expected: "a directory".to_owned() });
        }
        let outbox = &self.outbox;
        within("interval_ms", self.interval_ms, INTERVAL_MS_MIN, INTERVAL_MS_MAX)?;
        within("slow_interval_ms", self.slow_interval_ms, SLOW_INTERVAL_MS_MIN, INTERVAL_MS_MAX)?;
        within("heartbeat_interval_ms", self.heartbeat_interval_ms, 1_000, 600_000)?;
        within("outbox.spool_bytes_max", outbox.spool_bytes_max, 1024 * 1024, 1 << 40)?;
        within("outbox.age_ms_max", outbox.age_ms_max, 60_000, 30 * 86_400_000)?;
        within("outbox.sync_interval_ms", outbox.sync_interval_ms, 1_000, 3_600_000)?;
        within("outbox.memory_samples_max", outbox.memory_samples_max, 1, 100_000)?;
        within("outbox.samples_per_frame_max", outbox.samples_per_frame_max, 1, SAMPLES_PER_FRAME_MAX)?;
        within("outbox.frames_in_flight_max", outbox.frames_in_flight_max, 2, 64)?;
        within("outbox.backlog_frame_interval_ms", outbox.backlog_frame_interval_ms, 0, 60_000)
    }
}

fn within<T: Copy + PartialOrd + std::fmt::Display>(
    key: &'static str,
    value: T,
    min: T,
    max: T,
) -> Result<(), ConfigError> {
    if min <= value && value <= max {
        return Ok(());
    }
    Err(ConfigError::Range { key, expected: format!("from {min} to {max}, not {value}") })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

fn parse(origin: &str, text: &str) -> Result<Value, ConfigError> {
    let value = serde_norway::from_str(text)
        .map_err(|source| ConfigError::Syntax { origin: origin.to_owned(), source })?;
    match value {
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Object(_) => Ok(value),
        _ => Err(ConfigError::NotAMap { origin: origin.to_owned() }),
    }
}

fn lay(settings: &mut Value, over: Value, origin: &str) -> Result<(), ConfigError> {
    overlay(settings, over)
        .map_err(|unquoted| ConfigError::Unquoted { origin: origin.to_owned(), key: unquoted.key })
}

#[cfg(test)]
mod tests;
