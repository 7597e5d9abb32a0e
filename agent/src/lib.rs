//! The agent of Pika: takes a machine's metrics and reports them to one server.
//!
//! It can do nothing else. There is no code in it that starts a program, reads or writes a file which the server
//! named, or fetches anything; what a server can say is [`pika_protocol::ServerMessage`], and the strongest of it
//! is another sampling interval within fixed bounds.
//!
//! In the order in which a sample travels: [`collect`] takes it, [`sampler`] decides when, [`outbox`] keeps it on
//! disk until the server has acknowledged it, [`link`] brings it there. [`agent`] puts these together, [`cli`] is
//! the command line.

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
pub mod sampler;
pub mod shutdown;
pub mod state;
pub mod telemetry;
mod throttle;
