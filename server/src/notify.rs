//! Messages to the outside: the kinds of channels, the texts, and their delivery.
//!
//! Only `outbound` connects to user-supplied destinations. Messages wait in the database (`store::alert_outbox`);
//! `worker` leases one channel at a time, sends in order, and records every attempt before it is made, so that a
//! message is repeated with the same key if a server dies in between.

pub mod channels;
mod delivery;
mod error;
mod heartbeat;
pub mod message;
mod notifier;
pub mod outbound;
mod sender;
mod smtp;
mod template;
mod worker;

pub use error::NotifyError;
pub use notifier::{ChannelLook, Notifier, NotifierParts, TestResult};
