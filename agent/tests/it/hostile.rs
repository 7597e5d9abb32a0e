//! A malicious server: it can refuse the agent, but cannot harm the machine.
#![cfg(unix)]

use std::fs;
use std::process::{Command, Stdio};

use pika_protocol::message::{AgentConfig, Refusal};
use pika_protocol::{ErrorCode, ServerMessage};
use tokio_tungstenite::tungstenite::Message;

use crate::process::Process;
use crate::support::*;

#[tokio::test]
async fn a_server_cannot_fill_the_log() {
    let server = FakeServer::start().await;
    let dir = state_dir(Some(&server));
    let log = dir.path().join("log");
    let child = Command::new(env!("CARGO_BIN_EXE_pika-agent"))
        .args(["run", "--state-dir"])
        .arg(dir.path())
        .env("PIKA_AGENT_INTERVAL_MS", "1000")
        .stderr(Stdio::from(fs::File::create(&log).unwrap()))
        .spawn()
        .unwrap();
    let process = Process::of(child);
    for _ in 0..3 {
        let mut peer = server.accept_registered().await;
        for n in 0..500 {
            let interval_ms = Some(10_000 + n % 2);
            peer.send(&ServerMessage::Config(AgentConfig {
                interval_ms,
                clock_offset_ms: Some(-3_000 * i64::from(n % 2 == 0)),
            }))
            .await;
            let refusal = Refusal { code: ErrorCode::OutOfRange, message: "x\n".repeat(500), seq: None };
            peer.send(&ServerMessage::Error(refusal)).await;
            peer.send(&register_ack(None)).await;
            peer.send_raw(Message::text("not of the protocol")).await;
            peer.send_raw(Message::binary(vec![0; 10])).await;
            peer.send_raw(Message::Ping(Vec::new().into())).await;
        }
        // When it answers, it has read all of the above.
        peer.send_raw(Message::Ping(b"last".to_vec().into())).await;
        loop {
            match peer.receive_message().await.expect("the connection is open") {
                Message::Pong(payload) if payload.as_ref() == b"last" => break,
                _ => {}
            }
        }
    }
    drop(process);
    let text = fs::read_to_string(&log).unwrap();
    let n_lines = text.lines().count();
    assert!(
        (3..30).contains(&n_lines),
        "{n_lines} lines, {} bytes:\n{}",
        text.len(),
        &text[..text.len().min(2_000)]
    );
    assert!(text.len() < 30 * 1_000);
}
