//! `start.sh`: which database it uses, what it listens on, and what it leaves behind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::Random;
use crate::support::process::lasting_port;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../start.sh");

/// An isolated machine as far as `start.sh` can see: a state directory, and a program `docker` that works or does not.
struct Machine {
    directory: TempDir,
    database_port: u16,
}

impl Machine {
    fn new() -> Self {
        let directory = TempDir::with_prefix("pika-test-start-").unwrap();
        // PostgreSQL's user must be able to pass through.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        std::fs::create_dir(directory.path().join("bin")).unwrap();
        let machine = Self { directory, database_port: port() };
        machine.docker("exit 1");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn state(&self, name: &str) -> PathBuf {
        self.path("state").join(name)
    }

    /// Sets what the program `docker` does.
    fn docker(&self, script: &str) {
        let program = self.path("bin/docker");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Makes it succeed; its arguments are recorded.
    fn docker_works(&self) {
        self.docker(&format!("echo \"$*\" >>{}", self.path("docker.log").display()));
    }

    fn docker_has_started_a_database(&self) -> bool {
        std::fs::read_to_string(self.path("docker.log")).is_ok_and(|log| log.contains(" up "))
    }

    fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(SCRIPT);
        for (name, _) in std::env::vars() {
            if name == "DATABASE_URL" || name.starts_with("PIKA_") && name != "PIKA_POSTGRES_ROOT" {
                command.env_remove(name);
            }
        }
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let programs = Path::new(env!("CARGO_BIN_EXE_pika-server")).parent().unwrap();
        command
            .args(arguments)
            .env("PATH", path)
            .env("PIKA_STATE_DIR", self.path("state"))
            .env("PIKA_BIN_DIR", programs)
            .env("PIKA_DATABASE_PORT", self.database_port.to_string())
            .envs(environment.iter().copied())
            .stdin(Stdio::null());
        command
    }

    /// Runs `start.sh --database-only` with these arguments.
    async fn database_only(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let arguments = [&["--database-only"], arguments].concat();
        self.command(&arguments, environment).output().await.unwrap()
    }

    /// Returns the URL it prints.
    async fn url(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let output = self.database_only(arguments, environment).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).trim_end().to_owned()
    }

