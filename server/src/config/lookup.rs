//! Single keys of the configuration, for scripts that need what the server would use.

use std::path::Path;

use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::nearest::nearest;
use super::yaml::leaves;
use super::{Config, ConfigError};

/// What is in effect of a key, or of a whole section.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// A value as the environment would take it; a section as YAML. Secrets are not hidden.
    pub text: String,
    /// Whether the file or the environment gives it; else it is the default. An empty text gives nothing.
    pub is_given: bool,
}

impl Config {
    /// Looks up a key, such as `server.addr`, or a section, such as `database.postgres`. `database.url` is the URL that
    /// the server uses, made of `database.postgres` where it is not given.
    ///
    /// # Errors
    /// Names what is wrong with the configuration, or the key that is most like one that does not exist.
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

/// Whether a key is the one asked for, or in the section asked for.
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
