//! Measures what Grafana asks, as its role and in its way: times as literals, every query planned anew.

use std::time::{Duration, Instant};

use pika_server::domain::family::Family;
use pika_server::domain::tier::HOUR_MS;
use secrecy::SecretString;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::outcome::Line;
use super::{Options, RUNS_PER_RAW_RUN};
use crate::chart::{AgentHandle, Chart};
use crate::database::{self, BenchDatabase};
use crate::error::BenchError;
use crate::load::{LoadedFleet, progress};
use crate::subject::Subject;
use crate::timing::Timing;

const MONTH_MS: i64 = 30 * 24 * HOUR_MS;

/// Measures the reader's queries.
pub(super) async fn measure(
    options: &Options,
    database: &BenchDatabase,
    loaded: &LoadedFleet,
    subject: &Subject,
    agents: &[AgentHandle],
) -> Result<Vec<Line>, BenchError> {
    let owner = database::connect(&database.url).await?;
    owner.batch_execute("SET jit = off; SET plan_cache_mode = force_custom_plan").await?;
    let reader = connect(database).await?;
    let n_runs = usize::from(options.runs);
    let mut lines = Vec::new();

    progress("6 h of an agent from raw samples");
    let step_ms = options.fleet.interval_ms;
    let [from, to] = [loaded.end - 6 * HOUR_MS, loaded.end];
    let function = |key: i32| {
        let arguments = format!("'{}', '{}', {step_ms}", iso(from), iso(to));
        format!(
            "SELECT time, usage_percent_avg, usage_percent_min, usage_percent_max \
             FROM grafana.cpu({arguments}) WHERE agent_key IN ('{key}') ORDER BY time"
        )
    };
    // The same rows, so whole buckets.
    let [start, end] = [from - from % step_ms, to - to % step_ms + step_ms];
    let table = |key: i32| {
        format!(
            "SELECT to_timestamp(time_bucket({step_ms}::int8, ts) / 1000.0) AS time, avg(usage_percent), \
                 min(usage_percent), max(usage_percent) \
             FROM cpu_metrics WHERE agent_key = {key} AND {start} <= ts AND ts < {end} GROUP BY 1 ORDER BY 1"
        )
    };
    let mut line = Line::new("6 h of an agent, raw", None);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for (i, agent) in agents.iter().cycle().take(n_runs + agents.len()).enumerate() {
        let (function_ms, n_rows) = run(&reader, &function(agent.key)).await?;
        let (table_ms, n_expected) = run(&owner, &table(agent.key)).await?;
        if n_rows != n_expected {
            return Err(BenchError::Answer(format!("{n_rows} buckets instead of {n_expected}")));
        }
        line.answered(n_rows, i64::try_from(n_rows).unwrap_or_default());
        // The first of each agent warms up.
        if agents.len() <= i {
            ours.push(function_ms);
            bare.push(table_ms);
        }
    }
    line.read(Timing::of(ours), Timing::of(bare), Some(1.5), None);
    lines.push(line);

    if MONTH_MS <= i64::from(options.fleet.days) * 24 * HOUR_MS {
        lines.push(month(options, &owner, &reader, loaded, subject, agents).await?);
    }

    progress("newest values of all agents");
    let mut line = Line::new(&format!("latest of {} agents", options.registered), None);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..n_runs {
        let (time, n_rows) = run(&reader, "SELECT * FROM grafana.latest").await?;
        line.answered(n_rows, i64::from(options.registered));
        ours.push(time);
        bare.push(run(&owner, "SELECT * FROM agents LEFT JOIN agent_latest ON agent_key = key").await?.0);
    }
    line.read(Timing::of(ours), Timing::of(bare), None, Some(50.0));
    lines.push(line);
    Ok(lines)
}

/// 30 days of an agent at an hour, compared with the API's chart.
async fn month(
    options: &Options,
    owner: &Client,
    reader: &Client,
    loaded: &LoadedFleet,
    subject: &Subject,
    agents: &[AgentHandle],
) -> Result<Line, BenchError> {
    progress("30 d of an agent at an hour");
    let n_runs = usize::from(options.runs);
    let chart = Chart { subject, client: owner, family: Family::Cpu, span_ms: MONTH_MS, end: loaded.end };
    let api = chart.measure(agents, n_runs, n_runs.div_ceil(RUNS_PER_RAW_RUN)).await?.api;
    let mut line = Line::new("30 d of an agent at 1 h", None);
    let mut ours = Vec::new();
    for (i, agent) in agents.iter().cycle().take(n_runs + agents.len()).enumerate() {
        let arguments = format!("'{}', '{}', {HOUR_MS}", iso(loaded.end - MONTH_MS), iso(loaded.end));
        let sql = format!(
            "SELECT time, usage_percent_avg, usage_percent_min, usage_percent_max \
             FROM grafana.cpu({arguments}) WHERE agent_key IN ('{}') ORDER BY time",
            agent.key
        );
        let (time, n_rows) = run(reader, &sql).await?;
        line.answered(n_rows, i64::try_from(n_rows).unwrap_or_default());
        if agents.len() <= i {
            ours.push(time);
        }
    }
    line.read(Timing::of(ours), api, Some(2.0), None);
    Ok(line)
}

/// Connects as the role, which gets a new password.
async fn connect(database: &BenchDatabase) -> Result<Client, BenchError> {
    let password = format!("{:032x}", rand::random::<u128>());
    database.store.make_grafana_role(&SecretString::from(password.clone())).await?;
    database::connect_as(&database.url, "pika_grafana", &password).await
}

/// Runs a query as Grafana does. Returns the time and the number of rows.
async fn run(client: &Client, sql: &str) -> Result<(Duration, usize), BenchError> {
    let started_at = Instant::now();
    let messages = client.simple_query(sql).await?;
    let time = started_at.elapsed();
    let is_row = |message: &&SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(_));
    Ok((time, messages.iter().filter(is_row).count()))
}

/// Writes a time as Grafana's macros do.
fn iso(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
