//! The server's integration tests: real databases of both editions, real sockets, one binary.
//!
//! `./test.sh` provides what they need; without it they fail with a message. They are never skipped.

#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a test that panics has failed, and JSON made in place is handed over"
)]

mod support;

mod accounts;
mod agent;
mod agent_labels;
mod agents;
mod alert_api;
mod alert_backtests;
mod alert_channels;
mod alert_deliveries;
mod alert_health;
mod alert_processes;
mod alerting;
mod api;
mod api_tokens;
mod audit;
mod availability;
mod backup_refusals;
mod backups;
mod charts;
mod check_config;
mod command_line;
mod compression;
mod connections;
mod console;
mod conversion;
mod dashboards;
mod database_away;
mod definition;
mod dependencies;
mod earlier_backups;
mod enrollments;
mod events;
mod failover;
mod faults;
mod fleet_metrics;
mod floors;
mod frames;
mod grafana;
mod grafana_reader;
mod heartbeats;
mod http;
mod ingest;
mod ingest_limits;
mod install;
mod kubernetes;
mod log;
mod login;
mod login_limits;
mod machine_facts;
mod memory;
mod metrics;
mod names;
mod openapi;
mod own_account;
mod own_metrics;
mod parameters;
mod permissions;
mod plans;
mod policies;
mod preferences;
mod presence;
mod readiness;
mod release;
mod restored;
mod reverse_proxies;
mod rollups;
mod schema;
mod second_factor;
mod server_history;
mod server_locks;
mod settings;
mod sparklines;
mod start_script;
mod store;
mod system;
mod tls;
mod upkeep;
mod users;
mod watchdog;
mod whole_backups;
mod writers;
