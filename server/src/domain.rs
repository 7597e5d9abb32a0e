//! Plain types and rules: no I/O, no SQL, no HTTP. Nothing here can fail because of the outside world.

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
pub mod row;
pub mod sample;
pub mod series;
pub mod storage;
pub mod tier;
pub mod time_range;
pub mod time_window;
pub mod token;
pub mod user;

pub use pika_shared::text;

/// Milliseconds since the Unix epoch: the one unit of time of the wire, the database and the API.
pub type TimestampMs = i64;
