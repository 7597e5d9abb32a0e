//! `pika-server config …`: what the configuration says, for scripts.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use pika_server::config::Config;

use crate::{Failure, environment, print};

/// The exit status where only the default is in effect: neither a failure (1) nor a wrong command line (2).
const NOT_GIVEN: u8 = 3;

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the value in effect of a key: of the environment, else of the file, else the default.
    ///
    /// Lists are printed with commas in between, sections as YAML. Secrets are printed as they are. `database.url` is
    /// the URL that the server uses, made of database.postgres where it is not given.
    Get(Get),
}

#[derive(Args)]
pub(crate) struct Get {
    /// Such as server.addr or database.postgres; config/server.yaml has them all.
    key: String,
    /// Print nothing and end with exit status 3 unless the file or the environment gives the key, or a key of the
    /// section, and not as an empty text.
    #[arg(long)]
    given: bool,
}

pub(crate) fn run(file: Option<&Path>, command: &ConfigCommand) -> Result<ExitCode, Failure> {
    let ConfigCommand::Get(Get { key, given }) = command;
    let setting = Config::look_up(file, &environment()?, key)?;
    if *given && !setting.is_given {
        return Ok(ExitCode::from(NOT_GIVEN));
    }
    print(&format!("{}\n", setting.text))?;
    Ok(ExitCode::SUCCESS)
}
