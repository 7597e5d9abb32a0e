//! `pika-bench ingest`: a fleet of agents reports to a server over real sockets, at their interval, as fast as they are
//! acknowledged, and after all connections were lost at once. The same run measures the database's ceiling.

mod agent;
mod ceiling;
mod fleet;
mod frames;
mod outbox;
mod outcome;
mod rows;
mod tally;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use pika_protocol::limits::SAMPLES_PER_FRAME_MAX;
use pika_shared::Clock;
use tokio::time::{Instant, sleep};

use crate::database::{FreshDatabase, NewDatabaseOptions};
use crate::descriptors;
use crate::error::BenchError;
use crate::interrupt::Interrupt;
use crate::load::progress;
use crate::machine::Machine;
use crate::meter::{Consumption, Meter};
use crate::proc::Metered;
use crate::server::{ServerProcess, sibling};
use agent::{Mode, Shared};
use ceiling::CeilingOptions;
use fleet::Fleet;
use frames::{FrameMaker, Shape};
use outcome::{Connected, Cost, PhaseReport, SaturationReport, Storm};
use tally::{Phase, PhaseTally, Tally};

pub(crate) use outcome::IngestReport;

/// Maximum number of open files besides agents' connections, of the benchmark or the server.
const OTHER_DESCRIPTORS_MAX: u64 = 100;
/// How often the programs' resource usage is read.
const METER_INTERVAL: Duration = Duration::from_millis(500);
/// Samples in a backlog frame of `pika-agent`.
const BACKLOG_SAMPLES_PER_FRAME: u16 = 100;
#[expect(clippy::cast_possible_wrap, reason = "a few hundred")]
const SAMPLES_MAX: i64 = SAMPLES_PER_FRAME_MAX as i64;

/// Options of `pika-bench ingest`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    database: NewDatabaseOptions,
    /// The server's program [default: next to the benchmark].
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Number of agents.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    agents: u32,
    /// How often each reports, in milliseconds.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    interval_ms: u64,
    /// Disks of each agent.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(0..=128))]
    disks: u16,
    /// Network interfaces of each agent.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=128))]
    networks: u16,
    /// How many agents connect per second at the start.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connects_per_second: u32,
    /// Warm-up time at the agents' interval, in seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    warm_up_seconds: u64,
    /// Duration of the measurement at the agents' interval, in seconds; 0 skips it.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    steady_seconds: u64,
    /// Duration of the measurement at saturation, in seconds; 0 skips it and the ceiling.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    saturation_seconds: u64,
    /// Number of agents that send at saturation.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    saturation_agents: u32,
    /// Samples per frame at saturation.
    #[arg(long, default_value_t = BACKLOG_SAMPLES_PER_FRAME, value_parser = clap::value_parser!(u16).range(1..=SAMPLES_MAX))]
    saturation_samples_per_frame: u16,
    /// Unacknowledged frames per agent at saturation.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    saturation_frames_in_flight: u16,
    /// At the end, cut all connections at once and measure how long recovery takes.
    #[arg(long)]
    storm: bool,
    /// Connections for measuring the ceiling: as many as the server writes samples with.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    ceiling_connections: u16,
    /// Rows per transaction for the ceiling: as many as in the server's flushes.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    ceiling_transaction_rows: u32,
    /// Maximum number of rows for the ceiling, which are held in memory.
    #[arg(long, default_value_t = 3_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    ceiling_rows_max: u32,
    /// Timeout for anything that is waited for, in seconds.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    timeout_seconds: u64,
    /// Print one line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Options {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    fn shape(&self) -> Shape {
        Shape { disks: self.disks, networks: self.networks }
    }

    fn rows(&self, samples: u64) -> u64 {
        samples * self.shape().rows()
    }
}

/// Runs the fleet and returns the report.
///
/// # Errors
/// If the database or the server cannot be used, or a wait times out.
pub(crate) async fn run(options: &Options, interrupt: &Interrupt) -> Result<IngestReport, BenchError> {
    descriptors::allow(u64::from(options.agents) + OTHER_DESCRIPTORS_MAX)?;
    let program = sibling(options.server.as_ref(), "pika-server")?;
    let database = FreshDatabase::make(&options.database).await?;
    let report = interrupt.or(Box::pin(measure(options, &program, &database))).await;
    database.close(report).await
}

