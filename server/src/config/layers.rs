//! Merges a configuration file and the environment into the defaults.

use std::path::Path;

use pika_shared::layers::overlay;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::environment;
use super::error::ConfigError;
use super::yaml::{BUILT_IN, leaves, parse};

/// Defaults, file and environment, merged.
pub(super) struct Layers {
    pub(super) merged: Value,
    /// The name of the file, for errors.
    origin: String,
    /// The keys set by the file.
    in_file: Vec<String>,
    /// The keys set by the environment, with their variables.
    variables: Vec<(String, String)>,
}

impl Layers {
    /// Merges the layers.
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
            overlay(&mut merged, over)
                .map_err(|unquoted| ConfigError::Unquoted { origin: origin.clone(), key: unquoted.key })?;
        }
        let variables = environment::apply(&mut merged, &keys, environment)?;
        Ok(Self { merged, origin, in_file, variables })
    }

    /// Deserializes the merged values.
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

    /// Returns the keys set by the file or the environment.
    pub(super) fn given(&self) -> impl Iterator<Item = &str> {
        self.in_file.iter().chain(self.variables.iter().map(|(key, _)| key)).map(String::as_str)
    }
}
