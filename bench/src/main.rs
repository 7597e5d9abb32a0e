//! The command line of the benches.

mod chart;
mod database;
mod error;
mod fleet;
mod history;
mod ingest;
mod load;
mod machine;
mod query;
mod report;
mod storage;
mod subject;
mod timing;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pika_server::telemetry::chain;

/// Measures Pika with simulated fleets.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Many agents report to a running server; prints what was acknowledged, and how soon.
    Ingest(ingest::Options),
    /// Loads a fleet's past into a database of its own and times the hot queries, beside bare SQL.
    Query(query::Options),
    /// Loads a fleet's past into a database of its own and prints how much room it takes.
    Storage(storage::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Ingest(options) => ingest::run(&options).map_err(|error| error.to_string()),
        Command::Query(options) => query::run(&options).map_err(|error| chain(&error)),
        Command::Storage(options) => storage::run(&options).map_err(|error| chain(&error)),
    };
    match result {
        Ok(report) => {
            drop(writeln!(std::io::stdout(), "{report}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            drop(writeln!(std::io::stderr(), "pika-bench: {error}"));
            ExitCode::FAILURE
        }
    }
}
