//! Loads a fleet's history with the server's writer, and rolls it up as the database's edition does.

use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Args;
use pika_server::domain::row::Rows;
use pika_server::domain::tier::{DAY_MS, Tier, bucket_start};
use pika_server::store::{SampleWriter, WriteMethod};
use pika_shared::Clock;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::database::BenchDatabase;
use crate::error::BenchError;
use crate::history::{History, SimulatedAgent};

/// Maximum rows of a transaction, which bounds the memory of a writer.
const ROWS_PER_TRANSACTION_MAX: i64 = 4_000_000;

/// Options of the fleet.
#[derive(Args, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FleetOptions {
    /// Number of agents with a history.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) agents: u32,
    /// Length of the history, in days.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub(crate) days: u32,
    /// Interval between samples, in milliseconds.
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(i64).range(1_000..=3_600_000))]
    pub(crate) interval_ms: i64,
    /// Disks of each agent.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=128))]
    pub(crate) disks: u16,
    /// Network interfaces of each agent.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=128))]
    pub(crate) networks: u16,
}

/// Options of loading.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadOptions {
    /// Number of connections that load concurrently.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    writers: u16,
}

/// A fleet in the database.
#[derive(Clone, Debug)]
pub(crate) struct LoadedFleet {
    /// First millisecond of its history.
    pub(crate) start: i64,
    /// First millisecond after it.
    pub(crate) end: i64,
    pub(crate) n_rows: i64,
    pub(crate) load_ms: i64,
    pub(crate) roll_up_ms: i64,
}

/// Finds the fleet in the database, or loads it.
pub(crate) async fn load(
    database: &mut BenchDatabase,
    fleet: &FleetOptions,
    options: &LoadOptions,
) -> Result<LoadedFleet, BenchError> {
    let spec = serde_json::to_string(fleet).map_err(std::io::Error::from)?;
    if database.is_reused {
        let sql = "SELECT start_ms, end_ms, n_rows, load_ms, roll_up_ms FROM bench.fleet WHERE spec = $1";
        if let Some(row) = database.client.query_opt(sql, &[&spec]).await? {
            let loaded = LoadedFleet {
                start: row.get(0),
                end: row.get(1),
                n_rows: row.get(2),
                load_ms: row.get(3),
                roll_up_ms: row.get(4),
            };
            return Ok(loaded);
        }
        progress("what is there is another fleet or not complete; starting over");
        database.start_over().await?;
    }
    let end = Clock::system().now();
    let start = end - i64::from(fleet.days) * DAY_MS;
    register(database, 1, fleet.agents, fleet, start).await?;
    let agents = simulated_agents(database, fleet.agents).await?;
    let history = Arc::new(History { agents, start, interval_ms: fleet.interval_ms });

    let started_at = Instant::now();
    let n_rows = write(database, fleet, options, &history).await?;
    let load_ms = milliseconds_since(started_at);
    progress(&format!("{n_rows} rows are loaded after {} s; rolling up", load_ms / 1000));
    let started_at = Instant::now();
    roll_up(database, Clock::system().now()).await?;
    let roll_up_ms = milliseconds_since(started_at);
    progress(&format!("rolled up after {} s; vacuuming", roll_up_ms / 1000));
    // Otherwise autovacuum would run during the measurement.
    database.client.batch_execute("VACUUM (ANALYZE)").await?;
    let sql = "INSERT INTO bench.fleet VALUES ($1, $2, $3, $4, $5, $6)";
    database.client.execute(sql, &[&spec, &start, &end, &n_rows, &load_ms, &roll_up_ms]).await?;
    Ok(LoadedFleet { start, end, n_rows, load_ms, roll_up_ms })
}

/// Registers agents with only the newest sample, until there are `n_agents`. Returns their number.
pub(crate) async fn register_more(
    database: &BenchDatabase,
    fleet: &FleetOptions,
    loaded: &LoadedFleet,
    n_agents: u32,
) -> Result<i64, BenchError> {
    let count = "SELECT count(*) FROM agents";
    let known: i64 = database.client.query_one(count, &[]).await?.get(0);
    let first = u32::try_from(known).unwrap_or(u32::MAX).saturating_add(1);
    if first <= n_agents {
        register(database, first, n_agents, fleet, loaded.start).await?;
        let agents = simulated_agents(database, n_agents).await?;
        let history = History { agents, start: loaded.start, interval_ms: fleet.interval_ms };
        let last_tick = (loaded.end - loaded.start) / fleet.interval_ms - 1;
        let mut rows = Rows::default();
        for agent in history.agents.iter().skip(usize::try_from(known).unwrap_or(0)) {
            history.append_sample(agent, last_tick, &mut rows);
        }
        SampleWriter::new(database.store.clone(), WriteMethod::Copy).write(&rows).await?;
        database.client.batch_execute("VACUUM (ANALYZE)").await?;
    }
    fill_latest(database, loaded).await?;
    Ok(database.client.query_one(count, &[]).await?.get(0))
}

