//! The command line of the benches.

mod fleet;
mod ingest;
mod report;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures Pika with simulated fleets that speak the real protocol over real sockets.
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Ingest(options) => ingest::run(&options),
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
