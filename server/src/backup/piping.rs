//! Runs PostgreSQL's programs with a file as their input or output, and keeps its sum.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::config::DatabaseConfig;
use crate::store::{DatabaseUrlError, program_environment};

/// Files are passed on in pieces of this many bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum PipingError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Url(#[from] DatabaseUrlError),
    /// A file cannot be read or written.
    #[error("{0} cannot be read or written")]
    File(PathBuf, #[source] io::Error),
    /// The dump is another one.
    #[error("the dump was changed, damaged or cut short: its sum is not the manifest's")]
    Damaged,
    /// A program failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// What it said.
        said: String,
    },
}

/// Checks that a file has a sum.
pub(super) fn check_sum(path: &Path, sha256: &str) -> Result<(), PipingError> {
    let failed = |error| PipingError::File(path.to_owned(), error);
    let mut file = File::open(path).map_err(failed)?;
    let (mut sum, mut piece) = (Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        let length = file.read(&mut piece).map_err(failed)?;
        if length == 0 {
            break;
        }
        sum.update(&piece[..length]);
    }
    if hex(&sum.finalize()) == sha256 { Ok(()) } else { Err(PipingError::Damaged) }
}

/// Runs a program and writes its output to a file. Returns its size and sum.
pub(super) async fn write_output(
    mut command: Command,
    database: &DatabaseConfig,
    path: &Path,
) -> Result<(u64, String), PipingError> {
    let failed = |error| PipingError::File(path.to_owned(), error);
    let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()), database, "pg_dump")?;
    let mut file = File::create(path).map_err(failed)?;
    let (mut sum, mut bytes) = (Sha256::new(), 0_u64);
    let stdout = child.stdout.take();
    let copying = async {
        if let Some(mut stdout) = stdout {
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let length = stdout.read(&mut piece).await?;
                if length == 0 {
                    break;
                }
                sum.update(&piece[..length]);
                bytes += length as u64;
                file.write_all(&piece[..length])?;
            }
        }
        file.sync_all()
    };
    let (copied, ended) = tokio::join!(copying, end(child, "pg_dump"));
    copied.map_err(failed)?;
    ended?;
    Ok((bytes, hex(&sum.finalize())))
}

/// Runs a program with a file as its input.
pub(super) async fn read_input(
    mut command: Command,
    database: &DatabaseConfig,
    path: &Path,
) -> Result<(), PipingError> {
    let failed = |error| PipingError::File(path.to_owned(), error);
    let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::null()), database, "pg_restore")?;
    let mut file = File::open(path).map_err(failed)?;
    let stdin = child.stdin.take();
    let copying = async {
        if let Some(mut stdin) = stdin {
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let length = file.read(&mut piece)?;
                // Where the program has ended, it says why.
                if length == 0 || stdin.write_all(&piece[..length]).await.is_err() {
                    break;
                }
            }
        }
        Ok::<(), io::Error>(())
    };
    let (copied, ended) = tokio::join!(copying, end(child, "pg_restore"));
    ended?;
    copied.map_err(failed)
}

fn spawn(
    command: &mut Command,
    database: &DatabaseConfig,
    program: &'static str,
) -> Result<Child, PipingError> {
    // Never as an argument: those are in the list of processes.
    for (name, value) in program_environment(database)? {
        let is_given = command.as_std().get_envs().any(|(given, _)| given == name);
        if !is_given {
            command.env(name, value);
        }
    }
    let spawned = command.stderr(Stdio::piped()).spawn();
    spawned.map_err(|error| PipingError::Failed { program, said: error.to_string() })
}

/// Waits for a program's end.
async fn end(mut child: Child, program: &'static str) -> Result<(), PipingError> {
    let mut said = String::new();
    if let Some(stderr) = &mut child.stderr {
        // What is no text is not worth showing.
        drop(stderr.read_to_string(&mut said).await);
    }
    let failed = |said: &str| PipingError::Failed { program, said: said.trim().to_owned() };
    match child.wait().await {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(failed(&said)),
        Err(error) => Err(failed(&error.to_string())),
    }
}

/// Completes when a signal asks for the end.
pub(super) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
