//! The wire protocol between an agent and the server: message types and limits, nothing else.
//!
//! Every frame is one JSON text message `{"type": …, "data": …}` over the WebSocket at `GET /ws/agent`.
//! Frames of an agent may also carry `timestamp` (the agent's clock when it sent the frame, in
//! milliseconds since the Unix epoch) and `seq`.
//!
//! | direction | types |
//! |---|---|
//! | agent → server | [`register`](message::Register), `heartbeat`, [`metrics`](message::Metrics), [`batch`](sample::Batch), [`gap`](message::Gap) |
//! | server → agent | the variants of [`ServerMessage`], and no others |
//!
//! The first frame of a connection is `register`. A frame that carries a `seq` is answered by
//! `ack {seq}` once everything that was valid in it has been committed to the database; until then
//! the agent keeps it.

pub mod family;
pub mod limits;
pub mod message;
pub mod sample;

pub use family::{
    CgroupMetrics, CoreMetrics, CpuMetrics, DiskIoMetrics, DiskMetrics, GpuMetrics, LinkMetrics, LoadMetrics,
    MemoryMetrics, NetworkMetrics, PressureMetrics, SensorMetrics, SystemMetrics, VolumeMetrics,
};
pub use message::{AgentFrame, AgentMessage, ErrorCode, MachineFacts, Register, ServerMessage};
pub use sample::{Batch, Sample};
