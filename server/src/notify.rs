//! Messages to the outside: which channels there are, what they are told, and how it gets there.
//!
//! Nothing but `outbound` connects to a place that somebody typed in. What is to be said waits in the database
//! (`store::alert_outbox`); `worker` leases one channel at a time, tells it in order, and records every attempt before it
//! is made, so that a server that dies in between says it again with the same key.

pub mod channels;
mod delivery;
mod error;
pub mod message;
mod notifier;
pub mod outbound;
mod sender;
mod smtp;
mod template;
mod worker;

pub use error::NotifyError;
pub use notifier::{ChannelLook, Notifier, NotifierParts, TestResult};
