//! The sample configurations of `docker/proxy`, run by the proxies themselves: an agent, a browser's live events and the
//! client's address come through, and a server that is away is left alone.
//!
//! A proxy is looked for in PATH, and as a package unpacked into `PIKA_PROXY_ROOT`. What is on neither is not tried; what
//! its configuration must hold is checked in any case.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::process::{AgentProcess, agent_program, lasting_port};
use crate::support::tls::TestCertificate;
use crate::support::{Random, TestDatabase, TestServer, eventually};

/// The samples, and what each must hold: servers by the fewest connections, long reads, and the client's address.
const SAMPLES: [(&str, &[&str]); 3] = [
    (
        "nginx.conf",
        &["least_conn;", "proxy_http_version 1.1;", "$proxy_add_x_forwarded_for", "proxy_read_timeout 120s;"],
    ),
    (
        "haproxy.cfg",
        &["balance leastconn", "GET /readyz", "timeout tunnel 1h", "option forwardfor", "hard-stop-after"],
    ),
    ("Caddyfile", &["lb_policy least_conn", "health_uri /readyz", "flush_interval -1"]),
];

fn sample(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/proxy").join(name)).unwrap()
}

#[test]
fn the_samples_hold_what_agents_and_live_events_need() {
    for (name, parts) in SAMPLES {
        let text = sample(name);
        for part in parts {
            assert!(text.contains(part), "{name}: {part}");
        }
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let mut directories: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
    if let Some(root) = std::env::var_os("PIKA_PROXY_ROOT") {
        directories.extend(["usr/sbin", "usr/bin"].map(|directory| Path::new(&root).join(directory)));
    }
    directories.into_iter().map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// A proxy that listens on `port`, in front of a server and an address where nobody is.
struct Proxy {
    _child: Child,
    directory: TempDir,
    port: u16,
}

impl Proxy {
    /// `sample` is what to write into the configuration, whose place is `{file}` in the arguments.
    fn start(program: &Path, arguments: &[&str], files: impl Fn(&Path, u16) -> String) -> Self {
        let directory = TempDir::with_prefix("pika-test-proxy-").unwrap();
        let port = lasting_port(&mut Random::announced());
        let certificate = TestCertificate::new();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("pika.pem", &format!("{}{}", certificate.certificate_pem(), certificate.key_pem()));
        write("authority.pem", &certificate.certificate_pem());
        write("pika.key", &certificate.key_pem());
        let configuration = directory.path().join("configuration");
        std::fs::write(&configuration, files(directory.path(), port)).unwrap();
        let arguments = arguments.iter().map(|argument| match *argument {
            "{file}" => configuration.as_os_str().to_owned(),
            "{directory}" => directory.path().as_os_str().to_owned(),
            other => other.into(),
        });
        let libraries = program.ancestors().nth(3).unwrap_or(Path::new("/")).join("usr/lib/x86_64-linux-gnu");
        let child = Command::new(program)
            .args(arguments)
            .env("LD_LIBRARY_PATH", libraries)
            .env("HOME", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { _child: child, directory, port }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// A client that trusts the proxy's certificate and asks for a path with this token.
    fn curl(&self, path: &str, token: &str) -> Command {
        let header = self.directory.path().join("header");
        std::fs::write(&header, format!("Authorization: Bearer {token}\n")).unwrap();
        let mut command = Command::new("curl");
        command.args(["--silent", "--fail", "--no-buffer", "--header"]).arg(format!("@{}", header.display()));
        command.arg("--cacert").arg(self.directory.path().join("authority.pem"));
        command.arg(format!("{}{path}", self.url())).stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// Starts a server that believes the proxy.
async fn server(database: &TestDatabase) -> TestServer {
    let mut config = crate::support::server::config(&database.url);
    config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    TestServer::start_with(config).await
}

/// Nobody listens there.
const AWAY: &str = "127.0.0.1:1";

async fn everything_comes_through(server: TestServer, proxy: Proxy) {
    let token = server.admin_token.as_str();
    eventually("the proxy passes on", || async {
        proxy.curl("/readyz", token).output().await.unwrap().status.success().then_some(())
    })
    .await;

    // Of an agent, over a WebSocket.
    let state = tempfile::tempdir().unwrap();
    let configuration = proxy.directory.path().join("agent.yaml");
    let authority = proxy.directory.path().join("authority.pem");
    std::fs::write(&configuration, format!("tls:\n  ca_file: {}\n", authority.display())).unwrap();
    let mut command = Command::new(agent_program());
    command
        .args(["run", "--enroll-if-needed", "--config"])
        .arg(&configuration)
        .env("PIKA_ENROLLMENT_TOKEN", server.enrollment_token(1).await);
    let _agent = AgentProcess::start_at(command, &proxy.url(), state.path());
    let id = eventually("the agent is online", || async {
        let agents = server.get("/api/agents").await.body;
        let agent = &agents["items"][0];
        (agent["status"] == 1).then(|| agent["id"].as_str().unwrap().to_owned())
    })
    .await;

    // Its values, as they arrive.
    let mut watcher = proxy.curl("/api/events", token).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("data") && line.contains(&id) {
                return;
            }
        }
        panic!("live events ended");
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), reading).await;
    assert!(in_time.is_ok(), "live events are held back");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn through_nginx() {
    let Some(program) = program("nginx") else {
        return;
    };
    let database = TestDatabase::on_server().await;
    let server = server(&database).await;
    let proxy = Proxy::start(&program, &["-p", "{directory}", "-c", "{file}"], |directory, port| {
        let path = directory.display();
        let sites = sample("nginx.conf")
            .replace("/etc/ssl", &path.to_string())
            .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
            .replace("10.0.0.11:18888", &server.address)
            .replace("10.0.0.12:18888", AWAY);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {path}/{name};"))
            .concat();
        format!(
            "daemon off; pid {path}/pid; error_log stderr; events {{ }}\nhttp {{ access_log off; {temporary}\n{sites} }}\n"
        )
    });
    everything_comes_through(server, proxy).await;
}

#[tokio::test]
async fn through_haproxy() {
    let Some(program) = program("haproxy") else {
        return;
    };
    let database = TestDatabase::on_server().await;
    let server = server(&database).await;
    let proxy = Proxy::start(&program, &["-db", "-f", "{file}"], |directory, port| {
        sample("haproxy.cfg")
            .replace("/etc/ssl", &directory.display().to_string())
            .replace("maxconn 50000", "maxconn 100")
            .replace("bind :443", &format!("bind 127.0.0.1:{port}"))
            .replace("10.0.0.11:18888", &server.address)
            .replace("10.0.0.12:18888", AWAY)
    });
    everything_comes_through(server, proxy).await;
}

#[tokio::test]
async fn through_caddy() {
    let Some(program) = program("caddy") else {
        return;
    };
    let database = TestDatabase::on_server().await;
    let server = server(&database).await;
    let arguments = ["run", "--adapter", "caddyfile", "--config", "{file}"];
    let proxy = Proxy::start(&program, &arguments, |directory, port| {
        let path = directory.display();
        let site = sample("Caddyfile")
            .replace(
                "pika.example.org {\n",
                &format!("https://localhost:{port} {{\n\ttls {path}/pika.pem {path}/pika.key\n"),
            )
            .replace("10.0.0.11:18888", &server.address)
            .replace("10.0.0.12:18888", AWAY);
        format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}")
    });
    everything_comes_through(server, proxy).await;
}
