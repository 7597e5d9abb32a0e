//! TLS on the server itself.

use std::process::Stdio;

use pika_server::domain::audit::Action;
use pika_server::domain::token::NewToken;
use pika_server::healthcheck;
use pika_server::store::NewEnrollment;
use pika_server::telemetry::ConnectionEnd;
use pika_shared::token::TokenKind;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::client::now;
use crate::support::process::agent_program;
use crate::support::server::{ADMIN_PASSWORD, config};
use crate::support::tls::{TestCertificate, TlsClient, TlsDirectory};
use crate::support::{TestDatabase, TestServer, by_test, eventually};

/// Starts a server with this certificate, and waits until it is ready.
async fn start(database: &TestDatabase, directory: &TlsDirectory, trusted: &TestCertificate) -> TestServer {
    let mut config = config(&database.url);
    directory.configure(&mut config);
    let server = TestServer::start_unready(config).await;
    eventually("the server is ready", || async {
        let answer = get(&server, trusted, "/readyz").await;
        answer.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
    server
}

async fn get(server: &TestServer, trusted: &TestCertificate, path: &str) -> String {
    let mut client = TlsClient::connect(&server.address, trusted, &["http/1.1"]).await.unwrap();
    client.request("GET", path, "").await
}

#[tokio::test]
async fn over_tls_the_cookie_is_secure_and_browsers_are_told_to_stay() {
    let database = TestDatabase::on_server().await;
    let certificate = TestCertificate::new();
    let directory = TlsDirectory::with(&certificate);
    let server = start(&database, &directory, &certificate).await;
    let mut client = TlsClient::connect(&server.address, &certificate, &["http/1.1"]).await.unwrap();
    let body = json!({"username": "admin", "password": ADMIN_PASSWORD}).to_string();
    let answer = eventually("the administrator can log in", || async {
        let mut client = TlsClient::connect(&server.address, &certificate, &[]).await.unwrap();
        let answer = client.request("POST", "/api/login", &body).await;
        answer.starts_with("HTTP/1.1 200").then_some(answer)
    })
    .await;
    assert!(answer.contains("; Secure\r\n"), "{answer}");
    let answer = client.request("GET", "/healthz", "").await;
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    let h2 = TlsClient::connect(&server.address, &certificate, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(h2.protocol().as_deref(), Some("h2"));
    drop((client, h2));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn clients_without_tls_are_disconnected_and_block_nobody() {
    let database = TestDatabase::on_server().await;
    let certificate = TestCertificate::new();
    let directory = TlsDirectory::with(&certificate);
    let server = start(&database, &directory, &certificate).await;
    let mut plain = TcpStream::connect(&server.address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(server.instruments.ended_connections(ConnectionEnd::TlsFailed), 1);
    // These never begin their handshake.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(&server.address).await.unwrap());
    }
    assert!(get(&server, &certificate, "/healthz").await.starts_with("HTTP/1.1 200"));
    drop(silent);
    healthcheck::run(&format!("https://{}", server.address)).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn idle_tls_connections_are_closed() {
    let database = TestDatabase::on_server().await;
    let certificate = TestCertificate::new();
    let directory = TlsDirectory::with(&certificate);
    let mut config = config(&database.url);
    directory.configure(&mut config);
    config.server.request_head_timeout_ms = 1_000;
    let server = TestServer::start_unready(config).await;
    // One that does not even begin, and one that is silent after the handshake.
    let mut silent = TcpStream::connect(&server.address).await.unwrap();
    let mut agreed = TlsClient::connect(&server.address, &certificate, &["http/1.1"]).await.unwrap();
    assert!(!matches!(silent.read(&mut [0; 16]).await, Ok(1..)));
    agreed.ended().await;
    assert_eq!(server.instruments.ended_connections(ConnectionEnd::RequestHeadTimeout), 2);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart_and_ends_no_connection() {
    let database = TestDatabase::on_server().await;
    let old = TestCertificate::new();
    let directory = TlsDirectory::with(&old);
    let server = start(&database, &directory, &old).await;
    let mut open = TlsClient::connect(&server.address, &old, &[]).await.unwrap();
    assert!(open.request("GET", "/healthz", "").await.starts_with("HTTP/1.1 200"));
    let new = TestCertificate::new();
    directory.put(&new);
    eventually("the new certificate is in use", || async {
        TlsClient::connect(&server.address, &new, &[]).await.is_ok().then_some(())
    })
    .await;
    assert!(TlsClient::connect(&server.address, &old, &[]).await.is_err());
    assert!(open.request("GET", "/healthz", "").await.starts_with("HTTP/1.1 200"));
    drop(open);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_agent_reports_over_wss() {
    let database = TestDatabase::on_server().await;
    let certificate = TestCertificate::new();
    let directory = TlsDirectory::with(&certificate);
    let server = start(&database, &directory, &certificate).await;
    let token = NewToken::random(TokenKind::Enrollment).unwrap();
    let new = NewEnrollment {
        name: "tls".to_owned(),
        token_hash: token.hash,
        max_uses: 1,
        expires_at: now() + 60_000,
    };
    database.store().insert_enrollment(&new, by_test(Action::EnrollmentCreated)).await.unwrap();
    let state = tempfile::tempdir().unwrap();
    let port = server.address.rsplit_once(':').unwrap().1;
    let trusting = directory.path().join("agent.yaml");
    let ca_file = directory.certificate_file();
    std::fs::write(&trusting, format!("tls:\n  ca_file: {}\n", ca_file.display())).unwrap();
    let agent = |command: &str| {
        let mut agent = Command::new(agent_program());
        agent
            .args([command, "--server", &format!("https://localhost:{port}"), "--state-dir"])
            .arg(state.path())
            .env("PIKA_ENROLLMENT_TOKEN", token.secret.expose_secret())
            .env("PIKA_AGENT_INTERVAL_MS", "1000")
            .stdout(Stdio::null())
            .kill_on_drop(true);
        agent
    };
    assert!(!agent("enroll").status().await.unwrap().success(), "nobody vouches for the certificate");
    assert!(agent("enroll").arg("--config").arg(&trusting).status().await.unwrap().success());
    let _running = agent("run").arg("--config").arg(&trusting).spawn().unwrap();
    eventually("samples are stored", || async {
        (0 < database.count("SELECT count(*) FROM cpu_metrics").await).then_some(())
    })
    .await;
    server.stop().await.unwrap();
}

/// Creates an enrollment token over TLS.
async fn enrollment_token(server: &TestServer, trusted: &TestCertificate) -> String {
    let login = json!({"username": "admin", "password": ADMIN_PASSWORD}).to_string();
    let session = eventually("the administrator can log in", || async {
        let mut client = TlsClient::connect(&server.address, trusted, &[]).await.unwrap();
        let answer = client.request("POST", "/api/login", &login).await;
        let (_, rest) = answer.split_once("pika_session=")?;
        Some(rest.split(';').next().unwrap().to_owned())
    })
    .await;
    let body = json!({"name": "x", "maxUses": 9, "expiresAt": now() + 60_000}).to_string();
    let mut client = TlsClient::connect(&server.address, trusted, &[]).await.unwrap();
    let answer = client.request_as(&session, "POST", "/api/enrollments", &body).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    body["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_agent_that_was_given_the_servers_key_trusts_that_key_and_no_other() {
    let database = TestDatabase::on_server().await;
    let certificate = TestCertificate::new();
    let directory = TlsDirectory::with(&certificate);
    let mut config = config(&database.url);
    directory.configure(&mut config);
    config.server.tls.pin_key = true;
    let server = TestServer::start_unready(config).await;
    let token = enrollment_token(&server, &certificate).await;
    let (bare, pin) = token.split_once('.').expect("the token carries the pin");
    let port = server.address.rsplit_once(':').unwrap().1;
    let state = tempfile::tempdir().unwrap();
    let agent = |command: &str, token: &str| {
        let mut agent = Command::new(agent_program());
        agent
            .args([command, "--server", &format!("https://127.0.0.1:{port}"), "--state-dir"])
            .arg(state.path())
            .env("PIKA_ENROLLMENT_TOKEN", token)
            .env("PIKA_AGENT_INTERVAL_MS", "1000")
            .stdout(Stdio::null())
            .kill_on_drop(true);
        agent
    };
    // Without the pin, with another key's pin, and with half of it.
    let wrong = format!("{bare}.{}", "A".repeat(43));
    for refused in [bare, wrong.as_str(), &token[..token.len() - 5]] {
        assert!(!agent("enroll", refused).status().await.unwrap().success(), "{refused}");
        assert_eq!(database.count("SELECT count(*) FROM agents").await, 0, "{refused}");
    }
    assert!(agent("enroll", &token).status().await.unwrap().success());
    let identity = std::fs::read_to_string(state.path().join("identity.json")).unwrap();
    assert!(identity.contains(pin), "{identity}");

    // Renewed with the same key it is the same server; with another key it is not.
    let renewed = certificate.renewed();
    directory.put(&renewed);
    eventually("the renewed certificate is in use", || async {
        TlsClient::connect(&server.address, &renewed, &[]).await.is_ok().then_some(())
    })
    .await;
    assert!(agent("rotate-secret", "").status().await.unwrap().success());
    let stranger = TestCertificate::new();
    directory.put(&stranger);
    eventually("another key is in use", || async {
        TlsClient::connect(&server.address, &stranger, &[]).await.is_ok().then_some(())
    })
    .await;
    assert!(!agent("rotate-secret", "").status().await.unwrap().success());
    server.stop().await.unwrap();
}
