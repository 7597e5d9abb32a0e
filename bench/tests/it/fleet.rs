//! `pika-bench fleet` against a server.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use super::database::{count, database_url, execute};
use super::interruption::eventually;

/// A server with its own database; both are removed on drop.
struct Server {
    child: Child,
    database: String,
    url: String,
    address: String,
    log: NamedTempFile,
}

impl Server {
    fn start() -> Self {
        let database = format!("pika_bench_fleet_{}", std::process::id());
        execute(&format!("CREATE DATABASE {database}"));
        let (server, _) = database_url().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let url = format!("{server}/{database}");
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let log = NamedTempFile::new().unwrap();
        let child = program(&url)
            .args(["--config", "/dev/null"])
            .env("PIKA_SERVER_ADDR", &address)
            .env("PIKA_AUTH_ADMIN_PASSWORD", "a password of the tests")
            .stdout(Stdio::null())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let server = Self { child, database, url, address, log };
        eventually("the server to be ready", || server.log().contains("ready address"));
        server
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    fn enrollment_token(&self, uses: u32) -> String {
        let output = program(&self.url)
            .args([
                "enrollment",
                "create",
                "--config",
                "/dev/null",
                "--name=fleet",
                "--max-uses",
                &uses.to_string(),
            ])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let token = text.split_whitespace().find(|word| word.starts_with("pika_enroll_"));
        token.unwrap_or_else(|| panic!("no token in {text}")).to_owned()
    }

    fn count(&self, sql: &str) -> i64 {
        count(&self.url, sql)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        execute(&format!("DROP DATABASE {} WITH (FORCE)", self.database));
    }
}

/// Returns the server's program, which is next to the benchmark's.
fn program(database_url: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_pika-bench")).with_file_name("pika-server");
    let mut command = Command::new(program);
    command.env("DATABASE_URL", database_url);
    command
}

fn fleet(server: &Server, token: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pika-bench"))
        .args(["fleet", "--server", &format!("http://{}", server.address), "--agents=36", "--past-hours=3"])
        .args(["--past-interval-ms=600000", "--interval-ms=1000"])
        .env("PIKA_ENROLLMENT_TOKEN", token)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn stop(fleet: Child) {
    kill_process(Pid::from_child(&fleet), Signal::TERM).unwrap();
    let output = fleet.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("36 machines have stopped"));
}

#[test]
fn a_fleet_reports_its_past_and_its_troubles_and_is_known_again() {
    let server = Server::start();
    let token = server.enrollment_token(36);
    let running = fleet(&server, &token);
    eventually("all to report now", || {
        let newest = "SELECT count(*) FROM agent_latest WHERE pika_now_ms() - 5000 < ts";
        // One is offline, and one may be restarting.
        34 <= server.count(newest)
    });
    assert_eq!(server.count("SELECT count(*) FROM agents"), 36);
    // Late samples are written after the others.
    let past = "SELECT count(DISTINCT agent_key) FROM cpu_metrics WHERE ts < pika_now_ms() - 2 * 3600000";
    eventually("the past of all", || server.count(past) == 36);
    let offline = "SELECT count(*) FROM agent_latest WHERE ts < pika_now_ms() - 30 * 60000";
    assert_eq!(server.count(offline), 1);
    assert_eq!(server.count("SELECT count(*) FROM sample_gaps"), 1);
    eventually("the copied identity", || {
        server.count("SELECT count(*) FROM agents WHERE identity_conflict_at IS NOT NULL") == 1
    });
    stop(running);

    let again = fleet(&server, &token);
    let rows = "SELECT count(*) FROM cpu_metrics";
    let before = server.count(rows);
    eventually("more samples", || before + 36 < server.count(rows));
    assert_eq!(server.count("SELECT count(*) FROM agents"), 36, "{}", server.log());
    stop(again);
}
