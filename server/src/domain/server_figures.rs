//! Figures of a server, as it keeps them about itself.

use std::collections::BTreeMap;

use serde::Serialize;

use super::TimestampMs;

/// What a server did in an interval, and its state at the end of it. The names are those of the columns of
/// `server_history`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServerFigures {
    /// The length of the interval, in milliseconds.
    pub interval_ms: i64,
    /// Agents registered on this server.
    pub agents_connected: i64,
    /// Open connections, agents included.
    pub connections: i64,
    /// Frames waiting for the batcher.
    pub queue_frames: i64,
    /// Rows received and not committed yet.
    pub pending_rows: i64,
    /// Connections of the database pool.
    pub pool_connections: i64,
    /// Those of them that are in use.
    pub pool_connections_used: i64,
    /// Memory of the process, in bytes.
    pub resident_bytes: i64,
    /// Frames of registered agents.
    pub frames_received: i64,
    /// Frame numbers missing on a connection.
    pub frames_missing: i64,
    /// Rows committed.
    pub rows_stored: i64,
    /// Repeated rows that were stored already.
    pub rows_duplicate: i64,
    /// Samples that agents report as dropped.
    pub samples_dropped: i64,
    /// Failed flushes, which are retried.
    pub flush_errors: i64,
    /// Errors of the database and its connections.
    pub database_errors: i64,
    /// Refusals of what agents sent, by error code; without those that did not happen.
    pub refusals: BTreeMap<String, i64>,
    /// Processor time, in percent of one core.
    pub cpu_percent: f64,
    /// Median time from the arrival of a frame to its commit, in milliseconds; `None` without any.
    pub ack_p50_ms: Option<f64>,
    /// The 99th percentile of it.
    pub ack_p99_ms: Option<f64>,
    /// Median time of a flush, in milliseconds; `None` without any.
    pub flush_p50_ms: Option<f64>,
    /// The 99th percentile of it.
    pub flush_p99_ms: Option<f64>,
}

/// A row of a server's history.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerHistory {
    /// The end of the interval.
    pub at: TimestampMs,
    /// The server's host name and port.
    pub server: String,
    /// The server's version.
    pub version: &'static str,
    /// When it was started.
    pub started_at: TimestampMs,
    /// The figures.
    #[serde(flatten)]
    pub figures: ServerFigures,
}
