//! Signs of life to the outside: while rules are evaluated and messages are sent, and not otherwise, so that somebody else
//! notices when Pika is gone.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hyper::Method;
use pika_shared::chain;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use uuid::Uuid;

use super::notifier::Notifier;
use super::outbound::{OutboundError, Request, parse_url};
use crate::domain::TimestampMs;
use crate::domain::alert::settings::{Heartbeat, HeartbeatMethod};
use crate::secrets::{HEARTBEATS_OWNER, SecretsError};
use crate::store;

/// How long a message may wait for somebody to try it, in milliseconds: longer, and nobody sends any.
const UNTRIED_MS_MAX: i64 = 900_000;
/// How much too early a sign of life may be: evaluations are not made to the millisecond.
const TOLERANCE: Duration = Duration::from_secs(1);

/// Why no heartbeat can be sent.
#[derive(Debug, thiserror::Error)]
enum BeatError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the addresses of heartbeats must be entered again")]
    Sealed(#[from] SecretsError),
    #[error("messages are due, and nobody sends them")]
    UntriedMessage,
}

/// When each was sent last, and how many have failed since.
#[derive(Default)]
struct Past {
    sent_at: HashMap<Uuid, Instant>,
    failures: HashMap<Uuid, u64>,
}

impl Notifier {
    /// Seals the addresses of heartbeats; `None` where there are none.
    ///
    /// # Errors
    /// Where there is no key.
    pub fn seal_heartbeats(
        &self,
        urls: &BTreeMap<Uuid, SecretString>,
    ) -> Result<Option<Vec<u8>>, SecretsError> {
        let texts = urls.iter().map(|(id, url)| (id.to_string(), url.clone())).collect();
        self.seal_for(HEARTBEATS_OWNER, &texts)
    }

    /// Opens the addresses of heartbeats.
    ///
    /// # Errors
    /// Where the key is gone.
    pub fn open_heartbeats(
        &self,
        sealed: Option<&[u8]>,
    ) -> Result<BTreeMap<Uuid, SecretString>, SecretsError> {
        let texts = self.open_for(HEARTBEATS_OWNER, sealed)?;
        Ok(texts.into_iter().filter_map(|(id, url)| Some((id.parse().ok()?, url))).collect())
    }

    /// Seals the addresses with the current key where they are sealed with another one.
    pub(super) async fn reseal_heartbeats(&self) -> Result<(), store::Error> {
        let store = &self.0.parts.store;
        let sealed = store.heartbeats().await?.1;
        let Some(sealed) = sealed.filter(|sealed| self.0.keys.should_reseal(sealed)) else {
            return Ok(());
        };
        match self.resealed(HEARTBEATS_OWNER, &sealed) {
            Ok(resealed) => store.reseal_heartbeats(&sealed, &resealed).await,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "heartbeats have to be given their addresses again");
                Ok(())
            }
        }
    }

    /// Whether an address of a heartbeat may be connected to, as far as can be told now. Answers its host, which is no secret.
    ///
    /// # Errors
    /// Says why not.
    pub async fn check_heartbeat(&self, url: &str) -> Result<String, OutboundError> {
        self.0.sender.outbound().check_url(url).await?;
        Ok(parse_url(url)?.host_str().unwrap_or_default().to_owned())
    }

    /// Sends signs of life after complete evaluations. Ends only with its future.
    pub async fn beat(&self, mut completed: watch::Receiver<Option<TimestampMs>>) -> Infallible {
        let mut past = Past::default();
        let mut failures = 0_u64;
        loop {
            if completed.changed().await.is_err() {
                return std::future::pending().await;
            }
            match self.beat_once(&mut past).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::warn!(error = %chain(&error), failures, "no heartbeat can be sent");
                    }
                }
            }
        }
    }

    /// Sends the signs of life that are due.
    async fn beat_once(&self, past: &mut Past) -> Result<(), BeatError> {
        let store = &self.0.parts.store;
        let (heartbeats, sealed) = store.heartbeats().await?;
        if heartbeats.is_empty() {
            return Ok(());
        }
        if store.has_untried_message(self.0.parts.clock.now() - UNTRIED_MS_MAX).await? {
            return Err(BeatError::UntriedMessage);
        }
        let urls = self.open_heartbeats(sealed.as_deref())?;
        let is_due = |heartbeat: &&Heartbeat| {
            let period = Duration::from_millis(u64::try_from(heartbeat.period_ms).unwrap_or(0));
            past.sent_at.get(&heartbeat.id).is_none_or(|at| period <= at.elapsed() + TOLERANCE)
        };
        let due = heartbeats.iter().filter(is_due);
        let due = due.filter_map(|heartbeat| Some((heartbeat, urls.get(&heartbeat.id)?)));
        let began_at = Instant::now();
        let sent =
            due.map(|(heartbeat, url)| async move { (heartbeat, self.send_heartbeat(heartbeat, url).await) });
        for (heartbeat, error) in join_all(sent.collect::<Vec<_>>()).await {
            self.note(past, heartbeat, error, began_at);
        }
        Ok(())
    }

    /// Sends one. Answers what is wrong, if something is.
    async fn send_heartbeat(&self, heartbeat: &Heartbeat, url: &SecretString) -> Option<String> {
        let request = Request {
            method: match heartbeat.method {
                HeartbeatMethod::Get => Method::GET,
                HeartbeatMethod::Post => Method::POST,
                HeartbeatMethod::Head => Method::HEAD,
            },
            url: url.expose_secret().to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        match self.0.sender.outbound().send(&request).await {
            Ok(response) if (200..300).contains(&response.status) => None,
            Ok(response) => Some(format!("answered {}", response.status)),
            Err(error) => Some(chain(&error).to_string()),
        }
    }

    fn note(&self, past: &mut Past, heartbeat: &Heartbeat, error: Option<String>, began_at: Instant) {
        let Some(error) = error else {
            past.sent_at.insert(heartbeat.id, began_at);
            past.failures.remove(&heartbeat.id);
            self.0.parts.instruments.notify().set_heartbeat(self.0.parts.clock.now());
            return;
        };
        let failures = past.failures.entry(heartbeat.id).or_default();
        *failures += 1;
        if failures.is_power_of_two() {
            tracing::warn!(host = heartbeat.host, error, failures, "a heartbeat was not taken");
        }
    }
}
