//! Metrics of the database and its maintenance.

use prometheus::{Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::builder::Builder;

/// Metrics of the database and its maintenance.
#[derive(Debug)]
pub(super) struct DatabaseMetrics {
    pub(super) pool_connections: IntGaugeVec,
    pub(super) database_errors: IntCounterVec,
    pub(super) maintenance_failures: IntCounter,
    pub(super) maintained_at_seconds: IntGauge,
    pub(super) jobs_unhealthy: IntGauge,
    pub(super) chunks_dropped: IntCounter,
    pub(super) chunks_held_back: IntGauge,
}

impl DatabaseMetrics {
    pub(super) fn new(build: &Builder) -> Result<Self, Error> {
        Ok(Self {
            pool_connections: build.add(IntGaugeVec::new(
                Opts::new("pika_database_pool_connections", "Connections of the database pool."),
                &["state"],
            ))?,
            database_errors: build.counters(
                "pika_database_errors_total",
                "Errors of the database and its connections.",
                &["kind"],
            )?,
            maintenance_failures: build.counter(
                "pika_maintenance_failures_total",
                "Failed rounds of maintenance, which are retried.",
            )?,
            maintained_at_seconds: build.gauge(
                "pika_maintenance_last_success_timestamp_seconds",
                "When maintenance last succeeded, in seconds since the Unix epoch; 0: never.",
            )?,
            jobs_unhealthy: build.gauge(
                "pika_database_jobs_unhealthy",
                "Database jobs that fail, do not run or leave work undone; the log names them.",
            )?,
            chunks_dropped: build
                .counter("pika_maintenance_chunks_dropped_total", "Expired chunks dropped by this server.")?,
            chunks_held_back: build.gauge(
                "pika_maintenance_chunks_held_back",
                "Expired chunks that are kept because their rollups are incomplete; the log names them.",
            )?,
        })
    }
}
