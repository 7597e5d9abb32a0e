//! Metrics of notifications.

use prometheus::{Error, Histogram, IntCounter, IntCounterVec, IntGauge};

use super::builder::Builder;

/// Bucket bounds of request durations, and of message delays, in seconds.
const REQUEST_BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];
const DELAY_BUCKETS: [f64; 10] = [1.0, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 86_400.0];
/// The results of messages.
const RESULTS: [&str; 2] = ["sent", "failed"];

/// Metrics of notifications.
#[derive(Debug)]
pub struct NotifyMetrics {
    notifications: IntCounterVec,
    attempts: IntCounterVec,
    expired: IntCounter,
    seconds: Histogram,
    delay_seconds: Histogram,
    waiting: IntGauge,
    oldest_seconds: IntGauge,
    channels_failing: IntGauge,
    heartbeat_at_seconds: IntGauge,
}

impl NotifyMetrics {
    pub(super) fn new(build: &Builder) -> Result<Self, Error> {
        Ok(Self {
            notifications: build.counters(
                "pika_notifications_total",
                "Messages to channels that were sent, or given up because the receiver refuses them.",
                &["kind", "result"],
            )?,
            attempts: build.counters(
                "pika_notification_attempts_total",
                "Attempts to send a message, by result.",
                &["kind", "result"],
            )?,
            expired: build.counter(
                "pika_notifications_expired_total",
                "Messages given up because they could not be sent in time.",
            )?,
            seconds: build.histogram(
                "pika_notification_seconds",
                "Duration of sending a message.",
                &REQUEST_BUCKETS,
            )?,
            delay_seconds: build.histogram(
                "pika_notification_delay_seconds",
                "Time from the event that a message reports until it is sent.",
                &DELAY_BUCKETS,
            )?,
            waiting: build.gauge("pika_outbox_waiting", "Messages waiting to be sent, of all servers.")?,
            oldest_seconds: build
                .gauge("pika_outbox_oldest_seconds", "Age of the oldest message waiting to be sent.")?,
            channels_failing: build
                .gauge("pika_channels_failing", "Enabled channels whose last messages failed.")?,
            heartbeat_at_seconds: build.gauge(
                "pika_heartbeat_last_success_timestamp_seconds",
                "Time of the last successful heartbeat of this server, in seconds since the Unix epoch; 0: none yet.",
            )?,
        })
    }

    /// Creates the series of every kind of channel with zero.
    pub fn begin(&self, kinds: &[&str], results: &[&str]) {
        for kind in kinds {
            for result in results {
                self.attempts.with_label_values(&[kind, result]).inc_by(0);
            }
            for result in RESULTS {
                self.notifications.with_label_values(&[*kind, result]).inc_by(0);
            }
        }
    }

    /// Counts an attempt to send a message. Kind and result must be of a bounded set.
    pub fn add_attempt(&self, kind: &str, result: &str) {
        self.attempts.with_label_values(&[kind, result]).inc();
    }

    /// Counts a message that was sent, or given up.
    pub fn add_message(&self, kind: &str, result: &str) {
        self.notifications.with_label_values(&[kind, result]).inc();
    }

    /// Records the duration of sending a message, and its delay after the reported event.
    pub fn observe(&self, seconds: f64, delay_seconds: f64) {
        self.seconds.observe(seconds);
        self.delay_seconds.observe(delay_seconds);
    }

    /// Records a successful heartbeat.
    pub fn set_heartbeat(&self, now_ms: i64) {
        self.heartbeat_at_seconds.set(now_ms / 1_000);
    }

    /// Sets the state of the outbox; `expired` messages were given up since the last call.
    pub fn set_outbox(&self, expired: u64, waiting: i64, oldest_seconds: i64, channels_failing: i64) {
        self.expired.inc_by(expired);
        self.waiting.set(waiting);
        self.oldest_seconds.set(oldest_seconds);
        self.channels_failing.set(channels_failing);
    }
}
