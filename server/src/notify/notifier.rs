//! The interface to messages for the rest of the server: checks, tests and previews channels, and seals their secrets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use pika_shared::{Clock, chain, tls};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::channels::{FieldError, Kind, Kinds, Outcome, RenderError, Settings, Shown};
use super::error::NotifyError;
use super::message::{Catalogue, Language, Message, Notice, Sample, Transition, sample_notices, test_notice};
use super::outbound::{Outbound, OutboundError, OutboundOptions};
use super::sender::Sender;
use crate::config::AlertingConfig;
use crate::domain::TimestampMs;
use crate::secrets::{SecretKeys, SecretsError, channel_owner};
use crate::store::{self, Store};
use crate::telemetry::Instruments;

/// The dependencies of [`Notifier`].
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "said by their types")]
pub struct NotifierParts {
    pub store: Store,
    pub clock: Clock,
    pub instruments: Arc<Instruments>,
    /// The URL of the console; empty if not configured.
    pub public_url: String,
}

/// Sends messages. A clone is a pointer to the same.
#[derive(Clone, Debug)]
pub struct Notifier(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) parts: NotifierParts,
    pub(super) sender: Sender,
    pub(super) keys: SecretKeys,
    /// Identifies this run of the server.
    pub(super) server: Uuid,
    pub(super) config: AlertingConfig,
}

/// The presentation of a channel's messages.
#[derive(Clone, Debug)]
pub struct ChannelLook {
    /// The channel's name.
    pub name: String,
    /// The language of the texts.
    pub language: Language,
    /// The time zone of the times.
    pub time_zone: TimeZone,
}

/// The result of testing a channel.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// The outcome of the attempt.
    pub outcome: Outcome,
    /// The duration of the attempt, in milliseconds.
    pub attempt_ms: i64,
    /// The requests sent, without secrets.
    pub request: Vec<Shown>,
}

impl Notifier {
    /// Checks the alerting configuration.
    ///
    /// # Errors
    /// If a key or the proxy is invalid.
    pub fn check_config(config: &AlertingConfig) -> Result<(), NotifyError> {
        SecretKeys::parse(&config.secret_keys)?;
        let options = OutboundOptions {
            allowed_networks: Vec::new(),
            http_proxy: config.http_proxy.clone(),
            request_timeout: Duration::ZERO,
            tls: None,
        };
        Outbound::new(options).map(drop).map_err(NotifyError::Proxy)
    }

    /// Creates a notifier. The trusted authorities are loaded here, once.
    ///
    /// # Errors
    /// If a key or the proxy in the configuration is invalid.
    pub fn new(config: &AlertingConfig, parts: NotifierParts) -> Result<Self, NotifyError> {
        let keys = SecretKeys::parse(&config.secret_keys)?;
        let trusted = tls::collect(&[tls::Authorities::System]).and_then(tls::client_trusting);
        let trusted = trusted.inspect_err(|error| {
            tracing::warn!(error = %chain(error), "no channel can be reached over TLS");
        });
        let options = OutboundOptions {
            allowed_networks: config.allowed_networks.clone(),
            http_proxy: config.http_proxy.clone(),
            request_timeout: Duration::from_millis(config.request_timeout_ms),
            tls: trusted.ok().map(Arc::new),
        };
        let outbound = Outbound::new(options).map_err(NotifyError::Proxy)?;
        let kinds = Kinds::load()?;
        let names: Vec<&str> = kinds.all().iter().map(|kind| kind.kind.as_str()).collect();
        parts.instruments.notify().begin(&names, &super::channels::AttemptResult::ALL.map(|r| r.as_str()));
        let sender = Sender::new(kinds, Catalogue::load()?, outbound);
        Ok(Self(Arc::new(Inner { parts, sender, keys, server: Uuid::new_v4(), config: config.clone() })))
    }

    /// Returns the kinds of channels.
    pub fn kinds(&self) -> &Kinds {
        self.0.sender.kinds()
    }

    /// Returns the keys that seal secrets.
    pub fn secret_keys(&self) -> &SecretKeys {
        &self.0.keys
    }

