//! Pika's server: receives the samples of a fleet, stores them in TimescaleDB and serves them.
//!
//! Layers, each using only those before it: [`domain`] ← [`config`] ← [`store`], [`telemetry`] ← [`http`], [`ingest`],
//! [`auth`], [`alerting`], [`backup`] ← [`api`] ← [`routes`] ← [`app`].

pub mod alerting;
pub mod api;
pub mod app;
pub mod auth;
pub mod backup;
pub mod config;
pub mod domain;
pub mod healthcheck;
pub mod http;
pub mod ingest;
pub mod notify;
pub mod open_files;
pub mod preflight;
pub mod readiness;
pub mod routes;
pub mod secrets;
pub mod store;
pub mod telemetry;
