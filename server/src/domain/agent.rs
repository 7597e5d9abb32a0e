//! Agents as people see them.

use super::TimestampMs;
use super::id::{AgentId, AgentKey};

/// An agent and what is known about its machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Key within the database.
    pub key: AgentKey,
    /// Public id.
    pub id: AgentId,
    /// What people call it.
    pub name: String,
    /// The machine's host name.
    pub hostname: String,
    /// The address that the agent reports.
    pub ip: String,
    /// The address that the server sees.
    pub remote_address: String,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// The agent's version.
    pub version: String,
    /// Whether it is connected, or was so recently that a reconnect is still awaited.
    pub online: bool,
    /// Server's clock minus agent's clock, in milliseconds, as last measured.
    pub clock_offset_ms: i64,
    /// When the agent was last heard.
    pub last_seen_at: Option<TimestampMs>,
    /// When the agent was enrolled.
    pub created_at: TimestampMs,
    /// When the agent last registered or was changed.
    pub updated_at: TimestampMs,
}

/// What an agent says about itself when it registers, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentDescription {
    /// What people call it.
    pub name: String,
    /// The machine's host name.
    pub hostname: String,
    /// The address that the agent reports.
    pub ip: String,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
    /// The agent's version.
    pub version: String,
}
