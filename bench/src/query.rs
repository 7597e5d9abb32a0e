//! `pika-bench query`: the time of hot queries through the API, compared with the same results from plain SQL and, for
//! charts, computed from raw samples.

mod outcome;

use std::time::{Duration, Instant};

use clap::Args;
use pika_server::domain::family::Family;
use pika_server::domain::tier::HOUR_MS;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::chart::{AgentHandle, Chart};
use crate::database::{self, BenchDatabase, DatabaseOptions};
use crate::error::BenchError;
use crate::interrupt::Interrupt;
use crate::load::{self, FleetOptions, LoadOptions, LoadedFleet, progress};
use crate::machine::Machine;
use crate::subject::Subject;
use crate::timing::Timing;
use outcome::{Line, QueryReport};

/// Number of agents queried in turn, so that several pages are used, and all of them stay warm.
const AGENTS_IN_TURN: usize = 10;
/// A chart from raw samples is slow, so it runs once per so many runs of the others.
const RUNS_PER_RAW_RUN: usize = 5;

/// Options of `pika-bench query`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    fleet: FleetOptions,
    #[command(flatten)]
    load: LoadOptions,
    /// Number of runs of each query.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    runs: u16,
    /// Total number of agents for the latest values of all; those beyond --agents have one sample each.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    registered: u32,
    /// Print one line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct LatestOfAll {
    items: Vec<IgnoredAny>,
    total: i64,
}

/// Loads a fleet, measures, and returns the report.
///
/// # Errors
/// If the database or the server cannot be used.
pub(crate) async fn run(options: &Options, interrupt: &Interrupt) -> Result<String, BenchError> {
    let mut database = BenchDatabase::open(&options.database).await?;
    let report = interrupt.or(Box::pin(prepare(options, &mut database))).await;
    let report = database.close(report).await?;
    Ok(if options.json { report.to_json() } else { report.to_table() })
}

async fn prepare(options: &Options, database: &mut BenchDatabase) -> Result<QueryReport, BenchError> {
    let loaded = load::load(database, &options.fleet, &options.load).await?;
    progress("registering the rest of the agents");
    load::register_more(database, &options.fleet, &loaded, options.registered).await?;
    database.run_columnstore_policies().await?;
    let subject = Subject::start(&database.url).await?;
    let result = measure(options, database, &loaded, &subject).await;
    subject.stop().await?;
    let lines = result?;
    let machine = Machine::inspect(&database.client, &database.info).await?;
    Ok(QueryReport::new(machine, options.fleet.clone(), &loaded, lines))
}

async fn measure(
    options: &Options,
    database: &BenchDatabase,
    loaded: &LoadedFleet,
    subject: &Subject,
) -> Result<Vec<Line>, BenchError> {
    let n_runs = usize::from(options.runs);
    let client = database::connect(&database.url).await?;
    let n_agents = i64::from(options.fleet.agents).min(i64::try_from(AGENTS_IN_TURN).unwrap_or(1));
    let sql = "SELECT id::text, key FROM agents ORDER BY key LIMIT $1";
    let agents = client.query(sql, &[&n_agents]).await?;
    let agents: Vec<AgentHandle> =
        agents.iter().map(|row| AgentHandle { id: row.get(0), key: row.get(1) }).collect();

    let mut lines = Vec::new();
    let days = i64::from(options.fleet.days);
    let spans = [("1 h", HOUR_MS), ("24 h", 24 * HOUR_MS), ("30 d", 30 * 24 * HOUR_MS)];
    for (name, span_ms) in spans.into_iter().filter(|(_, span_ms)| *span_ms <= days * 24 * HOUR_MS) {
        for family in [Family::Cpu, Family::Disk] {
            progress(&format!("chart of {}, {name}", family.name()));
            let chart = Chart { subject, client: &client, family, span_ms, end: loaded.end };
            let timings = chart.measure(&agents, n_runs, n_runs.div_ceil(RUNS_PER_RAW_RUN)).await?;
            lines.push(Line::of_chart(&format!("chart {}, {name}", family.name()), name == "30 d", &timings));
        }
    }
    progress("latest values");
    let paths: Vec<String> =
        agents.iter().map(|agent| format!("/api/agents/{}/metrics/latest", agent.id)).collect();
    lines.push(Line::new("latest of one agent", get(subject, &paths, n_runs).await?));
    lines.push(latest_of_all(options, &client, subject).await?);
    let paths = ["/api/system/storage".to_owned()];
    lines.push(Line::new("storage report", get(subject, &paths, n_runs.div_ceil(RUNS_PER_RAW_RUN)).await?));
    Ok(lines)
}

/// Measures the newest values of all agents, compared with selecting as many rows of their table.
async fn latest_of_all(
    options: &Options,
    client: &tokio_postgres::Client,
    subject: &Subject,
) -> Result<Line, BenchError> {
    const PATH: &str = "/api/agents/metrics/latest";
    let mut line = Line::new(&format!("latest of {} agents", options.registered), None);
    let row = client.query_one("SELECT to_regclass('agent_latest') IS NOT NULL", &[]).await?;
    let (Some(body), true) = (subject.get(PATH).await?, row.get::<_, bool>(0)) else {
        return Ok(line);
    };
    let answer: LatestOfAll = serde_json::from_slice(&body)
        .map_err(|error| BenchError::Answer(format!("no latest values: {error}")))?;
    line.answered(answer.items.len(), answer.total);
    let statement = client.prepare("SELECT * FROM agent_latest LIMIT $1").await?;
    let limit = i64::from(options.registered);
    let (mut api, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let started_at = Instant::now();
        subject.get(PATH).await?;
        api.push(started_at.elapsed());
        let started_at = Instant::now();
        client.query(&statement, &[&limit]).await?;
        bare.push(started_at.elapsed());
    }
    line.measured(Timing::of(api), Timing::of(bare));
    Ok(line)
}

/// Times requests after a warm-up round; `None` if the server does not have this path.
async fn get(subject: &Subject, paths: &[String], n_runs: usize) -> Result<Option<Timing>, BenchError> {
    for path in paths {
        if subject.get(path).await?.is_none() {
            return Ok(None);
        }
    }
    let mut times: Vec<Duration> = Vec::new();
    for path in paths.iter().cycle().take(n_runs) {
        let started_at = Instant::now();
        subject.get(path).await?;
        times.push(started_at.elapsed());
    }
    Ok(Timing::of(times))
}