async fn measure(
    options: &Options,
    program: &Path,
    database: &FreshDatabase,
) -> Result<IngestReport, BenchError> {
    progress("starting the server");
    let server = ServerProcess::start(program, &database.url, options.agents).await?;
    let clock = Clock::system();
    fleet::enroll(&database.client, options.agents, clock.now()).await?;
    let shared = Shared {
        server: server.address,
        frames: FrameMaker::new(options.shape())?,
        interval: Duration::from_millis(options.interval_ms),
        samples_per_frame: BACKLOG_SAMPLES_PER_FRAME,
        clock: clock.clone(),
        tally: Tally::new(options.agents)?,
    };
    progress(&format!("connecting {} agents", options.agents));
    let timeout = Duration::from_secs(options.timeout_seconds);
    let fleet = Fleet::start(shared, options.agents, options.connects_per_second, timeout);
    let metered = [
        Some(Metered::Process(server.pid)),
        database.postmaster().await?.map(Metered::Postgres),
        Some(Metered::Process(std::process::id())),
    ];
    let bench = Bench { options, database, fleet, clock, metered };

    let connected = bench.connect().await?;
    bench.warm_up().await?;
    let steady = if options.steady_seconds == 0 { None } else { Some(bench.steady().await?) };
    let saturation = if options.saturation_seconds == 0 { None } else { Some(bench.saturate().await?) };
    let storm = if options.storm { Some(bench.storm().await?) } else { None };

    bench.fleet.stop().await;
    let tally = bench.fleet.tally();
    progress("counting rows");
    let rows = rows::count(&database.client, options.shape(), &tally.expected()).await?;
    let server_memory_peak_kib = server.memory_peak_kib();
    server.stop().await?;
    let ceiling = match saturation {
        Some((_, span)) => {
            progress("measuring binary COPY of the same rows");
            Some(ceiling::measure(&database.url, ceiling_options(options, span)).await?)
        }
        None => None,
    };
    let stored = saturation.map(|(report, _)| report.phase.stored_rows_per_second);
    Ok(IngestReport {
        machine: Machine::inspect(&database.client, &database.info().await?).await?,
        agents: options.agents,
        interval_ms: options.interval_ms,
        rows_per_sample: options.shape().rows(),
        connected,
        steady,
        saturation: saturation.map(|(report, _)| report),
        storm,
        ceiling,
        ratio: stored.zip(ceiling).map(|(stored, ceiling)| stored / ceiling.rows_per_second),
        rows,
        server_memory_peak_kib,
        refusals: tally.refusals.load(Ordering::Relaxed),
        first_refusal: tally.first_refusal.get().cloned(),
        disconnects: tally.disconnects.load(Ordering::Relaxed),
        failed_attempts: tally.failed_attempts.load(Ordering::Relaxed),
        first_failure: tally.first_failure.get().cloned(),
    })
}

/// A half-open range of sample times.
type Span = (i64, i64);

fn ceiling_options(options: &Options, (start, end): Span) -> CeilingOptions {
    CeilingOptions {
        connections: options.ceiling_connections,
        rows_per_transaction: options.ceiling_transaction_rows,
        rows_max: options.ceiling_rows_max,
        start,
        end,
    }
}

/// A run with its phases.
struct Bench<'a> {
    options: &'a Options,
    database: &'a FreshDatabase,
    fleet: Fleet,
    clock: Clock,
    /// Server, database and the benchmark itself.
    metered: [Option<Metered>; 3],
}

