//! Configuration errors, and unknown variables.

use std::fmt;
use std::path::PathBuf;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("{origin} is not YAML")]
    Syntax {
        /// The name of the file.
        origin: String,
        /// The cause, with its position.
        source: serde_norway::Error,
    },
    /// A key does not exist or its value has the wrong type.
    #[error("{origin}: {key}")]
    Key {
        /// The name of the file.
        origin: String,
        /// The path of the key.
        key: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// YAML reads a text as a number or the like. The value is not shown: it is likely to be a password.
    #[error("{origin}: {key} must be text; put it in quotes")]
    Unquoted {
        /// The name of the file.
        origin: String,
        /// The path of the key.
        key: String,
    },
    /// A variable's value is invalid.
    #[error("the environment variable {name} cannot be used")]
    VariableValue {
        /// The name of the variable.
        name: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// A variable's value has the wrong type.
    #[error("the environment variable {name} must be {expected}")]
    Variable {
        /// The name of the variable.
        name: String,
        /// The expected type.
        expected: &'static str,
    },
    /// The file named by a variable cannot be read.
    #[error("cannot read the file named by the environment variable {name}")]
    VariableFile {
        /// The name of the variable.
        name: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A variable's name is a mistyped key.
    #[error("{0}")]
    UnknownVariable(UnknownVariable),
    /// There is no such key.
    #[error("there is no key {key}{}", nearest.as_ref().map_or_else(String::new, |key| format!("; did you mean {key}?")))]
    NoSuchKey {
        /// The requested key.
        key: String,
        /// The most similar key, if any.
        nearest: Option<String>,
    },
    /// A value is not allowed.
    #[error("{key} must be {allowed}")]
    OutOfRange {
        /// The path of the key.
        key: &'static str,
        /// The allowed values.
        allowed: &'static str,
    },
}

/// An unknown variable that begins like Pika's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The most similar variable, if any.
    pub nearest: Option<String>,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment variable {} is not a configuration key", self.name)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => Ok(()),
        }
    }
}