    /// Checks that it refuses with these words.
    async fn is_refused(&self, arguments: &[&str], environment: &[(&str, &str)], words: &[&str]) {
        let output = self.database_only(arguments, environment).await;
        let said = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}: {word} is not in {said}");
        }
    }

    /// Adds a stopped cluster of an earlier version.
    fn has_a_cluster(&self) {
        std::fs::create_dir_all(self.state("database/data")).unwrap();
    }

    fn has_compose(&self) {
        std::fs::create_dir_all(self.path("state")).unwrap();
        std::fs::write(self.state("compose-password"), "secret").unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Never stop this machine's own containers.
        self.docker("exit 1");
        let mut stop = self.command(&["--stop"], &[]).into_std();
        drop(stop.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}

/// Returns a port that no other test in this process uses.
fn port() -> u16 {
    static N_PORTS: AtomicU32 = AtomicU32::new(0);
    let number = N_PORTS.fetch_add(1, Ordering::Relaxed);
    lasting_port(&mut Random::seeded(u64::from(std::process::id()) << 32 | u64::from(number) << 1))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const ELSEWHERE: (&str, &str) = ("DATABASE_URL", "postgres://pika:hunter2@db.example.org/pika");

#[tokio::test]
async fn a_database_stays_the_same_when_another_comes_within_reach() {
    let machine = Machine::new();
    let url = machine.url(&[], &[]).await;
    machine.docker_works();
    assert_eq!(machine.url(&[], &[]).await, url, "Docker was installed");
    // Earlier versions did not record their choice.
    std::fs::remove_file(machine.state("database.kind")).unwrap();
    assert_eq!(machine.url(&[], &[]).await, url);
    assert!(!machine.docker_has_started_a_database());
    machine.is_refused(&[], &[ELSEWHERE], &["--database external", "has been served by"]).await;

    let in_docker = machine.url(&["--database", "compose"], &[]).await;
    assert!(in_docker != url && machine.docker_has_started_a_database());
    assert_eq!(machine.url(&[], &[]).await, in_docker, "the change is remembered");
    assert_eq!(machine.url(&["--database", "external"], &[ELSEWHERE]).await, ELSEWHERE.1);
    machine.is_refused(&[], &[], &["DATABASE_URL", "--database cluster"]).await;
    assert_eq!(machine.url(&["--database", "cluster"], &[]).await, url, "it still is where it was");
}

#[tokio::test]
async fn an_unusable_earlier_database_is_not_replaced() {
    let machine = Machine::new();
    machine.has_compose();
    let words = ["Docker", "does not answer", "--database cluster", "--database compose"];
    machine.is_refused(&[], &[], &words).await;
    // The second may have been started by an earlier version after Docker was installed.
    machine.has_a_cluster();
    machine.docker_works();
    machine.is_refused(&[], &[], &["--database cluster", "--database compose"]).await;
    assert!(!machine.docker_has_started_a_database());
    machine.is_refused(&["--database", "external"], &[], &["DATABASE_URL"]).await;
    machine.is_refused(&["--database", "mysql"], &[], &["cluster, compose or external"]).await;
}

#[tokio::test]
async fn an_agent_that_knows_another_database_is_not_given_an_empty_one() {
    let machine = Machine::new();
    std::fs::create_dir_all(machine.state("agent")).unwrap();
    std::fs::write(machine.state("agent/identity.json"), "{}").unwrap();
    machine.is_refused(&[], &[], &["DATABASE_URL", "--database cluster"]).await;
    assert_eq!(machine.url(&[], &[ELSEWHERE]).await, ELSEWHERE.1);
}

#[tokio::test]
async fn the_configuration_is_read_as_the_server_reads_it() {
    let machine = Machine::new();
    machine.docker_works();
    let file = machine.path("server.yaml");
    let arguments = ["--config", file.to_str().unwrap()];
    let parts = "postgres://pika:p%20w@db.example.org:15432/pika?sslmode=require";
    for (config, environment, url) in [
        ("database: {url: 'postgres://a/b'}\n", None, "postgres://a/b"),
        (
            "Database:\n  Postgres:\n    Hostname: db.example.org\n    password: p w\n    sslmode: require\n",
            None,
            parts,
        ),
        (
            "database: {url: 'postgres://a/b'}\n",
            Some(("PIKA_DATABASE_URL", "postgres://c/d")),
            "postgres://c/d",
        ),
        (
            "",
            Some(("PIKA_DATABASE_POSTGRES_HOSTNAME", "db")),
            "postgres://pika:pika@db:15432/pika?sslmode=disable",
        ),
    ] {
        std::fs::write(&file, config).unwrap();
        let environment: Vec<_> = environment.into_iter().collect();
        assert_eq!(machine.url(&arguments, &environment).await, url, "{config}");
        std::fs::remove_file(machine.state("database.kind")).unwrap();
    }
    std::fs::write(&file, "database: {urll: 'postgres://a/b'}\n").unwrap();
    machine.is_refused(&arguments, &[], &["urll"]).await;
    assert!(!machine.docker_has_started_a_database());
}

#[tokio::test]
async fn everything_starts_on_loopback_and_ends_with_the_script() {
    let machine = Machine::new();
    let port = port();
    let mut script = machine
        .command(&["--port", &port.to_string()], &[])
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(machine.path("said")).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let mut summary = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        summary += &format!("{line}\n");
        if line.contains("Ctrl-C stops it") {
            break;
        }
    }
    let said = std::fs::read_to_string(machine.path("said")).unwrap();
    assert!(summary.contains("user admin, password "), "{said}{summary}");
    assert!(summary.contains("this machine only"), "{summary}");
    let listening = format!("{port:04X} 00000000:0000 0A");
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let sockets: Vec<_> = sockets.lines().filter(|line| line.contains(&listening)).collect();
    assert!(!sockets.is_empty() && sockets.iter().all(|line| line.contains("0100007F:")), "{sockets:?}");
    let pids = ["server", "agent"]
        .map(|name| std::fs::read_to_string(machine.state(&format!("{name}.pid"))).unwrap());

    let terminate = Command::new("kill").arg(script.id().unwrap().to_string()).status().await.unwrap();
    assert!(terminate.success() && script.wait().await.unwrap().success());
    for pid in pids {
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "{pid}");
    }
    let left = std::fs::read_dir(machine.path("state")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.ends_with(".pid") || name == "database-started"), "{left:?}");
    assert!(!machine.state("database/data/postmaster.pid").exists());
}
