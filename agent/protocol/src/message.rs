//! The frames of both directions and the codes of refusals.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::family::{CpuMetrics, DiskMetrics, LoadMetrics, MemoryMetrics, NetworkMetrics};
use crate::sample::Batch;

/// A frame as an agent writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentFrame {
    /// What the frame says.
    #[serde(flatten)]
    pub message: AgentMessage,
    /// The agent's clock when it sent the frame, in milliseconds since the Unix epoch. The server measures
    /// the agent's clock offset by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    /// Identifies the frame in the server's `ack`; grows with every frame of an agent, restarts of the agent
    /// included, and by exactly one from one numbered frame of a connection to the next: the server reports a jump as
    /// frames that were lost. Samples that are sent again come in new frames with new numbers; their time stays, and
    /// by that the server knows them again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// What an agent can say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum AgentMessage {
    /// Who the agent is; the first frame of every connection.
    Register(Register),
    /// The agent is alive. Needed only when nothing else was sent for a while.
    Heartbeat(Heartbeat),
    /// One family of metrics, in the form of the original Pika.
    Metrics(Metrics),
    /// Whole samples.
    Batch(Batch),
    /// Samples that will never come.
    Gap(Gap),
}

/// The data of `register`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// The name shown to people; the host name where it is empty.
    pub name: String,
    /// The machine's host name.
    pub hostname: String,
    /// The address that the agent believes to be its own; the server also sees the peer's address.
    #[serde(default)]
    pub ip: String,
    /// Operating system, for example `linux`.
    pub os: String,
    /// Processor architecture, for example `amd64`.
    pub arch: String,
    /// The agent's own version.
    pub version: String,
    /// An enrollment token on the very first connection, the agent's own secret on every later one.
    /// The secret may come in the header `Authorization: Bearer …` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Beside an enrollment token: the secret that the agent has made for itself, `pika_agent_` and 256 random bits in
    /// URL-safe base64. An enrollment whose answer was lost can then be tried again and makes no second agent. Beside
    /// the agent's own secret: the one that is to replace it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How often the agent means to send a sample, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
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

/// The data of `gap`: samples that the agent took and had to drop before the server acknowledged them, so that a hole in
/// a chart has its reason beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gap {
    /// The time of the first of them, by the agent's clock, in milliseconds since the Unix epoch.
    pub start: i64,
    /// The time of the last of them.
    pub end: i64,
    /// How many there were, at least one; samples between them may have arrived.
    pub samples: i64,
    /// Why they were dropped.
    pub reason: GapReason,
}

/// Why an agent dropped samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The spool, or the memory where there is no spool, had no more room; the oldest samples went first.
    SpoolFull,
    /// They were older than the agent keeps samples.
    Expired,
    /// They could not be read from the spool, or were too large for a frame.
    Unreadable,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [GapReason; 3] = [GapReason::SpoolFull, GapReason::Expired, GapReason::Unreadable];

    /// The reason as it is written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            GapReason::SpoolFull => "spool_full",
            GapReason::Expired => "expired",
            GapReason::Unreadable => "unreadable",
        }
    }
}

/// The data of `metrics`: one family, as agents of the original Pika send it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Metrics {
    /// Processor.
    Cpu(CpuMetrics),
    /// Memory and swap.
    Memory(MemoryMetrics),
    /// One mount point or several.
    Disk(OneOrMany<DiskMetrics>),
    /// One interface or several.
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
    /// The objects as a list.
    pub fn into_vec(self) -> Vec<T> {
        match self {
            OneOrMany::One(value) => vec![value],
            OneOrMany::Many(values) => values,
        }
    }
}

/// Everything that a server can say to an agent. There is deliberately no message that makes an agent run,
/// read, write or fetch anything: a server that has been broken into can at worst slow the sampling down,
/// within bounds that the agent enforces.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The agent is known and may send samples.
    RegisterAck(RegisterAck),
    /// The agent is not let in; the server closes the connection after it.
    RegisterError(Refusal),
    /// The frame with this `seq` is committed.
    Ack(Ack),
    /// Something that the agent sent was refused and will never be stored; with [`ErrorCode::TooFast`]: it is read more
    /// slowly from now on, and nothing is lost.
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
    /// The agent's own secret; only in the answer to an enrollment token that came without one, and to a secret that
    /// replaces another, which is in force when it is repeated here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The server's clock, in milliseconds since the Unix epoch.
    pub server_time: i64,
    /// What the agent has to put into its samples' `clockOffsetMs` from now on.
    #[serde(default)]
    pub clock_offset_ms: i64,
}

/// The data of `ack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ack {
    /// The `seq` of the frame that is committed.
    pub seq: u64,
}

/// The data of `error` and `register_error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what was wrong, and with which field.
    pub message: String,
    /// The frame that it is about, where that frame had a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// The data of `config`. A field that is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AgentConfig {
    /// How often to take a sample, in milliseconds; agents hold it within
    /// [`INTERVAL_MS_MIN`](crate::limits::INTERVAL_MS_MIN) and [`INTERVAL_MS_MAX`](crate::limits::INTERVAL_MS_MAX).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// What the agent has to put into its samples' `clockOffsetMs` from now on.
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
    /// A binary frame; only text is spoken here.
    BinaryFrame,
    /// The frame is longer than [`FRAME_BYTES_MAX`](crate::limits::FRAME_BYTES_MAX).
    FrameTooLarge,
    /// A message or metric type that does not exist.
    UnknownType,
    /// A field is missing or has the wrong type.
    InvalidField,
    /// A value that cannot be: a percentage outside 0–100, a negative size, a name that is too long.
    OutOfRange,
    /// More samples, disks or interfaces than a frame may hold.
    TooMany,
    /// More samples, rows or bytes than the server takes from one agent in a second or in a day. They are stored, but read
    /// more slowly.
    TooFast,
    /// Samples that are closer together than those of any interval: of three that follow one another, the last comes less
    /// than [`SAMPLE_SPACING_MS_MIN`](crate::limits::SAMPLE_SPACING_MS_MIN) after the first.
    TooClose,
    /// Further ahead of the server's clock than [`FUTURE_MS_MAX`](crate::limits::FUTURE_MS_MAX).
    TimestampInFuture,
    /// Older than the server's late limit.
    TimestampTooOld,
    /// Something other than `register` before `register` was acknowledged.
    NotRegistered,
    /// A second `register` on one connection.
    AlreadyRegistered,
    /// The token is missing, unknown, expired or used up, or the secret is wrong.
    Unauthorized,
    /// Another connection of the same agent has taken over.
    Superseded,
    /// The server cannot do it now; try again later.
    Unavailable,
}

impl ErrorCode {
    /// All codes, in the order of the documentation.
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

    /// The code as it is written on the wire.
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
