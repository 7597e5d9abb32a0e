//! Looks up single configuration keys, for scripts.

use std::path::Path;

use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::nearest::nearest;
use super::yaml::leaves;
use super::{Config, ConfigError};

/// The effective value of a key or section.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// A value in the form of an environment variable, or a section as YAML. Secrets are not hidden.
    pub text: String,
    /// Whether the file or the environment sets it to something other than an empty text.
    pub is_given: bool,
}

impl Config {
    /// Looks up a key, such as `server.addr`, or a section, such as `database.postgres`. `database.url` is the URL that
    /// the server uses, built from `database.postgres` if it is not given.
    ///
    /// # Errors
    /// If the configuration is invalid, or the key does not exist; suggests the most similar one.
    pub fn look_up(
        file: Option<&Path>,
        environment: &[(String, String)],
        key: &str,
    ) -> Result<Setting, ConfigError> {
        let layers = Self::read_layers(file, environment)?;
        let config: Self = layers.typed()?;
        config.validate()?;
        let key = key.to_lowercase();
        let leaves: Vec<_> = leaves(&layers.merged).iter().map(|path| path.join(".")).collect();
        if !leaves.iter().any(|leaf| is_at(leaf, &key)) {
            let sections = leaves.iter().flat_map(|leaf| leaf.match_indices('.').map(|(at, _)| &leaf[..at]));
            let known = leaves.iter().map(String::as_str).chain(sections);
            return Err(ConfigError::NoSuchKey { nearest: nearest(&key, known).map(str::to_owned), key });
        }
        let mut given = layers.given().filter(|leaf| is_at(leaf, &key));
        let is_given =
            given.any(|leaf| layers.merged.pointer(&pointer(leaf)).is_some_and(|value| value != ""));
        let text = match (key.as_str(), layers.merged.pointer(&pointer(&key))) {
            ("database.url", _) => config.database.url().expose_secret().to_owned(),
            (_, value) => value.map(show).unwrap_or_default(),
        };
        Ok(Setting { text, is_given })
    }
}

/// Returns whether `leaf` is the key, or in the section, `key`.
fn is_at(leaf: &str, key: &str) -> bool {
    leaf.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn pointer(key: &str) -> String {
    format!("/{}", key.replace('.', "/"))
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(show).collect::<Vec<_>>().join(","),
        Value::Object(_) => serde_norway::to_string(value).unwrap_or_default().trim_end().to_owned(),
        scalar => scalar.to_string(),
    }
}
