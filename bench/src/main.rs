//! The command line of the benches.

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
    /// Runs the agent against a server that stores nothing, beside Prometheus' `node_exporter`, and prints what each takes of
    /// the machine.
    Agent(agent::Options),
    /// Machines of all kinds report to a running server until they are told to stop: something to look at.
    Fleet(fleet::Options),
    /// Many agents report to a server of the bench's own; prints what was stored, how soon and at which cost, beside what
    /// the database can take at best. Fails where not exactly what was sent is stored.
    Ingest(Box<ingest::Options>),
    /// Loads a fleet's past into a database of its own, has some agents come back with samples of hours ago, and prints what
    /// it costs to roll these up.
    Late(late::Options),
    /// Loads a fleet's past into a database of its own and times the hot queries, beside bare SQL.
    Query(query::Options),
    /// Loads a fleet's past into a database of its own and prints how much room it takes.
    Storage(storage::Options),
}

/// What there is to say.
struct Output {
    report: String,
    /// The report shows that something is wrong.
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
