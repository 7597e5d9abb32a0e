//! Sends pending messages: leases a channel, sends in order, and records every attempt before and after.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use pika_shared::chain;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::channels::{AttemptResult, Kind, Outcome, Settings};
use super::delivery::{alert_ids, merge, notices};
use super::message::{Language, Message};
use super::notifier::{ChannelLook, Notifier};
use crate::domain::TimestampMs;
use crate::domain::text::clean;
use crate::store::{self, AlertChannel, AttemptEnd, WaitingMessage};

/// How often the database is checked for due messages.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often expired messages are given up, and pending ones counted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// How long a channel is leased. The holder keeps renewing the lease; that of a server that is gone expires after this.
const LEASE_MS: i64 = 90_000;
const RENEW_INTERVAL: Duration = Duration::from_secs(30);
/// The first wait after a failure is up to this; each further one is up to twice as long.
const WAIT_MS: i64 = 5_000;
const WAIT_MS_MAX: i64 = 600_000;
/// A broken channel is retried this often while messages are pending.
const BROKEN_WAIT_MS: i64 = 900_000;
/// A message that the receiver rejects is given up after this many attempts.
const REFUSALS_MAX: i32 = 3;
/// A channel at its hourly limit is sent to again after this, in one message.
const HOURLY_WAIT_MS: i64 = 900_000;
const HOUR_MS: i64 = 3_600_000;

impl Notifier {
    /// Sends pending messages until `stopped` is cancelled; a message being sent then is completed.
    pub async fn run(&self, stopped: CancellationToken) {
        let mut sending = JoinSet::new();
        let mut polls = tokio::time::interval(POLL_INTERVAL);
        polls.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut swept_at: Option<Instant> = None;
        let mut failures = Failures::default();
        loop {
            tokio::select! {
                () = stopped.cancelled() => break,
                _ = polls.tick() => {}
            }
            while sending.try_join_next().is_some() {}
            if swept_at.is_none_or(|at| SWEEP_INTERVAL <= at.elapsed()) {
                swept_at = Some(Instant::now());
                failures.note(self.sweep().await);
            }
            while sending.len() < self.0.config.workers {
                let now = self.0.parts.clock.now();
                let leased = self.0.parts.store.lease_alert_channel(self.0.server, now, now + LEASE_MS).await;
                match leased {
                    Ok(Some(channel)) => {
                        let notifier = self.clone();
                        sending.spawn(async move { notifier.serve_and_say(&channel).await });
                    }
                    Ok(None) => {
                        failures.note(Ok(()));
                        break;
                    }
                    Err(error) => {
                        failures.note(Err(error));
                        break;
                    }
                }
            }
        }
        while sending.join_next().await.is_some() {}
    }

    /// Gives up expired messages, and counts pending ones.
    async fn sweep(&self) -> Result<(), store::Error> {
        let now = self.0.parts.clock.now();
        let n_expired = self.0.parts.store.expire_messages(now).await?;
        if 0 < n_expired {
            tracing::warn!(messages = n_expired, "messages were not sent in time and are given up");
        }
        let backlog = self.0.parts.store.outbox_backlog().await?;
        let oldest_seconds = backlog.oldest_at.map_or(0, |at| (now - at).max(0) / 1_000);
        self.0.parts.instruments.notify().set_outbox(
            n_expired,
            backlog.waiting,
            oldest_seconds,
            backlog.channels_failing,
        );
        Ok(())
    }

    async fn serve_and_say(&self, channel: &AlertChannel) {
        if let Err(error) = self.serve(channel).await {
            tracing::warn!(
                channel = %channel.id,
                error = %chain(&error),
                "a channel's delivery could not be recorded; it is repeated when the lease expires"
            );
        }
    }

    /// Sends a channel one message.
    async fn serve(&self, channel: &AlertChannel) -> Result<(), store::Error> {
        let now = self.0.parts.clock.now();
        let store = &self.0.parts.store;
        let (waiting, n_sent) = store.waiting_messages(channel.id, now - HOUR_MS).await?;
        let kind = self.kinds().get(&channel.settings.kind);
        let is_one_each = kind.is_some_and(|kind| kind.is_one_each);
        let Some(first) = waiting.first() else {
            return store.release_alert_channel(channel.id, self.0.server, now).await;
        };
        if !first.is_uncertain && i64::from(channel.settings.per_hour_max) <= n_sent {
            return store.release_alert_channel(channel.id, self.0.server, now + HOURLY_WAIT_MS).await;
        }
        // What a receiver may have got already is repeated unchanged, with its key.
        let message = if first.is_uncertain || is_one_each || waiting.len() == 1 {
            first.clone()
        } else {
            self.merged(channel.id, &waiting).await?.unwrap_or_else(|| first.clone())
        };
        self.attempt(channel, kind, &message).await
    }

