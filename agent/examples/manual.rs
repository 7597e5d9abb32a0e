//! Writes pika-agent's manual pages and completions for bash, zsh and fish into a directory, for packages. It is no command
//! of the agent itself, which therefore needs none of the code for it.
//!
//! `cargo run --package pika-agent --example manual -- DIRECTORY`

use std::io::{Error, ErrorKind};
use std::path::PathBuf;

use clap_complete::Shell;

fn main() -> Result<(), Error> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from);
    let directory = directory.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "name a directory"))?;
    std::fs::create_dir_all(&directory)?;
    let mut command = pika_agent::cli::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "pika-agent", &directory)?;
    }
    clap_mangen::generate_to(command, &directory)
}
