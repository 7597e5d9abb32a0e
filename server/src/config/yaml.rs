//! The defaults, and parsing of YAML.

use serde_json::{Map, Value};

use super::error::ConfigError;

/// The default configuration file.
pub(super) const DEFAULTS: &str = include_str!("../../../config/server.yaml");

/// The name of the defaults in errors.
pub(super) const BUILT_IN: &str = "the built-in configuration";

/// Parses a text; errors name it `origin`.
pub(super) fn parse(text: &str, origin: &str) -> Result<Value, ConfigError> {
    let value: Value = serde_norway::from_str(text)
        .map_err(|source| ConfigError::Syntax { origin: origin.to_owned(), source })?;
    Ok(match lowercase_keys(value) {
        Value::Null => Value::Object(Map::new()),
        value => value,
    })
}

fn lowercase_keys(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter().map(|(key, value)| (key.to_lowercase(), lowercase_keys(value))).collect(),
        ),
        other => other,
    }
}

/// Returns the paths of all keys of the defaults.
pub(super) fn keys() -> Result<Vec<Vec<String>>, ConfigError> {
    Ok(leaves(&parse(DEFAULTS, BUILT_IN)?))
}

/// Returns the paths of all keys with values.
pub(super) fn leaves(value: &Value) -> Vec<Vec<String>> {
    let mut leaves = Vec::new();
    collect_leaves(value, &mut Vec::new(), &mut leaves);
    leaves
}

fn collect_leaves(value: &Value, path: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                path.push(key.clone());
                collect_leaves(value, path, leaves);
                path.pop();
            }
        }
        Value::Null => {}
        _ => leaves.push(path.clone()),
    }
}
