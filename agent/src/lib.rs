//! Pika's agent: takes a machine's metrics and reports them to one server.
//!
//! It can do nothing else. It has no code that starts a program, reads or writes a file named by the server, or fetches
//! anything; the server can only send a [`pika_protocol::ServerMessage`], of which the most powerful sets the sampling
//! interval within fixed bounds.
//!
//! The path of a sample: [`sampler`] decides when to take it, [`collect`] takes it, [`outbox`] keeps it on disk until
//! the server has acknowledged it, [`link`] sends it. [`agent`] combines these, [`cli`] is the command line. [`release`]
//! says whether files that somebody else has downloaded may replace this program; it replaces nothing itself.

pub mod agent;
mod boot_clock;
pub mod cli;
pub mod collect;
pub mod config;
mod files;
mod glob;
pub mod identity;
pub mod link;
pub mod outbox;
pub mod release;
pub mod sampler;
pub mod shutdown;
pub mod state;
pub mod telemetry;
mod throttle;
