//! The server's integration tests: real databases of both editions, real sockets, one binary.
//!
//! `./test.sh` provides what they need; without it they fail and say so. They never skip.

#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a test that panics has failed, and JSON made in place is handed over"
)]

mod support;

mod accounts;
mod agent;
mod agents;
mod api;
mod api_tokens;
mod audit;
mod command_line;
mod conversion;
mod database_away;
mod definition;
mod dependencies;
mod events;
mod faults;
mod frames;
mod http;
mod ingest;
mod login;
mod openapi;
mod own_metrics;
mod permissions;
mod plans;
mod presence;
mod rollups;
mod schema;
mod second_factor;
mod settings;
mod store;
mod tls;
mod users;
