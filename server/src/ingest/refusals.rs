//! Counts and logs what one connection's agent had refused, without letting it flood the log.

use std::collections::HashMap;
use std::sync::Arc;

use pika_protocol::ErrorCode;

use crate::domain::sample::Refused;
use crate::telemetry::Instruments;

/// The refusals of one connection.
#[derive(Debug)]
pub(super) struct Refusals {
    instruments: Arc<Instruments>,
    counts: HashMap<ErrorCode, u64>,
    /// Who it is, for the log.
    who: String,
}

impl Refusals {
    pub(super) fn new(instruments: Arc<Instruments>, who: String) -> Self {
        Self { instruments, counts: HashMap::new(), who }
    }

    /// The agent has told who it is.
    pub(super) fn identify(&mut self, who: String) {
        self.who = who;
    }

    /// The connection has ended: says how much was refused in all, where anything was.
    pub(super) fn log_totals(&self) {
        let total: u64 = self.counts.values().sum();
        if 0 < total {
            let mut counts: Vec<_> = self.counts.iter().map(|(code, count)| (code.as_str(), count)).collect();
            counts.sort_unstable();
            tracing::info!(agent = %self.who, total, ?counts, "refused on this connection in all");
        }
    }

    /// Counts a refusal, and logs it if it is the 1st, 2nd, 4th, 8th … for its reason on this connection. Answers whether
    /// it was.
    pub(super) fn add(&mut self, refused: &Refused) -> bool {
        self.instruments.add_refused(refused.code);
        let count = self.counts.entry(refused.code).or_default();
        *count += 1;
        let is_logged = count.is_power_of_two();
        if is_logged {
            tracing::warn!(
                agent = %self.who,
                code = %refused.code,
                count,
                reason = %refused.message,
                "refused something that an agent sent"
            );
        }
        is_logged
    }
}