    /// Merges pending messages into one, as far as none of them is uncertain.
    async fn merged(
        &self,
        channel: Uuid,
        waiting: &[WaitingMessage],
    ) -> Result<Option<WaitingMessage>, store::Error> {
        let n_certain = waiting.iter().take_while(|message| !message.is_uncertain).count();
        let together = &waiting[..n_certain];
        let Some((last, earlier)) = together.split_last().filter(|(_, earlier)| !earlier.is_empty()) else {
            return Ok(None);
        };
        let Some(merged) = merge(together) else {
            return Ok(None);
        };
        let superseded: Vec<i64> = earlier.iter().map(|message| message.id).collect();
        self.0.parts.store.merge_messages(channel, &superseded, &merged).await?;
        tracing::debug!(%channel, into = last.id, messages = together.len(), "sent as one message");
        Ok(Some(merged))
    }

    async fn attempt(
        &self,
        channel: &AlertChannel,
        kind: Option<&Kind>,
        waiting: &WaitingMessage,
    ) -> Result<(), store::Error> {
        let store = &self.0.parts.store;
        let began_at = self.0.parts.clock.now();
        let timer = Instant::now();
        let number = store.begin_attempt(waiting.id, began_at).await?;
        let alerts = store.alerts_to_tell(&alert_ids(&waiting.items)).await?;
        let notices = notices(&waiting.items, &alerts);
        let outcome = match (kind, self.opened(channel)) {
            _ if notices.is_empty() => unusable("the alerts that it tells of are gone"),
            (None, _) => unusable("there is no such kind of channel any more"),
            (_, Err(outcome)) => outcome,
            (Some(kind), Ok(settings)) => {
                let look = self.look(channel).await?;
                let message = Message {
                    key: waiting.key,
                    due_at: waiting.created_at,
                    ..self.message(&look, notices.clone(), began_at)
                };
                tokio::select! {
                    outcome = self.0.sender.send(kind, &settings, &message) => outcome,
                    never = self.keep_lease(channel.id) => match never {},
                }
            }
        };
        let duration = timer.elapsed();
        self.measure(channel, waiting, &outcome, duration);
        let is_gone = notices.is_empty();
        let end = self.end(channel, kind, waiting, number, is_gone, outcome, duration)?;
        store.end_attempt(channel.id, self.0.server, waiting, &end).await
    }

    /// Returns a channel's settings, with its secrets opened.
    fn opened(&self, channel: &AlertChannel) -> Result<Settings, Outcome> {
        let secrets = self.open(channel.id, channel.settings.secrets.as_deref());
        let secrets =
            secrets.map_err(|error| unusable(&format!("{error}; give the channel its secrets again")))?;
        Ok(Settings::of(channel, secrets))
    }

