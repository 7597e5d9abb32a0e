//! Counts and logs what an agent had refused on one connection, without letting it flood the log.

use std::collections::HashMap;
use std::sync::Arc;

use pika_protocol::ErrorCode;

use crate::domain::id::AgentId;
use crate::domain::refused::Refused;
use crate::telemetry::Instruments;

/// The refusals of one connection.
#[derive(Debug)]
pub(super) struct Refusals {
    instruments: Arc<Instruments>,
    counts: HashMap<ErrorCode, u64>,
    address: String,
    /// The agent, once it is known.
    agent: Option<AgentId>,
}

impl Refusals {
    pub(super) fn new(instruments: Arc<Instruments>, address: String) -> Self {
        Self { instruments, counts: HashMap::new(), address, agent: None }
    }

    /// Sets the agent once it is known.
    pub(super) fn identify(&mut self, agent: AgentId) {
        self.agent = Some(agent);
    }

    /// Logs the number of refusals on this connection, if there were any.
    pub(super) fn log_totals(&self) {
        let total: u64 = self.counts.values().sum();
        let Some(agent) = self.agent.filter(|_| 0 < total) else {
            return;
        };
        if self.instruments.agents().note("refusals of a connection", &agent.to_string()).is_some() {
            let mut counts: Vec<_> = self.counts.iter().map(|(code, count)| (code.as_str(), count)).collect();
            counts.sort_unstable();
            tracing::info!(%agent, total, ?counts, "refusals on this connection in total");
        }
    }

    /// Counts and logs a refusal: the 1st, 2nd, 4th, 8th … within an hour for its reason and this agent, or this
    /// address if no agent is known. Returns whether it is the 1st, 2nd, 4th, 8th … of this connection.
    pub(super) fn add(&mut self, refused: &Refused) -> bool {
        self.instruments.add_refused(refused.code);
        self.log(refused);
        let count = self.counts.entry(refused.code).or_default();
        *count += 1;
        count.is_power_of_two()
    }

    fn log(&self, refused: &Refused) {
        let Refused { code, message: reason } = refused;
        let address = self.address.as_str();
        match self.agent {
            Some(agent) => {
                if let Some(count) = self.instruments.agents().note(code.as_str(), &agent.to_string()) {
                    tracing::warn!(%agent, %address, %code, count, reason, "refused something that an agent sent");
                }
            }
            None => {
                if let Some(count) = self.instruments.strangers().note(code.as_str(), address) {
                    tracing::warn!(%address, %code, count, reason, "refused something before an agent was registered");
                }
            }
        }
    }
}
