//! Logs the progress of long work.

use std::time::{Duration, Instant};

use crate::domain::TimestampMs;

/// How often progress is logged.
const INTERVAL: Duration = Duration::from_secs(30);

/// The progress of piecewise work on one relation.
#[derive(Debug)]
pub(super) struct Progress {
    relation: String,
    rows: u64,
    pieces: u64,
    started_at: Instant,
    logged_at: Instant,
}

impl Progress {
    /// Starts with nothing done.
    pub(super) fn new(relation: String) -> Self {
        let now = Instant::now();
        Self { relation, rows: 0, pieces: 0, started_at: now, logged_at: now }
    }

    /// Records that a piece is done, and with it everything before `until_ms`.
    pub(super) fn add(&mut self, rows: u64, until_ms: TimestampMs, doing: &str) {
        self.rows += rows;
        self.pieces += 1;
        if INTERVAL <= self.logged_at.elapsed() {
            self.logged_at = Instant::now();
            tracing::info!(relation = %self.relation, rows = self.rows, pieces = self.pieces, until_ms, "{doing}");
        }
    }

    /// Logs the end, unless there was nothing to do.
    pub(super) fn finish(&self, done: &str) {
        if 0 < self.pieces {
            tracing::info!(
                relation = %self.relation,
                rows = self.rows,
                pieces = self.pieces,
                elapsed_ms = self.started_at.elapsed().as_millis(),
                "{done}"
            );
        }
    }
}
