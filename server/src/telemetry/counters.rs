//! Counters of what ingest took and what it refused, by reason.

use std::sync::atomic::{AtomicU64, Ordering};

use pika_protocol::ErrorCode;

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    refused: [AtomicU64; ErrorCode::ALL.len()],
    rows_stored: AtomicU64,
    rows_duplicate: AtomicU64,
    flush_errors: AtomicU64,
    identity_conflicts: AtomicU64,
}

impl Counters {
    /// Counts a refusal.
    pub fn add_refused(&self, code: ErrorCode) {
        if let Some(counter) =
            ErrorCode::ALL.iter().position(|known| *known == code).and_then(|i| self.refused.get(i))
        {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often this was the reason of a refusal.
    pub fn refused(&self, code: ErrorCode) -> u64 {
        let position = ErrorCode::ALL.iter().position(|known| *known == code);
        position.and_then(|i| self.refused.get(i)).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Counts a committed flush.
    pub fn add_flush(&self, rows: u64, duplicates: u64) {
        self.rows_stored.fetch_add(rows, Ordering::Relaxed);
        self.rows_duplicate.fetch_add(duplicates, Ordering::Relaxed);
    }

    /// Counts a flush that failed and will be tried again.
    pub fn add_flush_error(&self) {
        self.flush_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts connections that keep taking over from each other with one identity.
    pub fn add_identity_conflict(&self) {
        self.identity_conflicts.fetch_add(1, Ordering::Relaxed);
    }

    /// How often two machines were seen to use one identity.
    pub fn identity_conflicts(&self) -> u64 {
        self.identity_conflicts.load(Ordering::Relaxed)
    }

    /// Rows committed.
    pub fn rows_stored(&self) -> u64 {
        self.rows_stored.load(Ordering::Relaxed)
    }

    /// Rows that were there already.
    pub fn rows_duplicate(&self) -> u64 {
        self.rows_duplicate.load(Ordering::Relaxed)
    }

    /// Flushes that had to be tried again.
    pub fn flush_errors(&self) -> u64 {
        self.flush_errors.load(Ordering::Relaxed)
    }
}
