//! The processes of the two measured programs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::error::BenchError;
use crate::server::free_address;

/// Timeout of the exporter's first response.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Debian's package with the exporter.
const EXPORTER_PACKAGE: &str = "prometheus-node-exporter";

/// Finds the exporter: a path, or a name in PATH.
pub(super) fn find(program: &Path) -> Result<PathBuf, BenchError> {
    let is_path = 1 < program.components().count();
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let found = if is_path {
        Some(program.to_owned())
    } else {
        std::env::split_paths(&directories)
            .map(|directory| directory.join(program))
            .find(|path| path.is_file())
    };
    found.filter(|path| path.is_file()).ok_or_else(|| {
        BenchError::Usage(format!(
            "{} is not there: install the package {EXPORTER_PACKAGE} (apt-get install {EXPORTER_PACKAGE}), or name the \
             program with --node-exporter",
            program.display()
        ))
    })
}

/// The agent, with its own state directory.
pub(super) struct RunningAgent {
    pub(super) pid: u32,
    program: PathBuf,
    child: Child,
    _state: TempDir,
}

impl RunningAgent {
    /// Enrolls the agent at a server and starts it, with the default configuration except for the interval.
    pub(super) async fn start(
        program: &Path,
        server: SocketAddr,
        interval_ms: u64,
    ) -> Result<Self, BenchError> {
        let state = TempDir::with_prefix("pika-bench-agent-")?;
        let command = |name| {
            let mut command = Command::new(program);
            command
                .args([name, "--config", "/dev/null", "--server", &format!("http://{server}"), "--state-dir"])
                .arg(state.path())
                .env_clear()
                .env("PIKA_ENROLLMENT_TOKEN", "pika-bench")
                .env("PIKA_AGENT_INTERVAL_MS", interval_ms.to_string())
                .env("PIKA_AGENT_LOG_LEVEL", "warn")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .kill_on_drop(true);
            command
        };
        let status = command("enroll").status().await.map_err(|error| failed(program, error.to_string()))?;
        if !status.success() {
            return Err(failed(program, format!("it cannot enroll: {status}")));
        }
        let child = command("run").spawn().map_err(|error| failed(program, error.to_string()))?;
        let pid = child.id().ok_or_else(|| failed(program, "it has no process id".to_owned()))?;
        Ok(Self { pid, program: program.to_owned(), child, _state: state })
    }

    /// Checks that it has not exited.
    pub(super) fn check(&mut self) -> Result<(), BenchError> {
        check(&self.program, &mut self.child)
    }
}

/// Prometheus' `node_exporter`.
pub(super) struct Exporter {
    pub(super) pid: u32,
    program: PathBuf,
    child: Child,
    client: ExporterClient,
}

/// A client that scrapes the exporter.
#[derive(Clone, Debug)]
pub(super) struct ExporterClient {
    http: reqwest::Client,
    url: String,
}

impl ExporterClient {
    /// Scrapes the metrics, as Prometheus would.
    pub(super) async fn scrape(&self) -> Result<(), BenchError> {
        self.http.get(&self.url).send().await?.error_for_status()?.bytes().await?;
        Ok(())
    }
}

impl Exporter {
    pub(super) async fn start(program: &Path) -> Result<Self, BenchError> {
        let address = free_address()?;
        let child = Command::new(program)
            .arg(format!("--web.listen-address={address}"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // It logs at every scrape what the machine lacks.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(program, error.to_string()))?;
        let pid = child.id().ok_or_else(|| failed(program, "it has no process id".to_owned()))?;
        let client =
            ExporterClient { http: reqwest::Client::new(), url: format!("http://{address}/metrics") };
        Ok(Self { pid, program: program.to_owned(), child, client })
    }

    /// Waits until it responds.
    pub(super) async fn ready(&mut self) -> Result<(), BenchError> {
        let started_at = Instant::now();
        while let Err(error) = self.client.scrape().await {
            self.check()?;
            if READY_TIMEOUT <= started_at.elapsed() {
                return Err(error);
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    pub(super) fn client(&self) -> ExporterClient {
        self.client.clone()
    }

    /// Checks that it has not exited.
    pub(super) fn check(&mut self) -> Result<(), BenchError> {
        check(&self.program, &mut self.child)
    }
}

fn check(program: &Path, child: &mut Child) -> Result<(), BenchError> {
    match child.try_wait()? {
        None => Ok(()),
        Some(status) => Err(failed(program, format!("it ended with {status}"))),
    }
}

fn failed(program: &Path, reason: String) -> BenchError {
    BenchError::Program { program: program.display().to_string(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_name_or_by_path() {
        assert!(find(Path::new("sh")).unwrap().is_absolute());
        assert_eq!(find(Path::new("/bin/sh")).unwrap(), Path::new("/bin/sh"));
        let error = find(Path::new("/nowhere/node_exporter")).unwrap_err().to_string();
        assert!(error.contains("apt-get install prometheus-node-exporter"), "{error}");
        assert!(find(Path::new("no-such-program-anywhere")).is_err());
    }
}