/// Registers agents that have been away, besides those of the fleet.
pub(crate) async fn register_late(
    database: &BenchDatabase,
    fleet: &FleetOptions,
    loaded: &LoadedFleet,
    n_late: u32,
) -> Result<Vec<SimulatedAgent>, BenchError> {
    let count = "SELECT count(*) FROM agents";
    if i64::from(fleet.agents) < database.client.query_one(count, &[]).await?.get(0) {
        let message = "the database holds more agents than the fleet: leave --reuse out".to_owned();
        return Err(BenchError::Usage(message));
    }
    let n_agents = fleet.agents + n_late;
    register(database, fleet.agents + 1, n_agents, fleet, loaded.start).await?;
    let mut agents = simulated_agents(database, n_agents).await?;
    Ok(agents.split_off(usize::try_from(fleet.agents).unwrap_or(usize::MAX).min(agents.len())))
}

/// Gives every agent a row of newest values, which a server writes aside from the samples. Servers
/// without such a table have nothing to be filled.
async fn fill_latest(database: &BenchDatabase, loaded: &LoadedFleet) -> Result<(), BenchError> {
    let sql = "SELECT to_regclass('agent_latest') IS NOT NULL";
    if !database.client.query_one(sql, &[]).await?.get::<_, bool>(0) {
        return Ok(());
    }
    let sql = "INSERT INTO agent_latest (agent_key, ts, cpu_usage_percent, memory_usage_percent, \
             memory_used_bytes, memory_total_bytes, disk_usage_percent, received_bytes_per_second, \
             sent_bytes_per_second, load1) \
         SELECT key, $1, 100 * random(), 100 * random(), key * 1000003::int8, 1::int8 << 34, 100 * random(), \
             1e7 * random(), 1e7 * random(), 8 * random() FROM agents ON CONFLICT DO NOTHING";
    database.client.execute(sql, &[&loaded.end]).await?;
    database.client.batch_execute("VACUUM (ANALYZE) agent_latest").await?;
    Ok(())
}

/// Creates the agents with these numbers, with their disks and interfaces.
async fn register(
    database: &BenchDatabase,
    first: u32,
    last: u32,
    fleet: &FleetOptions,
    created_at: i64,
) -> Result<(), BenchError> {
    let agents = "INSERT INTO agents (id, name, hostname, ip, os, arch, version, secret_hash, created_at, updated_at) \
         SELECT gen_random_uuid(), name, name, '192.0.2.1', 'linux', 'amd64', $4, sha256(name::bytea), $3, $3 \
         FROM generate_series($1::int8, $2::int8) AS number, format('bench-%s', lpad(number::text, 5, '0')) AS name \
         ORDER BY number";
    let disks = "INSERT INTO disks (agent_key, mount_point, device, fs_type, created_at, named_at) \
         SELECT key, format('/mnt/%s', disk), format('/dev/sd%s', disk), 'ext4', $2, pika_now_ms() \
         FROM agents, generate_series(1, $1::int4) AS disk ORDER BY key, disk ON CONFLICT DO NOTHING";
    let interfaces = "INSERT INTO network_interfaces (agent_key, name, created_at, named_at) SELECT key, format('eth%s', number), $2, pika_now_ms() \
         FROM agents, generate_series(1, $1::int4) AS number ORDER BY key, number ON CONFLICT DO NOTHING";
    let client = &database.client;
    let version = env!("CARGO_PKG_VERSION");
    client.execute(agents, &[&i64::from(first), &i64::from(last), &created_at, &version]).await?;
    client.execute(disks, &[&i32::from(fleet.disks), &created_at]).await?;
    client.execute(interfaces, &[&i32::from(fleet.networks), &created_at]).await?;
    Ok(())
}

