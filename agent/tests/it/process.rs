//! The program as it is installed: what survives `kill -9`, and what it does on SIGTERM.
#![cfg(unix)]

use std::process::{Child, Command, Stdio};

use crate::support::*;

/// Kills what a failing test leaves behind.
struct Process(Child);

impl Process {
    fn start(state_dir: &std::path::Path) -> Process {
        let child = Command::new(env!("CARGO_BIN_EXE_pika-agent"))
            .arg("run")
            .arg("--state-dir")
            .arg(state_dir)
            .env("PIKA_AGENT_INTERVAL_MS", "1000")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }

    async fn end(mut self) -> std::process::ExitStatus {
        let wait = tokio::task::spawn_blocking(move || self.0.wait().unwrap());
        within("the end of the process", wait).await.unwrap()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(name).arg(self.0.id().to_string()).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has usually ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn nothing_that_was_taken_is_lost_by_kill_9() {
    let server = FakeServer::start().await;
    let dir = state_dir(Some(&server));
    let process = Process::start(dir.path());
    let mut peer = server.accept_registered().await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.extend(peer.receive_batch().await.1);
    }
    process.signal("-KILL");
    process.end().await;

    let process = Process::start(dir.path());
    let mut peer = server.accept_registered().await;
    peer.receive_until(&open).await;
    drop(process);
}

#[tokio::test]
async fn sigterm_ends_it_in_peace() {
    let server = FakeServer::start().await;
    let dir = state_dir(Some(&server));
    let process = Process::start(dir.path());
    let mut peer = server.accept_registered().await;
    let (seq, _) = peer.receive_batch().await;
    peer.acknowledge(seq).await;
    process.signal("-TERM");
    while peer.receive_message().await.is_some() {}
    assert!(process.end().await.success());
}
