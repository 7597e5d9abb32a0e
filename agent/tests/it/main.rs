//! The agent against a fake server that does only what a test tells it to.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod clock;
mod enroll;
mod hostile;
mod nothing_to_execute;
mod planted;
mod process;
mod stream;
mod support;
mod tls;
mod unit;
