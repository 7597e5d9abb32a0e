//! `pika-server config …`: prints the configuration, for scripts.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use pika_server::config::Config;

use crate::{Failure, environment, print};

/// The exit status if only the default is in effect: neither a failure (1) nor a wrong command line (2).
const NOT_GIVEN: u8 = 3;

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the effective value of a key: from the environment, else the file, else the default.
    ///
    /// Lists are printed comma-separated, sections as YAML. Secrets are not hidden. `database.url` is the URL that the
    /// server uses, built from database.postgres if it is not given.
    Get(Get),
}

#[derive(Args)]
pub(crate) struct Get {
    /// A key or section, such as server.addr or database.postgres; config/server.yaml lists all.
    key: String,
    /// Print nothing and exit with status 3 unless the file or the environment sets the key, or a key of the section,
    /// to something other than an empty text.
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
