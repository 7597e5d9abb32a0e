//! The installed program: what survives `kill -9`, and what SIGTERM does.
#![cfg(unix)]

use std::process::{Child, Command, Stdio};

use pika_protocol::AgentMessage;

use crate::support::*;

/// Kills what a failing test leaves behind.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(state_dir: &std::path::Path) -> Process {
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

    pub(crate) fn of(child: Child) -> Process {
        Process(child)
    }

    pub(crate) async fn end(mut self) -> std::process::ExitStatus {
        let wait = tokio::task::spawn_blocking(move || self.0.wait().unwrap());
        within("the end of the process", wait).await.unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
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
async fn it_enrolls_itself_once_with_the_token_of_a_file() {
    let server = FakeServer::start().await;
    let dir = state_dir(None);
    let token = dir.path().join("token");
    std::fs::write(&token, "one-time-token\n").unwrap();
    let state = dir.path().join("state");
    let start = || {
        let child = Command::new(env!("CARGO_BIN_EXE_pika-agent"))
            .args(["run", "--enroll-if-needed", "--state-dir"])
            .arg(&state)
            .env("PIKA_AGENT_SERVER", server.url())
            .env("PIKA_ENROLLMENT_TOKEN_FILE", &token)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    };
    let process = start();
    let mut peer = server.accept().await;
    let AgentMessage::Register(register) = peer.receive().await.message else {
        panic!("not a registration");
    };
    assert_eq!(register.token.as_deref(), Some("one-time-token"));
    peer.send(&register_ack(Some(SECRET))).await;
    while peer.receive_message().await.is_some() {}
    let proof = format!("Bearer {SECRET}");
    let mut peer = server.accept_registered().await;
    assert_eq!(peer.head.headers()["authorization"], proof);
    peer.receive_batch().await;
    process.signal("-KILL");
    process.end().await;

    std::fs::remove_file(&token).unwrap();
    let process = start();
    let mut peer = server.accept_registered().await;
    assert_eq!(peer.head.headers()["authorization"], proof, "it is enrolled, and needs no token");
    peer.receive_batch().await;
    drop(process);

    // A damaged identity is no reason to become somebody else.
    std::fs::write(state.join("identity.json"), "{").unwrap();
    std::fs::write(&token, "another-token\n").unwrap();
    assert!(!start().end().await.success());
    assert_eq!(std::fs::read_to_string(state.join("identity.json")).unwrap(), "{");
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

#[cfg(target_os = "linux")]
#[tokio::test]
async fn it_writes_nothing_outside_its_state_directory_and_starts_no_process() {
    use std::fs;

    let server = FakeServer::start().await;
    let dir = state_dir(Some(&server));
    // The usual places where programs write files.
    let elsewhere = tempfile::tempdir().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_pika-agent"))
        .args(["run", "--state-dir"])
        .arg(dir.path())
        .env_clear()
        .env("PIKA_AGENT_INTERVAL_MS", "1000")
        .envs(["HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"].map(|name| (name, elsewhere.path())))
        .current_dir(elsewhere.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = Process(child);
    let mut peer = server.accept_registered().await;
    for _ in 0..3 {
        let (seq, _) = peer.receive_batch().await;
        peer.acknowledge(seq).await;
        let proc = std::path::PathBuf::from(format!("/proc/{}", process.0.id()));
        for entry in fs::read_dir(proc.join("fd")).unwrap() {
            let number = entry.unwrap().file_name();
            // It may be closed by now.
            let Ok(target) = fs::read_link(proc.join("fd").join(&number)) else {
                continue;
            };
            let Ok(info) = fs::read_to_string(proc.join("fdinfo").join(&number)) else {
                continue;
            };
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
            let is_writable = u32::from_str_radix(flags, 8).unwrap() & 0o3 != 0;
            let is_file = target.is_absolute() && target != std::path::Path::new("/dev/null");
            assert!(
                !is_writable || !is_file || target.starts_with(dir.path()),
                "{target:?} is open for writing"
            );
        }
        for task in fs::read_dir(proc.join("task")).unwrap() {
            let children = fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
            assert_eq!(children, "", "it has started a process");
        }
    }
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "it left something where it ran");
    assert!(dir.path().join("spool").exists());
    process.signal("-TERM");
    while peer.receive_message().await.is_some() {}
    process.end().await;
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "it left something where it ran");
}

#[tokio::test]
async fn samples_that_find_no_room_leave_no_files() {
    let server = FakeServer::start().await;
    let dir = state_dir(Some(&server));
    // Files can be created but not written, as on a disk without free blocks.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ && ulimit -f 0 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_pika-agent")])
        .args(["run", "--state-dir"])
        .arg(dir.path())
        .env("PIKA_AGENT_INTERVAL_MS", "1000")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = Process(child);
    let mut peer = server.accept_registered().await;
    for _ in 0..3 {
        peer.receive_batch().await;
    }
    drop(process);
    let names = std::fs::read_dir(dir.path().join("spool")).unwrap().map(|entry| entry.unwrap().file_name());
    let segments: Vec<_> = names.filter(|name| name.to_str().unwrap().ends_with(".seg")).collect();
    assert!(segments.is_empty(), "{segments:?}");
}
