//! Plain types and rules, without I/O, SQL or HTTP. Nothing here can fail because of the outside world.

pub mod agent;
pub mod alert;
pub mod audit;
pub mod enrollment;
pub mod family;
pub mod fleet;
pub mod gap;
pub mod history;
pub mod id;
pub mod latest;
pub mod name;
pub mod network;
pub mod permission;
pub mod presence;
pub mod refused;
pub mod retention;
pub mod retention_preview;
pub mod row;
pub mod sample;
pub mod series;
pub mod server_figures;
pub mod storage;
pub mod tier;
pub mod time_range;
pub mod time_window;
pub mod token;
pub mod user;

pub use pika_shared::text;

/// Milliseconds since the Unix epoch: the unit of time on the wire, in the database and in the API.
pub type TimestampMs = i64;