    /// Returns the presentation of a channel's messages.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn look(&self, channel: &AlertChannel) -> Result<ChannelLook, store::Error> {
        let settings = &channel.settings;
        let (language, time_zone) = match (&settings.language, &settings.time_zone) {
            (Some(language), Some(time_zone)) => (language.clone(), time_zone.clone()),
            (language, time_zone) => {
                let (default_language, default_zone) = self.0.parts.store.alert_language().await?;
                (language.clone().unwrap_or(default_language), time_zone.clone().unwrap_or(default_zone))
            }
        };
        Ok(ChannelLook {
            name: settings.name.clone(),
            language: Language::parse(&language).unwrap_or(Language::English),
            time_zone: TimeZone::get(&time_zone).unwrap_or(TimeZone::UTC),
        })
    }

    /// Renews the lease of a channel for as long as this runs.
    async fn keep_lease(&self, channel: Uuid) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(RENEW_INTERVAL).await;
            let until = self.0.parts.clock.now() + LEASE_MS;
            if let Err(error) = self.0.parts.store.renew_alert_channel(channel, self.0.server, until).await {
                tracing::warn!(%channel, error = %chain(&error), "a channel's lease could not be renewed");
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what an attempt consists of")]
    fn end(
        &self,
        channel: &AlertChannel,
        kind: Option<&Kind>,
        waiting: &WaitingMessage,
        number: i32,
        is_gone: bool,
        outcome: Outcome,
        duration: Duration,
    ) -> Result<AttemptEnd, store::Error> {
        let now = self.0.parts.clock.now();
        let pace_ms = kind.map_or(0, |kind| kind.pace_ms).max(i64::from(channel.settings.min_interval_ms));
        let is_given_up = outcome.is_final && REFUSALS_MAX <= number;
        let (status, channel_state, wait_ms) = match (outcome.is_ok(), outcome.is_final) {
            _ if is_gone => ("failed", "ok", pace_ms),
            (true, _) if outcome.error.is_some() && channel.settings.templates.is_some() => {
                ("sent", "failing", pace_ms)
            }
            (true, _) => ("sent", "ok", pace_ms),
            (false, true) => (if is_given_up { "failed" } else { "waiting" }, "broken", BROKEN_WAIT_MS),
            (false, false) => ("waiting", "failing", wait_ms(number, outcome.retry_after, jitter())),
        };
        if status != "sent" {
            tracing::warn!(
                channel = %channel.id,
                kind = channel.settings.kind,
                result = outcome.result.as_str(),
                http_status = outcome.http_status,
                error = clean(outcome.error.as_deref().unwrap_or_default()),
                attempts = number,
                message = waiting.id,
                given_up = status == "failed",
                "a message could not be delivered to a channel"
            );
        }
        if status != "waiting" {
            self.0.parts.instruments.notify().add_message(&channel.settings.kind, status);
        }
        Ok(AttemptEnd {
            number,
            ended_at: now,
            duration_ms: i32::try_from(duration.as_millis()).unwrap_or(i32::MAX),
            result: outcome.result.as_str(),
            http_status: outcome.http_status.map(i32::from),
            error: outcome.error,
            status,
            next_attempt_at: now + wait_ms,
            channel_state,
            channel_next_at: now + wait_ms,
            moved: outcome.moved,
        })
    }

    fn measure(
        &self,
        channel: &AlertChannel,
        waiting: &WaitingMessage,
        outcome: &Outcome,
        duration: Duration,
    ) {
        let instruments = &self.0.parts.instruments;
        instruments.notify().add_attempt(&channel.settings.kind, outcome.result.as_str());
        if outcome.is_ok() {
            let at = waiting.items.iter().filter_map(|item| item["at"].as_i64()).min();
            let delay_ms = self.0.parts.clock.now() - at.unwrap_or(waiting.created_at);
            instruments.notify().observe(duration.as_secs_f64(), seconds(delay_ms));
        }
    }
}

fn unusable(error: &str) -> Outcome {
    Outcome::failed(AttemptResult::Unusable, true, error.to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "seconds that somebody waited")]
fn seconds(ms: TimestampMs) -> f64 {
    ms.max(0) as f64 / 1_000.0
}

/// Returns a random number from 0 to 1, or 0 if there is no randomness.
fn jitter() -> f64 {
    let mut bytes = [0; 4];
    if getrandom::fill(&mut bytes).is_err() {
        return 1.0;
    }
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

/// Returns how long to wait after an attempt with this number: a random time up to a bound that doubles, and at least
/// what the receiver has asked for.
fn wait_ms(number: i32, retry_after: Option<Duration>, jitter: f64) -> i64 {
    let doublings = u32::try_from(number.saturating_sub(1)).unwrap_or_default().min(16);
    let bound = WAIT_MS.saturating_mul(1 << doublings).min(WAIT_MS_MAX);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "at most ten minutes")]
    let wait = (bound as f64 * jitter) as i64;
    let asked = retry_after.map_or(0, |wait| i64::try_from(wait.as_millis()).unwrap_or(WAIT_MS_MAX));
    // At least a whole second: a receiver that fails at once is not retried at once.
    wait.max(1_000).max(asked)
}

/// Logs the 1st, 2nd, 4th, 8th … consecutive failure of the database.
#[derive(Debug, Default)]
struct Failures(u64);

impl Failures {
    fn note(&mut self, result: Result<(), store::Error>) {
        match result {
            Ok(()) => self.0 = 0,
            Err(error) => {
                self.0 += 1;
                if self.0.is_power_of_two() {
                    let failures = self.0;
                    tracing::warn!(error = %chain(&error), failures, "messages cannot be read; retrying");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_minutes_and_obey_the_receiver() {
        let waits: Vec<i64> = (1..=9).map(|number| wait_ms(number, None, 1.0)).collect();
        assert_eq!(waits, [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000]);
        assert_eq!(wait_ms(i32::MAX, None, 1.0), 600_000);
        assert_eq!(wait_ms(1, None, 0.0), 1_000);
        assert_eq!(wait_ms(1, Some(Duration::from_secs(31)), 0.5), 31_000);
        assert_eq!(wait_ms(8, Some(Duration::from_secs(31)), 1.0), 600_000);
        assert!((0.0..=1.0).contains(&jitter()));
    }
}