    /// Seals the secrets of a channel; `None` if it has none.
    ///
    /// # Errors
    /// If there is no key.
    pub fn seal(
        &self,
        channel: Uuid,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<Option<Vec<u8>>, SecretsError> {
        self.seal_for(&channel_owner(channel), secrets)
    }

    /// Opens the secrets of a channel.
    ///
    /// # Errors
    /// If the key is gone.
    pub fn open(
        &self,
        channel: Uuid,
        sealed: Option<&[u8]>,
    ) -> Result<BTreeMap<String, SecretString>, SecretsError> {
        self.open_for(&channel_owner(channel), sealed)
    }

    /// Seals secrets by their names; `None` where there are none.
    pub(super) fn seal_for(
        &self,
        owner: &str,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<Option<Vec<u8>>, SecretsError> {
        if secrets.is_empty() {
            return Ok(None);
        }
        let texts: BTreeMap<&str, &str> =
            secrets.iter().map(|(name, secret)| (name.as_str(), secret.expose_secret())).collect();
        let json = SecretString::from(serde_json::to_string(&texts).unwrap_or_default());
        self.0.keys.seal(json.expose_secret().as_bytes(), owner).map(Some)
    }

    pub(super) fn open_for(
        &self,
        owner: &str,
        sealed: Option<&[u8]>,
    ) -> Result<BTreeMap<String, SecretString>, SecretsError> {
        let Some(sealed) = sealed else {
            return Ok(BTreeMap::new());
        };
        let json = self.0.keys.open(sealed, owner)?;
        let texts: BTreeMap<String, String> =
            serde_json::from_slice(json.expose_secret()).map_err(|_| SecretsError::CannotOpen)?;
        Ok(texts.into_iter().map(|(name, secret)| (name, secret.into())).collect())
    }

    /// Seals with the current key what was sealed for `owner` with another one.
    pub(super) fn resealed(&self, owner: &str, sealed: &[u8]) -> Result<Vec<u8>, SecretsError> {
        self.0.keys.seal(self.0.keys.open(sealed, owner)?.expose_secret(), owner)
    }

    /// Reseals with the current key what is sealed with another one. Returns the number of channels.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn reseal(&self) -> Result<u64, store::Error> {
        let mut n_resealed = 0;
        for (channel, sealed) in self.0.parts.store.sealed_channel_secrets().await? {
            if !self.0.keys.should_reseal(&sealed) {
                continue;
            }
            let resealed = self.resealed(&channel_owner(channel), &sealed);
            match resealed {
                Ok(resealed) => {
                    self.0.parts.store.reseal_channel_secrets(channel, &sealed, &resealed).await?;
                    n_resealed += 1;
                }
                Err(error) => {
                    tracing::warn!(%channel, error = %chain(&error), "a channel's secrets must be entered again");
                }
            }
        }
        self.reseal_heartbeats().await?;
        Ok(n_resealed)
    }

    /// Checks that a channel's template works and its destinations may be connected to, as far as can be told now.
    ///
    /// # Errors
    /// Names the invalid field.
    pub async fn check(&self, kind: &Kind, settings: &Settings) -> Result<(), FieldError> {
        let look =
            ChannelLook { name: "test".to_owned(), language: Language::English, time_zone: TimeZone::UTC };
        if settings.body_template.is_some() {
            for sample in [Sample::Firing, Sample::Resolved, Sample::Group] {
                let message = self.sample(&look, sample);
                self.0.sender.try_template(kind, settings, &message).map_err(|error| match error {
                    RenderError::Template { part, source } => FieldError::new(part, source.to_string()),
                    other => FieldError::new("templates.body", other.to_string()),
                })?;
            }
        }
        let checked = self.0.sender.check_places(kind, settings).await;
        checked.map_err(|(field, error)| match error {
            OutboundError::Destination(error) => FieldError::new(field, error.to_string()),
            other => FieldError::new(field, other.to_string()),
        })
    }

    /// Sends one real message. If the receiver manages incidents, this one is resolved again.
    pub async fn test(&self, kind: &Kind, settings: &Settings, look: &ChannelLook) -> TestResult {
        let began_at = Instant::now();
        let id = Uuid::new_v4();
        let now = self.0.parts.clock.now();
        let with = |transition| Message {
            is_test: true,
            ..self.message(look, vec![test_notice(id, transition, now)], now)
        };
        let message = with(Transition::Firing);
        let mut outcome = self.0.sender.send(kind, settings, &message).await;
        if kind.is_one_each && outcome.is_ok() {
            outcome = self.0.sender.send(kind, settings, &with(Transition::Resolved)).await;
        }
        self.0.parts.instruments.notify().add_attempt(&kind.kind, outcome.result.as_str());
        let request = self.0.sender.preview(kind, settings, &message).unwrap_or_default();
        let attempt_ms = i64::try_from(began_at.elapsed().as_millis()).unwrap_or(i64::MAX);
        TestResult { outcome, attempt_ms, request }
    }

    /// Renders the requests of a sample message, without secrets. Nothing is sent.
    ///
    /// # Errors
    /// If the settings do not yield a request.
    pub fn preview(
        &self,
        kind: &Kind,
        settings: &Settings,
        look: &ChannelLook,
        sample: Sample,
    ) -> Result<Vec<Shown>, RenderError> {
        self.0.sender.preview(kind, settings, &self.sample(look, sample))
    }

    fn sample(&self, look: &ChannelLook, sample: Sample) -> Message {
        let now = self.0.parts.clock.now();
        self.message(look, sample_notices(sample, now), now)
    }

    /// Returns a message that is sent when it is due.
    pub(super) fn message(&self, look: &ChannelLook, notices: Vec<Notice>, now: TimestampMs) -> Message {
        Message {
            language: look.language,
            time_zone: look.time_zone.clone(),
            public_url: self.0.parts.public_url.clone(),
            channel: look.name.clone(),
            key: Uuid::new_v4(),
            sent_at: now,
            due_at: now,
            is_test: false,
            notices,
        }
    }
}
