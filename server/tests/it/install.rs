//! Installing agents: what the server offers at `/install/`, and what the script does with it on a machine.

mod machine;

use std::path::Path;
use std::process::Stdio;

use reqwest::Method;
use tempfile::TempDir;
use tokio::process::Command;

use self::machine::Machine;
use crate::support::process::agent_program;
use crate::support::{TestDatabase, TestServer, eventually};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What `docker/agent/build.sh` makes of the agent that was built with this test.
async fn built() -> TempDir {
    let directory = TempDir::with_prefix("pika-test-install-").unwrap();
    let status = Command::new(Path::new(REPOSITORY).join("docker/agent/build.sh"))
        .arg("--programs")
        .arg(agent_program().parent().unwrap())
        .arg(directory.path().join("files"))
        .env_remove("PIKA_RELEASE_KEY_FILE")
        .stderr(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(status.success());
    directory
}

/// Starts a server that offers the files in `directory`.
async fn start(database: &TestDatabase, directory: &TempDir) -> TestServer {
    let mut config = crate::support::server::config(&database.url);
    config.server.install_dir = directory.path().join("files");
    TestServer::start_with(config).await
}

#[tokio::test]
async fn the_server_offers_the_files_of_a_directory_and_nothing_else() {
    let database = TestDatabase::on_server().await;
    let directory = built().await;
    let files = directory.path().join("files");
    std::fs::write(files.join("secret"), "not this").unwrap();
    std::fs::write(directory.path().join("VERSION"), "not this").unwrap();
    let server = start(&database, &directory).await;
    let ask = async |method: Method, name: &str| {
        let answer =
            server.http.request(method, server.url(&format!("/install/{name}"))).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().clone(), answer.bytes().await.unwrap())
    };
    let architecture = std::env::consts::ARCH;
    let program = format!("pika-agent-{architecture}-linux");
    for name in
        ["agent.sh", "SHA256SUMS", "VERSION", "pika-agent.service", "pika-agent.openrc", program.as_str()]
    {
        let content = std::fs::read(files.join(name)).unwrap();
        let (status, headers, body) = ask(Method::GET, name).await;
        assert_eq!(
            (status, headers["content-length"].to_str().unwrap()),
            (200, content.len().to_string().as_str())
        );
        assert_eq!(headers["cache-control"], "no-cache");
        assert!(body == content, "{name} arrives as it is");
        let (status, headers, body) = ask(Method::HEAD, name).await;
        assert_eq!((status, body.len()), (200, 0));
        assert_eq!(headers["content-length"].to_str().unwrap(), content.len().to_string());
    }
    for name in ["secret", "..%2fVERSION", "%2e%2e/VERSION", "TARGETS", "", "agent.sh/x"] {
        let (status, ..) = ask(Method::GET, name).await;
        assert_eq!(status, 404, "{name}");
    }
    assert_eq!(ask(Method::POST, "agent.sh").await.0, 405);
    // What is missing says why.
    for (name, reason) in [("SHA256SUMS.sig", "not signed"), ("pika-agent-riscv-linux", "no such file")] {
        let (status, _, body) = ask(Method::GET, name).await;
        assert!(status == 404 && String::from_utf8_lossy(&body).contains(reason), "{name}: {body:?}");
    }
    std::fs::remove_file(files.join(&program)).unwrap();
    let (status, _, body) = ask(Method::GET, &program).await;
    assert!(status == 404 && String::from_utf8_lossy(&body).contains("docker/agent/build.sh"), "{body:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_may_offer_no_agents() {
    let database = TestDatabase::on_server().await;
    let directory = built().await;
    let mut config = crate::support::server::config(&database.url);
    config.server.install_dir = directory.path().join("files");
    config.server.serve_agents = false;
    let server = TestServer::start_with(config).await;
    let answer = server.get("/install/agent.sh").await;
    assert_eq!(answer.status, 404);
    assert!(answer.body["message"].as_str().unwrap().contains("server.serve_agents"), "{answer:?}");
    server.stop().await.unwrap();
}

#[test]
fn the_script_has_the_version_of_the_workspace() {
    let script = std::fs::read_to_string(Path::new(REPOSITORY).join("docker/agent/agent.sh")).unwrap();
    let version = format!("version={}", env!("CARGO_PKG_VERSION"));
    assert!(script.lines().any(|line| line == version), "{version}");
    assert_eq!(script.lines().last(), Some("main \"$@\""), "half of it does nothing");
}

/// Sees the machine report, and returns the agent's id.
async fn reported(server: &TestServer) -> String {
    eventually("a sample of the installed agent", || async {
        let agents = server.get("/api/agents").await.body;
        let id = agents["items"][0]["id"].as_str()?.to_owned();
        let latest = server.get(&format!("/api/agents/{id}/metrics/latest")).await.body;
        latest["cpu"]["timestamp"].as_i64().map(|_| id)
    })
    .await
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let database = TestDatabase::on_server().await;
    let directory = built().await;
    let server = start(&database, &directory).await;
    let Some(machine) = Machine::new(&server, "").await else {
        return;
    };
    let before = machine.tree().await;
    let said = machine.succeeds("--dry-run").await;
    for step in ["would install /usr/local/bin/pika-agent", "useradd", "would enroll this machine"] {
        assert!(said.contains(step), "{step}: {said}");
    }
    machine.succeeds("--dry-run --remove").await;
    assert_eq!(machine.tree().await, before);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_script_installs_an_agent_that_reports_and_removes_it_without_a_trace() {
    let database = TestDatabase::on_server().await;
    let directory = built().await;
    let server = start(&database, &directory).await;
    let token = server.enrollment_token(1).await;
    let Some(machine) = Machine::new(&server, &token).await else {
        return;
    };
    machine.add_systemd().await;
    let before = machine.tree().await;
    let said = machine.succeeds("").await;
    assert!(said.contains("is enrolled at") && !said.contains(&token), "{said}");
    let id = reported(&server).await;
    assert_eq!(machine.run("stat -c '%U %a' /var/lib/pika-agent/identity.json").await, "pika-agent 600\n");
    assert_eq!(machine.run("stat -c %U /proc/$(cat /tmp/agent.pid)").await, "pika-agent\n");
    let kept = machine.run(&format!("grep -rlF '{token}' /etc /usr/local /var/lib/pika-agent || true")).await;
    assert_eq!(kept, "", "the token is of no use any more, and nowhere");

    // Once more, it is the same machine.
    let said = machine.succeeds("").await;
    assert!(said.contains("enrolled already"), "{said}");
    assert_eq!(reported(&server).await, id);

    // An agent without a release key cannot tell who made an update.
    let said = machine.fails("--update").await;
    assert!(said.contains("without a release key"), "{said}");

    let said = machine.succeeds("--remove").await;
    assert!(said.contains("kept /var/lib/pika-agent"), "{said}");
    machine.succeeds("--remove --purge").await;
    assert_eq!(machine.tree().await, before);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_update_needs_a_signature_and_is_taken_back_if_it_does_not_run() {
    let database = TestDatabase::on_server().await;
    let directory = built().await;
    let server = start(&database, &directory).await;
    let Some(machine) = Machine::new(&server, &server.enrollment_token(1).await).await else {
        return;
    };
    machine.add_systemd().await;
    machine.succeeds("").await;
    reported(&server).await;
    // Stands in for an older agent with a release key.
    let old = "#!/bin/sh\ncase $1 in\nverify) exit $(cat /tmp/verdict) ;;\n--version) echo pika-agent 0.1.0 ;;\n\
               *) exec sleep 1000 ;;\nesac\n";
    let become_old = format!(
        "cat >/tmp/old <<'END'\n{old}END\nchmod 755 /tmp/old; mv /tmp/old /usr/local/bin/pika-agent\n"
    );
    machine.run(&become_old).await;
    machine.run("echo 1 >/tmp/verdict").await;
    let said = machine.fails("--update").await;
    assert!(said.contains("refused"), "{said}");
    assert_eq!(machine.run("cat /usr/local/bin/pika-agent").await, old);

    machine.run("echo 0 >/tmp/verdict").await;
    machine.succeeds("--update").await;
    assert_eq!(machine.run("cat /usr/local/bin/pika-agent.old").await, old);
    let version = machine.run("/usr/local/bin/pika-agent --version").await;
    assert_eq!(version, format!("pika-agent {}\n", env!("CARGO_PKG_VERSION")));

    // One that ends at once.
    machine.run(&become_old).await;
    let files = directory.path().join("files");
    let program = files.join(format!("pika-agent-{}-linux", std::env::consts::ARCH));
    std::fs::write(&program, "#!/bin/sh\n[ \"$1\" = --version ]\n").unwrap();
    let said = machine.fails("--update").await;
    assert!(said.contains("is not what SHA256SUMS says"), "{said}");
    assert_eq!(machine.run("cat /usr/local/bin/pika-agent").await, old);
    let mut sums = Command::new("sh");
    sums.args(["-c", "sha256sum -- * >SUMS; mv SUMS SHA256SUMS"]).current_dir(&files);
    assert!(sums.status().await.unwrap().success());
    let said = machine.fails("--update").await;
    assert!(said.contains("the old one was put back"), "{said}");
    assert_eq!(machine.run("cat /usr/local/bin/pika-agent").await, old);
    machine.run("kill -0 $(cat /tmp/agent.pid)").await;
    machine.succeeds("--remove --purge").await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_verified_is_refused() {
    let database = TestDatabase::on_server().await;
    let directory = built().await;
    let server = start(&database, &directory).await;
    let Some(machine) = Machine::new(&server, "pika_enroll_wrong").await else {
        return;
    };
    for (address, reason) in [
        ("http://pika.example.org", "plain http"),
        ("http://127.0.0.1.example.org:80", "plain http"),
        ("http://localhost@example.org", "plain http"),
        ("ftp://pika.example.org", "must begin with https"),
        ("https://127.0.0.1:1", "cannot be reached"),
        ("", "set PIKA_SERVER"),
    ] {
        let said = machine.fails_at(address).await;
        assert!(said.contains(reason), "{address}: {said}");
    }
    let said = machine.fails("").await;
    assert!(said.contains("is not enrolled"), "{said}");
    machine.run("test ! -e /var/lib/pika-agent/identity.json").await;
    machine.run(": >/usr/bin/pika-agent").await;
    let said = machine.fails("").await;
    assert!(said.contains("package manager"), "{said}");
    server.stop().await.unwrap();
}
