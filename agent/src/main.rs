//! The agent as a program; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pika_agent::cli::main()
}