impl Bench<'_> {
    async fn connect(&self) -> Result<Connected, BenchError> {
        let started_at = Instant::now();
        let took = self.fleet.registered(started_at).await?;
        let [server, ..] = self.metered;
        let server_memory_kib = server.and_then(Metered::usage).map(|usage| usage.memory_kib);
        Ok(Connected { seconds: took.as_secs_f64(), server_memory_kib })
    }

    async fn warm_up(&self) -> Result<(), BenchError> {
        progress("warming up");
        self.fleet.order(Mode::Interval, Phase::WarmUp);
        sleep(Duration::from_secs(self.options.warm_up_seconds)).await;
        // The next phase begins without a backlog.
        self.fleet.order(Mode::Quiet, Phase::WarmUp);
        self.fleet.acknowledged(Instant::now()).await?;
        Ok(())
    }

    async fn steady(&self) -> Result<PhaseReport, BenchError> {
        progress("measuring at the agents' interval");
        let (started_at, start) = (Instant::now(), self.clock.now());
        let meter = Meter::start(self.metered, METER_INTERVAL);
        self.fleet.order(Mode::Interval, Phase::Steady);
        sleep(Duration::from_secs(self.options.steady_seconds)).await;
        self.fleet.order(Mode::Quiet, Phase::Steady);
        let (took, end) = (started_at.elapsed(), self.clock.now());
        let used = meter.finish().await?;
        let acknowledged = self.fleet.tally().phase(Phase::Steady).samples_acknowledged;
        self.fleet.acknowledged(started_at).await?;
        let n_stored = rows::count_between(&self.database.client, start, end).await?;
        let tally = self.fleet.tally().phase(Phase::Steady);
        Ok(self.report(&tally, (took, took), acknowledged, n_stored, used))
    }

    /// Measures saturation. Also returns the range of the samples taken.
    async fn saturate(&self) -> Result<(SaturationReport, Span), BenchError> {
        progress("measuring as fast as frames are acknowledged");
        let Options {
            saturation_samples_per_frame: samples_per_frame,
            saturation_frames_in_flight: frames_in_flight,
            ..
        } = *self.options;
        let agents = self.options.saturation_agents.min(self.options.agents);
        let start = self.clock.now();
        // The first frame's samples are a millisecond apart each: none may be from before the start.
        sleep(Duration::from_millis(u64::from(samples_per_frame) + 1)).await;
        let started_at = Instant::now();
        let meter = Meter::start(self.metered, METER_INTERVAL);
        let mode = Mode::ClosedLoop { agents, samples_per_frame, frames_in_flight };
        self.fleet.order(mode, Phase::Saturation);
        sleep(Duration::from_secs(self.options.saturation_seconds)).await;
        self.fleet.order(Mode::Quiet, Phase::Saturation);
        let took = started_at.elapsed();
        let acknowledged = self.fleet.tally().phase(Phase::Saturation).samples_acknowledged;
        self.fleet.acknowledged(started_at).await?;
        let used = meter.finish().await?;
        let tally = self.fleet.tally().phase(Phase::Saturation);
        let stored_took = tally.last_acknowledged_at.map_or(took, |at| at - started_at);
        let sql = "SELECT coalesce(max(ts), 0) + 1 FROM cpu_metrics";
        let end = self.database.client.query_one(sql, &[]).await?.get(0);
        let n_stored = rows::count_between(&self.database.client, start, end).await?;
        let phase = self.report(&tally, (took, stored_took), acknowledged, n_stored, used);
        Ok((SaturationReport { agents, samples_per_frame, frames_in_flight, phase }, (start, end)))
    }

    async fn storm(&self) -> Result<Storm, BenchError> {
        progress("reporting at the interval again, then cutting all connections");
        self.fleet.order(Mode::Interval, Phase::Storm);
        sleep(Duration::from_millis(self.options.interval_ms)).await;
        let meter = Meter::start(self.metered, METER_INTERVAL);
        let cut_at = Instant::now();
        self.fleet.cut().await?;
        let registered = self.fleet.registered(cut_at).await?;
        // Samples taken until now were delayed by the storm.
        self.fleet.order(Mode::Quiet, Phase::Storm);
        let acknowledged = self.fleet.acknowledged(cut_at).await?;
        let [server, database, _] = meter.finish().await?;
        let tally = self.fleet.tally().phase(Phase::Storm);
        let n_rows = self.options.rows(tally.samples_acknowledged);
        Ok(Storm {
            registered_seconds: registered.as_secs_f64(),
            acknowledged_seconds: acknowledged.as_secs_f64(),
            ack: tally.latency(),
            server: server.map(|used| Cost::of(&used, n_rows)),
            database: database.map(|used| Cost::of(&used, n_rows)),
        })
    }

    /// Returns the report of a phase. Samples were taken during the first of the times, and stored until the second.
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    fn report(
        &self,
        tally: &PhaseTally,
        (took, stored_took): (Duration, Duration),
        acknowledged: u64,
        n_stored: i64,
        used: [Option<Consumption>; 3],
    ) -> PhaseReport {
        let rate = |n_rows: u64, took: Duration| n_rows as f64 / took.as_secs_f64();
        let n_stored = u64::try_from(n_stored).unwrap_or(0);
        let [server, database, bench] = used.map(|used| used.map(|used| Cost::of(&used, n_stored)));
        PhaseReport {
            seconds: took.as_secs_f64(),
            offered_rows_per_second: rate(self.options.rows(tally.samples_taken), took),
            acknowledged_rows_per_second: rate(self.options.rows(acknowledged), took),
            stored_rows_per_second: rate(n_stored, stored_took),
            ack: tally.latency(),
            server,
            database,
            bench,
        }
    }
}
