//! The frames of both directions and the error codes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::family::{CpuMetrics, DiskMetrics, LoadMetrics, MemoryMetrics, NetworkMetrics};
use crate::sample::Batch;

/// A frame sent by an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentFrame {
    /// The message.
    #[serde(flatten)]
    pub message: AgentMessage,
    /// The agent's clock when it sent the frame, in milliseconds since the Unix epoch. The server uses it to measure
    /// the agent's clock offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    /// Identifies the frame in the server's `ack`; increases with every frame of an agent, even across restarts, and by
    /// exactly one between consecutive numbered frames of a connection: the server reports a gap as lost frames.
    /// Samples that are sent again are in new frames with new numbers; the server recognizes them by their time, which
    /// stays the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// A message from an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum AgentMessage {
    /// Identifies the agent; the first frame of every connection.
    Register(Register),
    /// Shows that the agent is alive. Needed only if nothing else was sent for a while.
    Heartbeat(Heartbeat),
    /// One family of metrics, in the form of the original Pika.
    Metrics(Metrics),
    /// Whole samples.
    Batch(Batch),
    /// Samples that the agent dropped.
    Gap(Gap),
}

/// The data of `register`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// The name shown to people; if empty, the host name.
    pub name: String,
    /// The machine's host name.
    pub hostname: String,
    /// The agent's address as the agent knows it; the server also sees the peer's address.
    #[serde(default)]
    pub ip: String,
    /// Operating system, for example `linux`.
    pub os: String,
    /// Processor architecture, for example `amd64`.
    pub arch: String,
    /// The agent's own version.
    pub version: String,
    /// An enrollment token on the very first connection, the agent's own secret on every later one. The secret may be
    /// sent in the header `Authorization: Bearer …` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// With an enrollment token: the secret that the agent has generated, `pika_agent_` and 256 random bits in URL-safe
    /// base64. An enrollment whose response was lost can then be repeated without creating a second agent. With the
    /// agent's own secret: the secret that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The agent's sampling interval, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// What the machine is, as far as the agent can tell.
    #[serde(default)]
    pub facts: Box<MachineFacts>,
}

/// What a machine is. What the agent cannot tell is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct MachineFacts {
    /// Name and version of the operating system, for example `Debian GNU/Linux 13`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_name: Option<String>,
    /// Version of the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// What the processor calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// Logical processors of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_count: Option<u32>,
    /// Memory of the machine, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// When it was booted, by the agent's clock, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booted_at: Option<i64>,
    /// What it runs in, for example `kvm` or `docker`; left out where that is real hardware, or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtualization: Option<String>,
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register")
            .field("name", &self.name)
            .field("hostname", &self.hostname)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The data of `heartbeat`: an empty object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Heartbeat {}

/// The data of `gap`: samples that the agent took and had to drop before the server acknowledged them, so that a gap in
/// a chart can be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gap {
    /// The time of the first dropped sample, by the agent's clock, in milliseconds since the Unix epoch.
    pub start: i64,
    /// The time of the last dropped sample.
    pub end: i64,
    /// The number of dropped samples, at least one; samples in between may have arrived.
    pub samples: i64,
    /// Why they were dropped.
    pub reason: GapReason,
}

/// Why an agent dropped samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The spool (or memory, if there is no spool) was full; the oldest samples were dropped first.
    SpoolFull,
    /// The samples exceeded the agent's maximum age.
    Expired,
    /// The samples could not be read from the spool, or were too large for a frame.
    Unreadable,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [GapReason; 3] = [GapReason::SpoolFull, GapReason::Expired, GapReason::Unreadable];

    /// Returns the reason as written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            GapReason::SpoolFull => "spool_full",
            GapReason::Expired => "expired",
            GapReason::Unreadable => "unreadable",
        }
    }
}

/// The data of `metrics`: one family, as sent by agents of the original Pika.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Metrics {
    /// Processor.
    Cpu(CpuMetrics),
    /// Memory and swap.
    Memory(MemoryMetrics),
    /// One or more mount points.
    Disk(OneOrMany<DiskMetrics>),
    /// One or more interfaces.
    Network(OneOrMany<NetworkMetrics>),
    /// Load averages.
    Load(LoadMetrics),
}

/// A single object or an array of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// `{…}`
    One(T),
    /// `[{…}, …]`
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// Returns the objects as a list.
    pub fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::One(value) => vec![value],
            OneOrMany::Many(values) => values,
        }
    }
}

/// A message from the server. There is deliberately no message that makes an agent run, read, write or fetch anything:
/// a compromised server can at worst slow sampling down, within bounds that the agent enforces.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The agent is registered and may send samples.
    RegisterAck(RegisterAck),
    /// The registration failed; the server then closes the connection.
    RegisterError(Refusal),
    /// The frame with this `seq` is committed.
    Ack(Ack),
    /// Something that the agent sent was refused and will never be stored. With [`ErrorCode::TooFast`] nothing is lost;
    /// the server reads from the agent more slowly.
    Error(Refusal),
    /// New settings.
    Config(AgentConfig),
}

