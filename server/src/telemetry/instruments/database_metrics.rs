//! What is counted and measured of the database and its maintenance.

use prometheus::{Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::builder::Builder;

/// What is counted and measured of the database and its maintenance.
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
                Opts::new("pika_database_pool_connections", "Connections of the pool to the database."),
                &["state"],
            ))?,
            database_errors: build.counters(
                "pika_database_errors_total",
                "Errors of the database and of connections to it.",
                &["kind"],
            )?,
            maintenance_failures: build.counter(
                "pika_maintenance_failures_total",
                "Rounds of maintenance that failed; the next round tries again.",
            )?,
            maintained_at_seconds: build.gauge(
                "pika_maintenance_last_success_timestamp_seconds",
                "When maintenance last succeeded, in seconds since the Unix epoch; 0: not yet.",
            )?,
            jobs_unhealthy: build.gauge(
                "pika_database_jobs_unhealthy",
                "Jobs of the database that fail, do not run or leave their work undone; the log names them.",
            )?,
            chunks_dropped: build.counter(
                "pika_maintenance_chunks_dropped_total",
                "Expired chunks that this server has dropped.",
            )?,
            chunks_held_back: build.gauge(
                "pika_maintenance_chunks_held_back",
                "Chunks that have expired and are kept, because what is made of them is not complete; the log names them.",
            )?,
        })
    }
}