/// Returns the first agents of the database, with their keys.
async fn simulated_agents(
    database: &BenchDatabase,
    n_agents: u32,
) -> Result<Vec<SimulatedAgent>, BenchError> {
    let sql = "SELECT key, ARRAY(SELECT disks.key FROM disks WHERE agent_key = agents.key ORDER BY 1), \
                   ARRAY(SELECT interfaces.key FROM network_interfaces AS interfaces WHERE agent_key = agents.key ORDER BY 1) \
               FROM agents ORDER BY key LIMIT $1";
    let rows = database.client.query(sql, &[&i64::from(n_agents)]).await?;
    let agent = |row: &tokio_postgres::Row| SimulatedAgent {
        key: row.get(0),
        disk_keys: row.get(1),
        interface_keys: row.get(2),
    };
    Ok(rows.iter().map(agent).collect())
}

/// Writes all rows in the order of arrival, as a running server would: a table filled agent by agent would be read
/// faster than a real one. Returns the number of rows.
async fn write(
    database: &BenchDatabase,
    fleet: &FleetOptions,
    options: &LoadOptions,
    history: &Arc<History>,
) -> Result<i64, BenchError> {
    let parts = parts(fleet, history);
    let mut n_rows = 0;
    // Create the chunks first, since creating a chunk locks the table until the end of the transaction.
    let mut writer = SampleWriter::new(database.store.clone(), WriteMethod::Copy);
    for part in &parts {
        let mut rows = Rows::default();
        history.append_tick(part.start, &mut rows);
        n_rows += writer.write(&rows).await?.rows;
    }
    let parts = Arc::new(parts);
    let next = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..options.writers {
        let (parts, next, history) = (Arc::clone(&parts), Arc::clone(&next), Arc::clone(history));
        let mut writer = SampleWriter::new(database.store.clone(), WriteMethod::Copy);
        writers.spawn(async move {
            let mut n_rows = 0;
            while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)).cloned() {
                let history = Arc::clone(&history);
                let rows = tokio::task::spawn_blocking(move || {
                    let mut rows = Rows::default();
                    (part.start + 1..part.end).for_each(|tick| history.append_tick(tick, &mut rows));
                    rows
                })
                .await?;
                n_rows += writer.write(&rows).await?.rows;
                progress(&format!(
                    "loaded {} of {} parts",
                    next.load(Ordering::Relaxed).min(parts.len()),
                    parts.len()
                ));
            }
            Ok::<u64, BenchError>(n_rows)
        });
    }
    while let Some(written) = writers.join_next().await {
        n_rows += written??;
    }
    Ok(i64::try_from(n_rows).unwrap_or(i64::MAX))
}

/// Returns the ticks of each transaction: a day, or less if a day is too much.
fn parts(fleet: &FleetOptions, history: &History) -> Vec<Range<i64>> {
    let n_ticks = i64::from(fleet.days) * DAY_MS / fleet.interval_ms;
    let rows_per_tick = i64::from(fleet.agents) * (3 + i64::from(fleet.disks) + i64::from(fleet.networks));
    let ticks_max = (ROWS_PER_TRANSACTION_MAX / rows_per_tick).max(2);
    let mut parts = Vec::new();
    let mut tick = 0;
    while tick < n_ticks {
        let at = history.start + tick * fleet.interval_ms;
        let tomorrow = bucket_start(at, DAY_MS) + DAY_MS;
        let ticks_today = (tomorrow - at + fleet.interval_ms - 1) / fleet.interval_ms;
        let end = (tick + ticks_today.min(ticks_max)).min(n_ticks);
        parts.push(tick..end);
        tick = end;
    }
    parts
}

/// Rolls up every tier: by the server's maintenance, and on the Community edition also by the policies.
async fn roll_up(database: &BenchDatabase, now: i64) -> Result<(), BenchError> {
    while database.store.maintain(now).await?.has_more {}
    for tier in Tier::ROLLUPS {
        database.run_refresh_policies(tier).await?;
    }
    Ok(())
}

fn milliseconds_since(started_at: Instant) -> i64 {
    i64::try_from(started_at.elapsed().as_millis()).unwrap_or(i64::MAX)
}

/// Reports progress to people who wait for minutes.
pub(crate) fn progress(text: &str) {
    drop(writeln!(std::io::stderr(), "pika-bench: {text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_days_and_leave_nothing_out() {
        let fleet = FleetOptions { agents: 100, days: 3, interval_ms: 15_000, disks: 2, networks: 1 };
        let start = 1_800_000_000_000;
        let history = History { agents: Vec::new(), start, interval_ms: 15_000 };
        let parts = parts(&fleet, &history);
        assert_eq!(parts.len(), 4);
        assert_eq!((parts[0].start, parts[3].end), (0, 3 * 5_760));
        for pair in parts.windows(2) {
            assert_eq!(pair[0].end, pair[1].start);
            assert_eq!((start + pair[1].start * 15_000) % DAY_MS, 0);
        }
    }
}
