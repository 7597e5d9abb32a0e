//! What strangers can do to the log: neither fill it nor put lines of their own into it.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::process::ServerProcess;
use crate::support::{AgentClient, TestDatabase, eventually};

/// The server's program, and the file that it logs to.
struct Logging {
    address: String,
    directory: TempDir,
    process: ServerProcess,
    _database: TestDatabase,
}

impl Logging {
    async fn start(format: &str) -> Self {
        let database = TestDatabase::on_server().await;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("server.log");
        let variables = [("PIKA_LOG_FILENAME", file.to_str().unwrap()), ("PIKA_LOG_FORMAT", format)];
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

    fn read(&self) -> String {
        fs::read_to_string(self.directory.path().join("server.log")).unwrap()
    }

    /// The log, once it has this text in it.
    async fn with(&self, text: &str) -> String {
        eventually("the log has what was done last", || async {
            Some(self.read()).filter(|log| log.contains(text))
        })
        .await
    }

    /// Ends the server. Returns what it has logged.
    async fn end(self) -> String {
        let Self { directory, process, .. } = self;
        process.kill().await;
        fs::read_to_string(directory.path().join("server.log")).unwrap()
    }

    /// Sends one frame that no agent is behind, and waits for the answer.
    async fn send_as_stranger(&self, text: &str) -> Value {
        let mut stranger = AgentClient::connect(&self.address, None).await;
        stranger.send_text(text).await;
        let answer = stranger.receive().await.unwrap();
        stranger.hang_up().await;
        answer
    }
}

#[tokio::test]
async fn a_flood_of_foreign_origins_does_not_fill_the_log() {
    const REQUESTS: usize = 400;
    let logging = Logging::start("human").await;
    let before = logging.read().len();
    let mut stream = TcpStream::connect(&logging.address).await.unwrap();
    let request = format!(
        "GET /{} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nOrigin: https://{}.example\r\n\r\n",
        "a".repeat(1_000),
        "e".repeat(4_000),
    );
    let mut answer = vec![0; 64 * 1024];
    for _ in 0..REQUESTS {
        stream.write_all(request.as_bytes()).await.unwrap();
        let count = stream.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 403"));
    }
    drop(stream);
    let log = logging.end().await;
    let written = log.len() - before;
    assert!(0 < written && written < 16 * 1024, "{written} bytes for {REQUESTS} requests");
}

#[tokio::test]
async fn strangers_who_fail_to_register_again_and_again_do_not_fill_the_log() {
    const CONNECTIONS: usize = 300;
    let logging = Logging::start("human").await;
    let before = logging.read().lines().count();
    for _ in 0..CONNECTIONS {
        logging.send_as_stranger("{}").await;
    }
    let log = logging.end().await;
    let lines: Vec<_> = log.lines().skip(before).collect();
    // The 1st, 2nd, 4th … 256th.
    assert!((1..=12).contains(&lines.len()), "{} lines for {CONNECTIONS} connections", lines.len());
    assert!(lines[0].contains("malformed") && lines[0].contains("127.0.0.1"), "{}", lines[0]);
}

#[tokio::test]
async fn failed_logins_do_not_fill_the_log_and_are_in_it() {
    const REQUESTS: usize = 100;
    let logging = Logging::start("human").await;
    let before = logging.read().lines().count();
    let client = reqwest::Client::new();
    for _ in 0..REQUESTS {
        let body = json!({"username": "nobody", "password": "x"});
        let login = client.post(format!("http://{}/api/login", logging.address)).json(&body);
        let status = login.send().await.unwrap().status().as_u16();
        assert!([401, 429].contains(&status), "{status}");
    }
    let log = logging.end().await;
    let lines: Vec<_> = log.lines().skip(before).collect();
    assert!((1..=20).contains(&lines.len()), "{lines:#?}");
    for status in ["status=401", "status=429"] {
        let found = lines
            .iter()
            .any(|line| line.contains(status) && line.contains("/api/login") && line.contains("127.0.0.1"));
        assert!(found, "{status}: {lines:#?}");
    }
}

/// A frame whose reason is quoted in the refusal.
fn gap(reason: &str) -> String {
    json!({"type": "gap", "data": {"start": 1, "end": 2, "samples": 1, "reason": reason}}).to_string()
}

#[tokio::test]
async fn nobody_writes_lines_of_their_own_into_the_log() {
    let logging = Logging::start("human").await;
    logging.send_as_stranger(&gap("a\nforged line")).await;
    logging.send_as_stranger(&gap("b\r\u{1b}[2K\u{85}\u{2028}\u{202e}forged")).await;
    logging.send_as_stranger(&gap(&"c".repeat(5_000))).await;
    logging.send_as_stranger("{\"type\":\"last\"}").await;
    let log = logging.with("last").await;
    for line in log.lines() {
        assert!(line.starts_with("20"), "begins without a time: {line:?}");
        assert!(line.len() < 1_000, "{} bytes", line.len());
    }
    let is_harmful = |c: char| c != '\n' && (c.is_control() || "\u{2028}\u{202e}".contains(c));
    assert!(!log.contains(is_harmful), "{log:?}");
    logging.end().await;
}

#[tokio::test]
async fn a_line_of_json_is_one_line_for_every_reader() {
    let logging = Logging::start("json").await;
    logging.send_as_stranger(&gap("a\nb\u{85}c\u{2028}d\u{202e}e\u{2066}")).await;
    logging.send_as_stranger("{\"type\":\"last\"}").await;
    let log = logging.with("last").await;
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap()["level"].is_string(), "{line}");
    }
    assert!(!log.contains(['\u{85}', '\u{2028}', '\u{202e}', '\u{2066}']), "{log:?}");
    logging.end().await;
}
