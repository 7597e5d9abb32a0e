//! The machine on which figures were measured.

use std::fmt;

use pika_server::store::DatabaseInfo;
use serde::Serialize;
use tokio_postgres::Client;

use crate::error::BenchError;

/// The machine of a measurement. The database is assumed to be on the same machine.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    cores: usize,
    memory_mb: u64,
    postgres: String,
    timescaledb: String,
    edition: &'static str,
    shared_buffers: String,
}

impl Machine {
    pub(crate) async fn inspect(client: &Client, database: &DatabaseInfo) -> Result<Self, BenchError> {
        let sql = "SELECT current_setting('shared_buffers')";
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            memory_mb: memory_mb().unwrap_or(0),
            postgres: database.postgres_version.clone(),
            timescaledb: database.timescaledb_version.clone(),
            edition: database.edition.as_str(),
            shared_buffers: client.query_one(sql, &[]).await?.get(0),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, memory_mb, postgres, timescaledb, edition, shared_buffers } = self;
        write!(
            f,
            "{cores} cores, {memory_mb} MB of memory; PostgreSQL {postgres}, TimescaleDB {timescaledb} ({edition}), \
             shared_buffers {shared_buffers}"
        )
    }
}

fn memory_mb() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
}
