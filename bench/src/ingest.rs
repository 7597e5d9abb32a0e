//! `pika-bench ingest`: a fleet reports for a while, and every acknowledgement is timed.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::fleet::{self, Agent, FleetError, Shape};
use crate::report::IngestReport;

/// Acknowledgements that wait to be counted.
const OUTCOME_QUEUE_CAPACITY: usize = 65_536;
/// How long the last acknowledgements are waited for.
const LAST_ACKS_TIMEOUT: Duration = Duration::from_secs(30);

/// What to simulate.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The server.
    #[arg(long, default_value = "ws://127.0.0.1:18888")]
    server: String,
    /// An enrollment token that is good for all the agents.
    #[arg(long, env = "PIKA_ENROLLMENT_TOKEN", hide_env_values = true)]
    token: String,
    /// How many agents.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    agents: u32,
    /// How often each reports, in milliseconds.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    interval_ms: u64,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration_seconds: u64,
    /// Disks of each agent.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=128))]
    disks: u16,
    /// Network interfaces of each agent.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=128))]
    networks: u16,
    /// Print one line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the fleet and sums up.
///
/// # Errors
/// When the agents cannot be enrolled.
pub(crate) fn run(options: &Options) -> Result<String, FleetError> {
    let report = Builder::new_multi_thread().enable_all().build()?.block_on(measure(options))?;
    Ok(if options.json { report.to_json() } else { report.to_table() })
}

async fn measure(options: &Options) -> Result<IngestReport, FleetError> {
    let interval = Duration::from_millis(options.interval_ms);
    let shape = Arc::new(Shape { disks: options.disks, networks: options.networks });
    let mut agents = Vec::new();
    for number in 0..options.agents {
        agents.push(Agent::enroll(&options.server, &options.token, number, Arc::clone(&shape)).await?);
    }
    let (outcomes, mut received) = mpsc::channel(OUTCOME_QUEUE_CAPACITY);
    let started_at = Instant::now();
    let ends_at = started_at + Duration::from_secs(options.duration_seconds);
    let tasks = TaskTracker::new();
    for (number, agent) in (0_u32..).zip(agents) {
        // Spread over the interval, as a real fleet is.
        let first_at = started_at + interval * number / options.agents;
        tasks.spawn(fleet::report(agent, first_at, interval, ends_at, LAST_ACKS_TIMEOUT, outcomes.clone()));
    }
    drop(outcomes);
    tasks.close();
    let mut report = IngestReport::new(options.agents, options.interval_ms, shape.rows());
    while let Some(outcome) = received.recv().await {
        report.add(outcome);
    }
    tasks.wait().await;
    report.finish(Duration::from_secs(options.duration_seconds));
    Ok(report)
}
