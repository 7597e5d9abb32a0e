//! Metrics of ingest.

use pika_protocol::ErrorCode;
use prometheus::{Error, Histogram, IntCounter, IntCounterVec, IntGauge};

use super::builder::{Builder, DURATION_BUCKETS, ROWS_BUCKETS};
use crate::telemetry::reasons::RegistrationOutcome;

/// Metrics of ingest.
#[derive(Debug)]
pub(super) struct IngestMetrics {
    pub(super) refused: IntCounterVec,
    pub(super) frames_received: IntCounter,
    pub(super) frames_missing: IntCounter,
    pub(super) frames_repeated: IntCounter,
    pub(super) samples_dropped: IntCounter,
    pub(super) registrations: IntCounterVec,
    pub(super) identity_conflicts: IntCounter,
    pub(super) rows_received: IntCounter,
    pub(super) rows_late: IntCounter,
    pub(super) rows_stored: IntCounter,
    pub(super) rows_duplicate: IntCounter,
    pub(super) flush_errors: IntCounter,
    pub(super) flush_rows: Histogram,
    pub(super) flush_seconds: Histogram,
    pub(super) ack_seconds: Histogram,
    pub(super) frames_unacknowledged: IntGauge,
    pub(super) queue_frames: IntGauge,
    pub(super) pending_rows: IntGauge,
    pub(super) agents_connected: IntGauge,
}

impl IngestMetrics {
    pub(super) fn new(build: &Builder) -> Result<Self, Error> {
        let metrics = Self {
            refused: build.counters(
                "pika_ingest_refusals_total",
                "Refusals of what agents sent, by error code.",
                &["code"],
            )?,
            frames_received: build.counter("pika_ingest_frames_received_total", "Frames from registered agents.")?,
            frames_missing: build.counter(
                "pika_ingest_frames_missing_total",
                "Frame numbers missing on a connection: frames were lost on the way.",
            )?,
            frames_repeated: build.counter(
                "pika_ingest_frames_repeated_total",
                "Frames whose numbers did not increase on a connection: two agents share one, or an agent is faulty.",
            )?,
            samples_dropped: build.counter(
                "pika_ingest_samples_dropped_total",
                "Samples that agents report as dropped before delivery.",
            )?,
            registrations: build.counters(
                "pika_ingest_registrations_total",
                "Attempts to register: accepted, refused, or deferred.",
                &["result"],
            )?,
            identity_conflicts: build.counter(
                "pika_ingest_identity_conflicts_total",
                "Detected conflicts of two machines with one identity; the agent shows their addresses.",
            )?,
            rows_received: build.counter("pika_ingest_rows_received_total", "Rows made from received samples.")?,
            rows_late: build.counter(
                "pika_ingest_rows_late_total",
                "Received rows older than ingest.late_after_ms, or in one frame with such a row.",
            )?,
            rows_stored: build.counter("pika_ingest_rows_stored_total", "Committed rows.")?,
            rows_duplicate: build.counter(
                "pika_ingest_rows_duplicate_total",
                "Repeated rows that were stored already.",
            )?,
            flush_errors: build.counter(
                "pika_ingest_flush_errors_total",
                "Failed flushes; each is retried until it succeeds.",
            )?,
            flush_rows: build.histogram("pika_ingest_flush_rows", "Rows of a flush.", &ROWS_BUCKETS)?,
            flush_seconds: build.histogram(
                "pika_ingest_flush_duration_seconds",
                "Time from the start of a flush to its commit, including failed attempts.",
                &DURATION_BUCKETS,
            )?,
            ack_seconds: build.histogram(
                "pika_ingest_ack_latency_seconds",
                "Time from the arrival of a frame to the commit of its rows.",
                &DURATION_BUCKETS,
            )?,
            frames_unacknowledged: build.gauge(
                "pika_ingest_unacknowledged_frames",
                "Frames between the queue and their commit.",
            )?,
            queue_frames: build.gauge("pika_ingest_queue_frames", "Frames waiting for the batcher.")?,
            pending_rows: build.gauge(
                "pika_ingest_pending_rows",
                "Rows of all agents received and not committed yet.",
            )?,
            agents_connected: build.gauge("pika_agents_connected", "Agents registered on this server.")?,
        };
        // Every series exists from the start with 0: an alert on the rate of a missing series never fires.
        for code in ErrorCode::ALL {
            metrics.refused.with_label_values(&[code.as_str()]);
        }
        for outcome in RegistrationOutcome::ALL {
            metrics.registrations.with_label_values(&[outcome.as_str()]);
        }
        Ok(metrics)
    }
}
