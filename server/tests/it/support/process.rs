//! The real programs as processes, which can be killed without warning.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::account::Account;
use super::{Fleet, Random, TestDatabase, TestServer, eventually};

/// The server's process.
pub(crate) struct ServerProcess(Child);

impl ServerProcess {
    pub(crate) fn start(database_url: &str, port: u16) -> Self {
        Self::start_with(database_url, port, &[])
    }

    /// Like [`ServerProcess::start`], with additional variables.
    pub(crate) fn start_with(database_url: &str, port: u16, variables: &[(&str, &str)]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_pika-server"))
            .env_clear()
            .env("DATABASE_URL", database_url)
            .env("PIKA_SERVER_ADDR", format!("127.0.0.1:{port}"))
            .env("PIKA_INGEST_FLUSH_INTERVAL_MS", "20")
            .env("PIKA_INGEST_SAMPLE_SPACING_MS_MIN", Fleet::SPACING_MS.to_string())
            .envs(variables.iter().copied())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) {
        self.0.kill().await.unwrap();
    }
}

/// A server process with its own database, and the file it logs to.
pub(crate) struct LoggedServer {
    pub(crate) address: String,
    directory: TempDir,
    process: ServerProcess,
    _database: TestDatabase,
}

impl LoggedServer {
    /// Starts it with these variables, and waits until it is ready.
    pub(crate) async fn start(database: TestDatabase, variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("server.log");
        let mut variables = variables.to_vec();
        variables.push(("PIKA_LOG_FILENAME", file.to_str().unwrap()));
        let process = ServerProcess::start_with(&database.url, 0, &variables);
        let address = eventually("the server says where it listens", || async {
            let log = fs::read_to_string(&file).ok()?;
            let (_, rest) = log.lines().find(|line| line.contains("listening"))?.split_once("127.0.0.1:")?;
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Some(format!("127.0.0.1:{port}"))
        })
        .await;
        eventually("the server is ready", || async {
            let answer = reqwest::get(format!("http://{address}/readyz")).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        Self { address, directory, process, _database: database }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("server.log")).unwrap()
    }

    /// Returns the log once it contains this text.
    pub(crate) async fn log_with(&self, text: &str) -> String {
        eventually("the log has what was done last", || async {
            Some(self.log()).filter(|log| log.contains(text))
        })
        .await
    }

    /// Returns the resident memory of the process, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Returns a client of the server with its administrator logged in. The server must have been started with the
    /// tests' password.
    pub(crate) async fn client(&self) -> TestServer {
        TestServer::of_process(self.address.clone()).await
    }

    /// Stops the server and returns its log.
    pub(crate) async fn end(self) -> String {
        let Self { directory, process, .. } = self;
        process.kill().await;
        fs::read_to_string(directory.path().join("server.log")).unwrap()
    }
}

/// Returns a port that a restarted process can bind again: not one of those the system gives to outgoing connections.
pub(crate) fn lasting_port(random: &mut Random) -> u16 {
    loop {
        let port = 20_000 + u16::try_from(random.below(10_000)).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Returns the agent's program, which is built next to this test.
pub(crate) fn agent_program() -> PathBuf {
    let directory = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let program = directory.join("pika-agent");
    assert!(program.exists(), "{} is missing: run cargo build --workspace", program.display());
    program
}

/// Enrolls an agent and returns its id.
pub(crate) async fn enroll_agent(server: &TestServer, state: &Path) -> String {
    let token = server.enrollment_token(1).await;
    let status = Command::new(agent_program())
        .args(["enroll", "--server", &server.url(""), "--state-dir"])
        .arg(state)
        .env("PIKA_ENROLLMENT_TOKEN", token)
        .stdout(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(status.success());
    let identity: Value = serde_json::from_slice(&fs::read(state.join("identity.json")).unwrap()).unwrap();
    identity["id"].as_str().unwrap().to_owned()
}

/// The agent's process.
pub(crate) struct AgentProcess {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl AgentProcess {
    /// Starts the agent with the shortest interval; it reports to `address`.
    pub(crate) fn start(address: &str, state: &Path) -> Self {
        let mut command = Command::new(agent_program());
        command.arg("run");
        Self::start_command(command, address, state)
    }

    /// Like [`AgentProcess::start`], with a command that becomes `pika-agent run` when arguments are appended.
    pub(crate) fn start_command(command: Command, address: &str, state: &Path) -> Self {
        Self::start_at(command, &format!("http://{address}"), state)
    }

    /// Like [`AgentProcess::start_command`], with the URL of the server.
    pub(crate) fn start_at(mut command: Command, url: &str, state: &Path) -> Self {
        let mut child = command
            .args(["--server", url, "--state-dir"])
            .arg(state)
            .env("PIKA_AGENT_INTERVAL_MS", "1000")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let written = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Returns its log.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to terminate, and waits.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        self.child.wait().await.unwrap()
    }
}

/// The contents of an agent's spool.
#[derive(Debug)]
pub(crate) struct Spool {
    /// The server has acknowledged every sample with a lower number.
    cursor: u64,
    /// The times of all samples by number, including acknowledged ones: a file stays while it is appended to, and a
    /// test does not fill one.
    pub(crate) samples: BTreeMap<u64, i64>,
}

impl Spool {
    /// Reads the spool in a state directory. An incomplete record is ignored, as by the agent.
    pub(crate) fn read(state: &Path) -> Self {
        let directory = state.join("spool");
        let cursor = fs::read(directory.join("cursor")).unwrap_or_default();
        let cursor = cursor.first_chunk().map_or(0, |id| u64::from_le_bytes(*id));
        let mut samples = BTreeMap::new();
        let Ok(files) = fs::read_dir(&directory) else {
            return Self { cursor, samples };
        };
        for path in files.map(|file| file.unwrap().path()) {
            let Some(first_id) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".seg") else {
                continue;
            };
            let bytes = fs::read(&path).unwrap();
            samples.extend((first_id.parse().unwrap()..).zip(timestamps(&bytes)));
        }
        let times: Vec<_> = samples.values().collect();
        assert!(times.is_sorted_by(|earlier, later| earlier < later), "{samples:?}");
        Self { cursor, samples }
    }

    /// The number of the last sample; 0 if there is none.
    pub(crate) fn last_id(&self) -> u64 {
        self.samples.last_key_value().map_or(0, |(id, _)| *id)
    }

    /// Returns whether the samples up to this number are acknowledged.
    pub(crate) fn has_forgotten(&self, id: u64) -> bool {
        id < self.cursor
    }

    /// Returns which samples the agent knows to be stored, and which it still holds.
    pub(crate) fn account(&self) -> Account {
        let mut account = Account::default();
        for (id, ts) in &self.samples {
            let place = if *id < self.cursor { &mut account.acknowledged } else { &mut account.held };
            place.insert(*ts);
        }
        account
    }
}

/// Returns the times of the samples in a spool file. A record is `length: u32 LE, crc32: u32 LE, payload`.
fn timestamps(mut bytes: &[u8]) -> Vec<i64> {
    let mut timestamps = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap();
        let Some(payload) = rest.get(4..4 + length) else { break };
        let record: Value = serde_json::from_slice(payload).unwrap();
        let sample = &record["sample"];
        let clock_offset_ms = sample["clockOffsetMs"].as_i64().unwrap_or(0);
        timestamps.push(sample["timestamp"].as_i64().unwrap() + clock_offset_ms);
        bytes = &rest[4 + length..];
    }
    timestamps
}
