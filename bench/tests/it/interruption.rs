//! An interrupted benchmark removes its child processes, databases and temporary files.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::agent::exporter;
use super::database::{database_url, exists};

/// A benchmark that runs until it is interrupted.
struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    temporary: TempDir,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pika-bench"))
            .args(arguments)
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, temporary }
    }

    /// Waits until it has printed this.
    fn says(&mut self, what: &str) {
        let mut said = String::new();
        while !said.contains(what) {
            assert_ne!(self.stderr.read_line(&mut said).unwrap(), 0, "it says nothing of {what}: {said}");
        }
    }

    /// Returns its child processes.
    fn children(&self) -> Vec<String> {
        let pid = self.child.id();
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let children = threads.map(|thread| {
            std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default()
        });
        children
            .flat_map(|children| children.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// Sends a signal, and checks that nothing is left.
    fn end(mut self, signal: Signal) {
        let children = self.children();
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        assert!(!self.child.wait().unwrap().success());
        for child in children {
            eventually(&format!("the end of process {child}"), || !is_running(&child));
        }
        // End of file only when no other process holds it open.
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        let left: Vec<_> = std::fs::read_dir(self.temporary.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(said.contains("interrupted"), "{said}");
    }
}

/// Returns whether a process is running; zombies do not count.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.starts_with(" Z"))
}

pub(crate) fn eventually(what: &str, is_met: impl Fn() -> bool) {
    let started_at = Instant::now();
    while !is_met() {
        assert!(started_at.elapsed() < Duration::from_secs(60), "waited too long for {what}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_programs_that_are_measured_end_with_the_bench() {
    let directory = tempfile::tempdir().unwrap();
    let exporter = exporter(directory.path());
    let bench =
        Running::start(&["agent", "--node-exporter", exporter.to_str().unwrap(), "--warm-up-seconds=3600"]);
    eventually("both programs", || bench.children().len() == 2);
    bench.end(Signal::TERM);
}

#[test]
fn the_server_that_is_measured_and_its_database_go_with_the_bench() {
    let name = format!("pika_bench_interrupted_{}", std::process::id());
    let mut bench = Running::start(&[
        "ingest",
        "--database-url",
        &database_url(),
        "--database",
        &name,
        "--agents=8",
        "--warm-up-seconds=3600",
    ]);
    bench.says("warming up");
    assert!(exists(&name));
    bench.end(Signal::INT);
    assert!(!exists(&name));
}

#[test]
fn a_fleet_that_is_not_loaded_yet_goes_with_the_bench() {
    for command in ["query", "storage"] {
        let name = format!("pika_bench_{command}_{}", std::process::id());
        let url = database_url();
        let database = ["--database-url", &url, "--database", &name];
        let fleet = ["--agents=5", "--days=8", "--interval-ms=15000"];
        let mut bench = Running::start(&[&[command], &database[..], &fleet[..]].concat());
        bench.says("of 9 parts");
        assert!(exists(&name));
        bench.end(Signal::HUP);
        assert!(!exists(&name), "{command}");
    }
}
