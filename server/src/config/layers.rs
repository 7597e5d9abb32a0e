//! Lays a configuration file and the environment over the defaults.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::environment::{self, UnknownVariable};

/// What the defaults are called.
const BUILT_IN: &str = "the built-in configuration";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("{origin} is not YAML")]
    Syntax {
        /// Which.
        origin: String,
        /// Where and why.
        source: serde_norway::Error,
    },
    /// A key does not exist or its value has the wrong type.
    #[error("{origin}: {key}")]
    Key {
        /// Which file.
        origin: String,
        /// The path of the key.
        key: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// YAML takes a text for a number or the like. The value is not repeated: it is likely to be a password.
    #[error("{origin}: {key} must be text; put it in quotes")]
    Unquoted {
        /// Which file.
        origin: String,
        /// The path of the key.
        key: String,
    },
    /// A variable's value makes no sense.
    #[error("the environment variable {name} cannot be used")]
    VariableValue {
        /// Which.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A variable's value has the wrong type.
    #[error("the environment variable {name} must be {expected}")]
    Variable {
        /// Which.
        name: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// The file that a variable names cannot be read.
    #[error("the file that the environment variable {name} names cannot be read")]
    VariableFile {
        /// Which.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// A variable's name is that of a key but for a slip of the pen.
    #[error("{0}")]
    UnknownVariable(UnknownVariable),
    /// There is no such key.
    #[error("there is no key {key}{}", nearest.as_ref().map_or_else(String::new, |key| format!("; did you mean {key}?")))]
    NoSuchKey {
        /// What was asked for.
        key: String,
        /// The key that is most like it, if one is.
        nearest: Option<String>,
    },
    /// A value is outside its limits.
    #[error("{key} must be {allowed}")]
    OutOfRange {
        /// The path of the key.
        key: &'static str,
        /// Its limits.
        allowed: &'static str,
    },
}

/// Defaults, file and environment, one over the other.
pub(super) struct Layers {
    pub(super) merged: Value,
    /// The file's name, or what stands for it.
    origin: String,
    /// The keys that the file gives.
    in_file: Vec<String>,
    /// The keys that the environment gives, each with its variable.
    variables: Vec<(String, String)>,
}

impl Layers {
    /// Merges them.
    pub(super) fn merge(
        defaults: &str,
        file: Option<(&Path, &str)>,
        environment: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let mut merged = parse(defaults, BUILT_IN)?;
        let mut origin = BUILT_IN.to_owned();
        let mut in_file = Vec::new();
        let keys = leaves(&merged);
        if let Some((path, text)) = file {
            origin = path.display().to_string();
            let over = parse(text, &origin)?;
            in_file = leaves(&over).iter().map(|path| path.join(".")).collect();
            overlay(&mut merged, over, "")
                .map_err(|key| ConfigError::Unquoted { origin: origin.clone(), key })?;
        }
        let variables = environment::apply(&mut merged, &keys, environment)?;
        Ok(Self { merged, origin, in_file, variables })
    }

    /// Gives the values their types.
    pub(super) fn typed<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(&self.merged).map_err(|error| {
            let key = error.path().to_string();
            let source = error.into_inner();
            match self.variables.iter().find(|(of, _)| *of == key) {
                Some((_, name)) => ConfigError::VariableValue { name: name.clone(), source },
                None => ConfigError::Key { origin: self.origin.clone(), key, source },
            }
        })
    }

    /// The keys that the file or the environment gives.
    pub(super) fn given(&self) -> impl Iterator<Item = &str> {
        self.in_file.iter().chain(self.variables.iter().map(|(key, _)| key)).map(String::as_str)
    }
}

fn parse(text: &str, origin: &str) -> Result<Value, ConfigError> {
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

/// Puts `over` on top. An empty section (`log:` and nothing below it) leaves what is there. Fails with the path of a
/// key that is no text but ought to be.
fn overlay(base: &mut Value, over: Value, path: &str) -> Result<(), String> {
    match (base, over) {
        (_, Value::Null) => {}
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                overlay(base.entry(key).or_insert(Value::Null), value, &path)?;
            }
        }
        (Value::String(_), Value::Number(_) | Value::Bool(_)) => return Err(path.to_owned()),
        (base, over) => *base = over,
    }
    Ok(())
}

/// The paths of all keys of the defaults.
pub(super) fn keys(defaults: &str) -> Result<Vec<Vec<String>>, ConfigError> {
    Ok(leaves(&parse(defaults, BUILT_IN)?))
}

/// The paths of all keys that hold values.
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
