//! The command line of the benchmarks.

mod agent;
mod chart;
mod database;
mod descriptors;
mod error;
mod fleet;
mod history;
mod ingest;
mod interrupt;
mod late;
mod load;
mod machine;
mod meter;
mod noise;
mod proc;
mod query;
mod server;
mod storage;
mod subject;
mod timing;
mod trend;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pika_shared::chain;
use tokio::runtime::Builder;

use error::BenchError;
use interrupt::Interrupt;

/// Measures Pika with simulated fleets.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the agent against a server that stores nothing, alongside Prometheus' `node_exporter`, and prints the
    /// resource usage of both.
    Agent(agent::Options),
    /// Simulates machines of all kinds that report to a running server until stopped.
    Fleet(fleet::Options),
    /// Simulates many agents that report to a server, and prints throughput, latency and cost, and the database's
    /// ceiling. Fails unless exactly the sent rows are stored.
    Ingest(Box<ingest::Options>),
    /// Loads a fleet's history into a new database, has some agents return with samples of hours ago, and prints the
    /// cost of rolling these up.
    Late(late::Options),
    /// Loads a fleet's history into a new database and times the hot queries, compared with plain SQL.
    Query(query::Options),
    /// Loads a fleet's history into a new database and prints its size.
    Storage(storage::Options),
}

/// The output of a command.
struct Output {
    report: String,
    /// Set if the report shows a failure.
    failure: Option<String>,
}

impl From<String> for Output {
    fn from(report: String) -> Self {
        Self { report, failure: None }
    }
}

impl Output {
    fn of_ingest(report: &ingest::IngestReport, is_json: bool) -> Self {
        let text = if is_json { report.to_json() } else { report.to_table() };
        Self { report: text, failure: report.failure() }
    }
}

fn main() -> ExitCode {
    let failure = match run(Arguments::parse().command) {
        Ok(output) => {
            drop(writeln!(std::io::stdout(), "{}", output.report));
            output.failure
        }
        Err(error) => Some(chain(&error).to_string()),
    };
    match failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            drop(writeln!(std::io::stderr(), "pika-bench: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<Output, BenchError> {
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let interrupt = Interrupt::listen()?;
        match command {
            Command::Agent(options) => interrupt.or(Box::pin(agent::run(&options))).await.map(Output::from),
            Command::Fleet(options) => fleet::run(&options, &interrupt).await.map(Output::from),
            Command::Ingest(options) => {
                let report = ingest::run(&options, &interrupt).await?;
                Ok(Output::of_ingest(&report, options.is_json()))
            }
            Command::Late(options) => late::run(&options, &interrupt).await.map(Output::from),
            Command::Query(options) => query::run(&options, &interrupt).await.map(Output::from),
            Command::Storage(options) => storage::run(&options, &interrupt).await.map(Output::from),
        }
    })
}
