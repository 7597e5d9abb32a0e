//! How far something long has come, for the log.

use std::time::{Duration, Instant};

use crate::domain::TimestampMs;

/// How often progress is logged.
const INTERVAL: Duration = Duration::from_secs(30);

/// The progress of work on one relation, done in pieces.
#[derive(Debug)]
pub(super) struct Progress {
    relation: String,
    rows: u64,
    pieces: u64,
    started_at: Instant,
    logged_at: Instant,
}

impl Progress {
    /// Nothing has been done yet.
    pub(super) fn new(relation: String) -> Self {
        let now = Instant::now();
        Self { relation, rows: 0, pieces: 0, started_at: now, logged_at: now }
    }

    /// A piece has been done; everything before `until_ms` has been now.
    pub(super) fn add(&mut self, rows: u64, until_ms: TimestampMs, doing: &str) {
        self.rows += rows;
        self.pieces += 1;
        if INTERVAL <= self.logged_at.elapsed() {
            self.logged_at = Instant::now();
            tracing::info!(relation = %self.relation, rows = self.rows, pieces = self.pieces, until_ms, "{doing}");
        }
    }

    /// All has been done. Work that was nothing is not worth a line.
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
