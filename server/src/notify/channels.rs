//! The kinds of channels, as data: one file per kind in `notify/channels` defines its fields, its requests, and how its
//! answers are judged.

mod answer;
mod definition;
mod fields;
mod render;

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::store::AlertChannel;

pub use answer::{AttemptResult, Outcome};
pub use definition::{Field, FieldType, Kind};
pub use fields::FieldError;
pub(crate) use render::Renderer;
pub use render::{RenderError, Shown};

/// All kinds, in the order in which they are listed.
const FILES: [(&str, &str); 17] = [
    ("webhook", include_str!("channels/webhook.yaml")),
    ("smtp", include_str!("channels/smtp.yaml")),
    ("telegram", include_str!("channels/telegram.yaml")),
    ("slack", include_str!("channels/slack.yaml")),
    ("discord", include_str!("channels/discord.yaml")),
    ("teams", include_str!("channels/teams.yaml")),
    ("ntfy", include_str!("channels/ntfy.yaml")),
    ("gotify", include_str!("channels/gotify.yaml")),
    ("pagerduty", include_str!("channels/pagerduty.yaml")),
    ("jsm", include_str!("channels/jsm.yaml")),
    ("dingtalk", include_str!("channels/dingtalk.yaml")),
    ("wecom", include_str!("channels/wecom.yaml")),
    ("feishu", include_str!("channels/feishu.yaml")),
    ("bark", include_str!("channels/bark.yaml")),
    ("serverchan", include_str!("channels/serverchan.yaml")),
    ("matrix", include_str!("channels/matrix.yaml")),
    ("pushover", include_str!("channels/pushover.yaml")),
];

/// A kind cannot be read: a bug in Pika itself.
#[derive(Debug, thiserror::Error)]
#[error("the channel kind {kind} cannot be read")]
pub struct KindError {
    /// The kind's name.
    kind: &'static str,
    /// The parse error.
    source: serde_norway::Error,
}

/// All kinds of channels.
#[derive(Clone, Debug)]
pub struct Kinds(Vec<Kind>);

impl Kinds {
    /// Loads the built-in kinds.
    ///
    /// # Errors
    /// If one cannot be read; a test ensures that all can.
    pub fn load() -> Result<Self, KindError> {
        let read = |(kind, text): (&'static str, &str)| {
            serde_norway::from_str(text).map_err(|source| KindError { kind, source })
        };
        FILES.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the kind with this name.
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.0.iter().find(|kind| kind.kind == name)
    }

    /// Returns all kinds.
    pub fn all(&self) -> &[Kind] {
        &self.0
    }
}

/// The settings of a channel, with secrets in the clear.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The settings that are not secret.
    pub plain: Map<String, Value>,
    /// The secrets.
    pub secrets: BTreeMap<String, SecretString>,
    /// The custom body of requests; `None` for the built-in one.
    pub body_template: Option<String>,
}

impl Settings {
    /// Returns a channel's settings, with its opened secrets.
    pub fn of(channel: &AlertChannel, secrets: BTreeMap<String, SecretString>) -> Self {
        let templates = channel.settings.templates.as_deref();
        let templates: BTreeMap<String, String> =
            templates.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        Self {
            plain: serde_json::from_str(&channel.settings.settings).unwrap_or_default(),
            secrets,
            body_template: templates.get("body").cloned(),
        }
    }

    /// Returns a setting or secret as text; empty if it is not set.
    pub(crate) fn text(&self, name: &str) -> &str {
        use secrecy::ExposeSecret as _;
        match self.secrets.get(name) {
            Some(secret) => secret.expose_secret(),
            None => self.plain.get(name).and_then(Value::as_str).unwrap_or_default(),
        }
    }

    /// Masks all secrets in a text, as services repeat what they were sent.
    pub(crate) fn redact(&self, text: &str) -> String {
        use secrecy::ExposeSecret as _;
        let mut redacted = text.to_owned();
        for secret in self.secrets.values() {
            for part in secret.expose_secret().split_whitespace() {
                // Of a secret URL, the path must not be seen.
                let path = part.splitn(4, '/').nth(3).unwrap_or_default();
                for form in [part, path, &super::template::percent_encode(part)] {
                    if REDACTED_CHARS_MIN <= form.chars().count() {
                        redacted = redacted.replace(form, REDACTED);
                    }
                }
            }
        }
        redacted
    }
}

/// The replacement for a secret.
pub(crate) const REDACTED: &str = "•••";
/// Shorter texts occur everywhere.
const REDACTED_CHARS_MIN: usize = 4;

#[cfg(test)]
mod tests;
