//! What strangers cannot do to the log: fill it, or forge lines in it.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::process::LoggedServer;
use crate::support::{AgentClient, TestDatabase};

/// Sends one frame without registering, and waits for the answer.
async fn send_as_stranger(server: &LoggedServer, text: &str) -> Value {
    let mut stranger = AgentClient::connect(&server.address, None).await;
    stranger.send_text(text).await;
    let answer = stranger.receive().await.unwrap();
    stranger.hang_up().await;
    answer
}

async fn start(format: &str) -> LoggedServer {
    LoggedServer::start(TestDatabase::on_server().await, &[("PIKA_LOG_FORMAT", format)]).await
}

#[tokio::test]
async fn a_flood_of_foreign_origins_does_not_fill_the_log() {
    const REQUESTS: usize = 400;
    let server = start("human").await;
    let before = server.log().len();
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
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
    let log = server.end().await;
    let written = log.len() - before;
    assert!(0 < written && written < 16 * 1024, "{written} bytes for {REQUESTS} requests");
}

#[tokio::test]
async fn repeated_failures_to_register_do_not_fill_the_log() {
    const CONNECTIONS: usize = 300;
    let server = start("human").await;
    let before = server.log().lines().count();
    for _ in 0..CONNECTIONS {
        send_as_stranger(&server, "{}").await;
    }
    let log = server.end().await;
    let lines: Vec<_> = log.lines().skip(before).collect();
    // The 1st, 2nd, 4th … 256th.
    assert!((1..=12).contains(&lines.len()), "{} lines for {CONNECTIONS} connections", lines.len());
    assert!(lines[0].contains("malformed") && lines[0].contains("127.0.0.1"), "{}", lines[0]);
}

#[tokio::test]
async fn failed_logins_do_not_fill_the_log_and_are_in_it() {
    const REQUESTS: usize = 100;
    let server = start("human").await;
    let before = server.log().lines().count();
    let client = reqwest::Client::new();
    for _ in 0..REQUESTS {
        let body = json!({"username": "nobody", "password": "x"});
        let login = client.post(format!("http://{}/api/login", server.address)).json(&body);
        let status = login.send().await.unwrap().status().as_u16();
        assert!([401, 429].contains(&status), "{status}");
    }
    let log = server.end().await;
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
async fn log_lines_cannot_be_forged() {
    let server = start("human").await;
    send_as_stranger(&server, &gap("a\nforged line")).await;
    send_as_stranger(&server, &gap("b\r\u{1b}[2K\u{85}\u{2028}\u{202e}forged")).await;
    send_as_stranger(&server, &gap(&"c".repeat(5_000))).await;
    send_as_stranger(&server, "{\"type\":\"last\"}").await;
    let log = server.log_with("last").await;
    for line in log.lines() {
        assert!(line.starts_with("20"), "begins without a time: {line:?}");
        assert!(line.len() < 1_000, "{} bytes", line.len());
    }
    let is_harmful = |c: char| c != '\n' && (c.is_control() || "\u{2028}\u{202e}".contains(c));
    assert!(!log.contains(is_harmful), "{log:?}");
    server.end().await;
}

#[tokio::test]
async fn a_json_log_line_is_one_line_for_every_reader() {
    let server = start("json").await;
    send_as_stranger(&server, &gap("a\nb\u{85}c\u{2028}d\u{202e}e\u{2066}")).await;
    send_as_stranger(&server, "{\"type\":\"last\"}").await;
    let log = server.log_with("last").await;
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap()["level"].is_string(), "{line}");
    }
    assert!(!log.contains(['\u{85}', '\u{2028}', '\u{202e}', '\u{2066}']), "{log:?}");
    server.end().await;
}