impl fmt::Debug for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerMessage::RegisterAck(ack) => write!(f, "RegisterAck({})", ack.agent_id),
            ServerMessage::RegisterError(refusal) => write!(f, "RegisterError({refusal:?})"),
            ServerMessage::Ack(ack) => write!(f, "Ack({})", ack.seq),
            ServerMessage::Error(refusal) => write!(f, "Error({refusal:?})"),
            ServerMessage::Config(config) => write!(f, "{config:?}"),
        }
    }
}

/// The data of `register_ack`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RegisterAck {
    /// The agent's public id, a UUID.
    pub agent_id: String,
    /// The agent's own secret. Present only if an enrollment token was sent without a secret, or if a secret was
    /// replaced; the new secret is then in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The server's clock, in milliseconds since the Unix epoch.
    pub server_time: i64,
    /// The value to put into samples' `clockOffsetMs` from now on.
    #[serde(default)]
    pub clock_offset_ms: i64,
}

/// The data of `ack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ack {
    /// The `seq` of the committed frame.
    pub seq: u64,
}

/// The data of `error` and `register_error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The error code, for programs.
    pub code: ErrorCode,
    /// A description for people, with the name of the field.
    pub message: String,
    /// The `seq` of the frame in question, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// The data of `config`. An absent field stays unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AgentConfig {
    /// How often to take a sample, in milliseconds; agents limit it to between
    /// [`INTERVAL_MS_MIN`](crate::limits::INTERVAL_MS_MIN) and [`INTERVAL_MS_MAX`](crate::limits::INTERVAL_MS_MAX).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// The value to put into samples' `clockOffsetMs` from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON, or not an object with `type` and `data`.
    Malformed,
    /// A binary frame; only text frames are allowed.
    BinaryFrame,
    /// The frame is longer than [`FRAME_BYTES_MAX`](crate::limits::FRAME_BYTES_MAX).
    FrameTooLarge,
    /// An unknown message or metric type.
    UnknownType,
    /// A field is missing or has the wrong type.
    InvalidField,
    /// An impossible value: a percentage outside 0–100, a negative size, a name that is too long.
    OutOfRange,
    /// More samples, disks or interfaces than a frame may hold.
    TooMany,
    /// More samples, rows or bytes than one agent may send per second or day. They are stored, but read more slowly.
    TooFast,
    /// Samples closer together than any interval allows: of three consecutive ones, the last is less than
    /// [`SAMPLE_SPACING_MS_MIN`](crate::limits::SAMPLE_SPACING_MS_MIN) after the first.
    TooClose,
    /// Further ahead of the server's clock than [`FUTURE_MS_MAX`](crate::limits::FUTURE_MS_MAX).
    TimestampInFuture,
    /// Older than the server's late limit.
    TimestampTooOld,
    /// A frame other than `register` before `register` was acknowledged.
    NotRegistered,
    /// A second `register` on one connection.
    AlreadyRegistered,
    /// The token is missing, unknown, expired or used up, or the secret is wrong.
    Unauthorized,
    /// Another connection of the same agent has taken over.
    Superseded,
    /// The server is temporarily unable to handle the request; try again later.
    Unavailable,
}

impl ErrorCode {
    /// All codes, in the order in which they are documented.
    pub const ALL: [ErrorCode; 16] = [
        ErrorCode::Malformed,
        ErrorCode::BinaryFrame,
        ErrorCode::FrameTooLarge,
        ErrorCode::UnknownType,
        ErrorCode::InvalidField,
        ErrorCode::OutOfRange,
        ErrorCode::TooMany,
        ErrorCode::TooFast,
        ErrorCode::TooClose,
        ErrorCode::TimestampInFuture,
        ErrorCode::TimestampTooOld,
        ErrorCode::NotRegistered,
        ErrorCode::AlreadyRegistered,
        ErrorCode::Unauthorized,
        ErrorCode::Superseded,
        ErrorCode::Unavailable,
    ];

    /// Returns the code as written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::Malformed => "malformed",
            ErrorCode::BinaryFrame => "binary_frame",
            ErrorCode::FrameTooLarge => "frame_too_large",
            ErrorCode::UnknownType => "unknown_type",
            ErrorCode::InvalidField => "invalid_field",
            ErrorCode::OutOfRange => "out_of_range",
            ErrorCode::TooMany => "too_many",
            ErrorCode::TooFast => "too_fast",
            ErrorCode::TooClose => "too_close",
            ErrorCode::TimestampInFuture => "timestamp_in_future",
            ErrorCode::TimestampTooOld => "timestamp_too_old",
            ErrorCode::NotRegistered => "not_registered",
            ErrorCode::AlreadyRegistered => "already_registered",
            ErrorCode::Unauthorized => "unauthorized",
            ErrorCode::Superseded => "superseded",
            ErrorCode::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
