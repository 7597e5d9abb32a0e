//! The server as a separate process: the program next to the benchmark, with the default configuration except where a
//! benchmark needs other values.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::error::BenchError;
use crate::proc;

/// Timeouts for becoming ready, including the schema, and for stopping.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Maximum number of log lines shown when it fails.
const LOG_LINES_MAX: usize = 20;
/// Maximum number of connections besides agents', for the benchmark's own requests.
const OTHER_CONNECTIONS_MAX: u32 = 100;

/// A running server.
pub(crate) struct ServerProcess {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    program: PathBuf,
    child: Child,
    log: NamedTempFile,
}

/// Returns the differences from the default configuration, as environment variables.
fn configuration(database_url: &str, address: SocketAddr, n_agents: u32) -> Vec<(&'static str, String)> {
    let connections_max = (n_agents + OTHER_CONNECTIONS_MAX).max(25_000);
    vec![
        ("DATABASE_URL", database_url.to_owned()),
        ("PIKA_SERVER_ADDR", address.to_string()),
        ("PIKA_SERVER_CONNECTIONS_MAX", connections_max.to_string()),
        // No limits per agent: at saturation each agent stands for many.
        ("PIKA_INGEST_SAMPLES_PER_SECOND_MAX", "1000000".to_owned()),
        ("PIKA_INGEST_ROWS_PER_SECOND_MAX", "100000000".to_owned()),
        ("PIKA_INGEST_BYTES_PER_SECOND_MAX", "1073741824".to_owned()),
        ("PIKA_INGEST_ROWS_PER_DAY_MAX", u32::MAX.to_string()),
        ("PIKA_INGEST_SAMPLE_SPACING_MS_MIN", "0".to_owned()),
        // Nobody logs in; a given password is not printed.
        ("PIKA_AUTH_ADMIN_PASSWORD", "pika-bench on loopback".to_owned()),
    ]
}

impl ServerProcess {
    /// Starts the server on a database, for this many agents, and waits until it is ready.
    pub(crate) async fn start(program: &Path, database_url: &str, n_agents: u32) -> Result<Self, BenchError> {
        let address = free_address()?;
        let log = NamedTempFile::with_prefix("pika-bench-server-")?;
        let child = Command::new(program)
            .args(["--config", "/dev/null"])
            .env_clear()
            .envs(configuration(database_url, address, n_agents))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.reopen()?)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(program, error.to_string()))?;
        let pid = child.id().ok_or_else(|| failed(program, "it has no process id".to_owned()))?;
        let mut server = Self { address, pid, program: program.to_owned(), child, log };
        server.ready().await?;
        Ok(server)
    }

    async fn ready(&mut self) -> Result<(), BenchError> {
        let http = reqwest::Client::new();
        let url = format!("http://{}/readyz", self.address);
        let started_at = Instant::now();
        while started_at.elapsed() < READY_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(&format!("it ended with {status}")));
            }
            if http.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
                return Ok(());
            }
            sleep(POLL_INTERVAL).await;
        }
        Err(self.failed("it is not ready"))
    }

    /// Returns the peak memory so far.
    pub(crate) fn memory_peak_kib(&self) -> Option<u64> {
        proc::memory_peak_kib(self.pid)
    }

    /// Stops the server as an operator would.
    pub(crate) async fn stop(mut self) -> Result<(), BenchError> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(std::io::Error::from)?;
        }
        match timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(status) => {
                let status = status?;
                if status.success() { Ok(()) } else { Err(self.failed(&format!("it ended with {status}"))) }
            }
            Err(_) => Err(self.failed("it does not stop")),
        }
    }

    /// Returns an error with the end of the log.
    fn failed(&self, what: &str) -> BenchError {
        let log = std::fs::read_to_string(self.log.path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.len().saturating_sub(LOG_LINES_MAX);
        failed(&self.program, format!("{what}\n{}", lines.get(last..).unwrap_or_default().join("\n")))
    }
}

fn failed(program: &Path, reason: String) -> BenchError {
    BenchError::Program { program: program.display().to_string(), reason }
}

/// Returns a loopback address with a free port.
pub(crate) fn free_address() -> Result<SocketAddr, BenchError> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Returns the path of a program, which by default is next to the benchmark.
pub(crate) fn sibling(named: Option<&PathBuf>, name: &str) -> Result<PathBuf, BenchError> {
    let path = match named {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name(name),
    };
    if path.is_file() {
        return Ok(path);
    }
    let path = path.display();
    Err(BenchError::Usage(format!("{path} does not exist: build it (cargo build --release -p {name})")))
}
