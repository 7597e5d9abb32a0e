//! Counters of what ingest took and what it refused, by reason, and of logins.

use std::sync::atomic::{AtomicU64, Ordering};

use pika_protocol::ErrorCode;

/// Counts since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    refused: [AtomicU64; ErrorCode::ALL.len()],
    rows_stored: AtomicU64,
    rows_duplicate: AtomicU64,
    flush_errors: AtomicU64,
    logins_failed: AtomicU64,
    logins_limited: AtomicU64,
    passwords_checked: AtomicU64,
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

    /// Counts a login, or another check of a password, code or token, that failed.
    pub fn add_login_failed(&self) {
        self.logins_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an attempt that was not even looked at, because too many had failed.
    pub fn add_login_limited(&self) {
        self.logins_limited.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a password that was compared with a hash, be it that of nobody.
    pub fn add_password_checked(&self) {
        self.passwords_checked.fetch_add(1, Ordering::Relaxed);
    }

    /// Logins, and other checks of passwords, codes or tokens, that failed.
    pub fn logins_failed(&self) -> u64 {
        self.logins_failed.load(Ordering::Relaxed)
    }

    /// Attempts that were not even looked at, because too many had failed.
    pub fn logins_limited(&self) -> u64 {
        self.logins_limited.load(Ordering::Relaxed)
    }

    /// Passwords that were compared with a hash, be it that of nobody.
    pub fn passwords_checked(&self) -> u64 {
        self.passwords_checked.load(Ordering::Relaxed)
    }
}
