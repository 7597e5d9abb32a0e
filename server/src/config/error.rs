//! Why there is no configuration, and what is strange about its surroundings.

use std::fmt;
use std::path::PathBuf;

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

/// A variable that begins like Pika's and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The variable that may have been meant.
    pub nearest: Option<String>,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment variable {} is no key of the configuration", self.name)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => Ok(()),
        }
    }
}
