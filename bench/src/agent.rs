//! `pika-bench agent`: the resource usage of `pika-agent`, compared in the same run with Prometheus' `node_exporter`
//! scraped for the same metrics at the same interval.

mod outcome;
mod programs;
mod sink;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::BenchError;
use crate::load::progress;
use crate::meter::Meter;
use crate::proc::Metered;
use crate::server::sibling;
use outcome::{AgentReport, ProgramReport};
use programs::{Exporter, RunningAgent};
use sink::Sink;

/// How often the programs' resource usage is read.
const METER_INTERVAL: Duration = Duration::from_secs(1);

/// Options of `pika-bench agent`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The agent's program [default: next to the benchmark].
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Prometheus' `node_exporter`, as in Debian's package prometheus-node-exporter: a file, or a name in PATH.
    #[arg(long, value_name = "FILE", default_value = "prometheus-node-exporter")]
    node_exporter: PathBuf,
    /// How often both report, in milliseconds.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1_000..=3_600_000))]
    interval_ms: u64,
    /// Warm-up time before measuring, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    warm_up_seconds: u64,
    /// Duration of the measurement, in seconds.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    duration_seconds: u64,
    /// Print one line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs both programs and returns the report.
///
/// # Errors
/// If one of them is missing or does not run.
pub(crate) async fn run(options: &Options) -> Result<String, BenchError> {
    let report = measure(options).await?;
    Ok(if options.json { report.to_json() } else { report.to_table() })
}

async fn measure(options: &Options) -> Result<AgentReport, BenchError> {
    // Checked first, to fail early if it is missing.
    let exporter_program = programs::find(&options.node_exporter)?;
    let agent_program = sibling(options.agent.as_ref(), "pika-agent")?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let _stop_at_end = stop.clone().drop_guard();
    let sink = Sink::listen().await?;
    let received = sink.received();
    let address = sink.address()?;
    tasks.spawn(sink.run(stop.clone()));
    progress("starting both programs");
    let interval = Duration::from_millis(options.interval_ms);
    let mut agent = RunningAgent::start(&agent_program, address, options.interval_ms).await?;
    let mut exporter = Exporter::start(&exporter_program).await?;
    exporter.ready().await?;
    let scraping = tasks.spawn(scrape(exporter.client(), interval, stop.clone()));

    sleep(Duration::from_secs(options.warm_up_seconds)).await;
    progress(&format!("measuring for {} s", options.duration_seconds));
    let received_before = received.count();
    let metered = [agent.pid, exporter.pid].map(|pid| Some(Metered::Process(pid)));
    let meter = Meter::start(metered, METER_INTERVAL);
    sleep(Duration::from_secs(options.duration_seconds)).await;
    let used = meter.finish().await?;
    let samples = received.count() - received_before;
    agent.check()?;
    exporter.check()?;
    stop.cancel();
    let scrapes = scraping.await?;
    tasks.close();
    tasks.wait().await;
    let [Some(agent_used), Some(exporter_used)] = used else {
        return Err(BenchError::Usage(
            "this system does not report the resource usage of processes".to_owned(),
        ));
    };
    Ok(AgentReport::new(
        options.interval_ms,
        ProgramReport::new(&agent_used, std::fs::metadata(&agent_program)?.len(), samples),
        ProgramReport::new(&exporter_used, std::fs::metadata(&exporter_program)?.len(), scrapes?),
    ))
}

/// Scrapes all metrics periodically, and returns the number of successful scrapes.
async fn scrape(
    client: programs::ExporterClient,
    every: Duration,
    stop: CancellationToken,
) -> Result<u64, BenchError> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut n_scrapes = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                client.scrape().await?;
                n_scrapes += 1;
            }
            () = stop.cancelled() => return Ok(n_scrapes),
        }
    }
}
