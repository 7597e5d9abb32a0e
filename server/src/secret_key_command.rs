//! `pika-server secret-key …`: keys that encrypt secrets in the database.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use pika_server::secrets;
use secrecy::ExposeSecret as _;

use crate::{Failure, print};

#[derive(Subcommand)]
pub(crate) enum SecretKeyCommand {
    /// Generate a key for `alerting.secret_keys`, and print it.
    ///
    /// To replace a key, put the new one before it and restart the server: existing secrets are then encrypted with it.
    New(New),
}

#[derive(Args)]
pub(crate) struct New {
    /// Write it to this file instead, readable only by its owner. An existing file is kept.
    #[arg(long)]
    file: Option<PathBuf>,
}

pub(crate) fn run(command: &SecretKeyCommand) -> Result<(), Failure> {
    let SecretKeyCommand::New(New { file }) = command;
    let line = format!("{}\n", secrets::new_key()?.expose_secret());
    match file {
        Some(file) => write_once(file, &line),
        None => print(&line),
    }
}

/// Writes a new file atomically.
fn write_once(file: &Path, text: &str) -> Result<(), Failure> {
    if file.exists() {
        return Ok(());
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", file.display());
    let mut options = std::fs::OpenOptions::new();
    let mut opened =
        options.write(true).create(true).truncate(true).mode(0o600).open(&new).map_err(failed)?;
    opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(failed)?;
    Ok(std::fs::rename(&new, file).map_err(failed)?)
}
