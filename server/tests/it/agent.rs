//! The real agent against the real server: what it reports can be read back.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::support::client::now;
use crate::support::process::{AgentProcess, agent_program, enroll_agent};
use crate::support::{AgentClient, TestDatabase, TestServer, eventually, register_message};

async fn samples_after(server: &TestServer, id: &str, after: i64) -> Value {
    eventually("new samples of all families", || async {
        let latest = server.get(&format!("/api/agents/{id}/metrics/latest")).await.body;
        let is_new =
            |family: &str| latest[family]["timestamp"].as_i64().is_some_and(|timestamp| after < timestamp);
        (is_new("cpu") && is_new("memory") && is_new("load")).then_some(latest)
    })
    .await
}

#[tokio::test]
async fn the_agent_reports_this_machine() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let state = tempfile::tempdir().unwrap();
    let id = enroll_agent(&server, state.path()).await;
    let agent = AgentProcess::start(&server.address, state.path());
    let latest = samples_after(&server, &id, 0).await;

    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total_kib: i64 = meminfo.lines().next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    let reported = latest["memory"]["totalBytes"].as_i64().unwrap();
    assert!(0 < reported && reported <= total_kib * 1024, "{reported} of {total_kib} KiB");
    assert!(1 <= latest["cpu"]["coreCount"].as_i64().unwrap());
    assert!(!latest["disks"].as_array().unwrap().is_empty(), "{latest}");
    let known = server.get(&format!("/api/agents/{id}")).await.body;
    assert_eq!((&known["status"], &known["os"]), (&Value::from(1), &Value::from("linux")));

    // Killed without warning, the agent continues where it was.
    agent.kill().await;
    let killed_at = latest["cpu"]["timestamp"].as_i64().unwrap();
    let _agent = AgentProcess::start(&server.address, state.path());
    samples_after(&server, &id, killed_at).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_agent_comes_back_to_a_restarted_server() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let address = server.address.clone();
    let state = tempfile::tempdir().unwrap();
    let id = enroll_agent(&server, state.path()).await;
    let _agent = AgentProcess::start(&server.address, state.path());
    let latest = samples_after(&server, &id, 0).await;
    server.stop().await.unwrap();
    let mut config = crate::support::server::config(&database.url);
    config.server.addr = address.parse().unwrap();
    let server = TestServer::start_with(config).await;
    samples_after(&server, &id, latest["cpu"]["timestamp"].as_i64().unwrap()).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_running_agent_outlives_the_rotation_of_its_secret_and_a_deleted_one_stays_away() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let state = tempfile::tempdir().unwrap();
    let id = enroll_agent(&server, state.path()).await;
    let secret = |file: &Path| {
        let identity: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        identity["secret"].as_str().unwrap().to_owned()
    };
    let file = state.path().join("identity.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let old = secret(&file);
    let _agent = AgentProcess::start(&server.address, state.path());
    samples_after(&server, &id, 0).await;
    let rotated = Command::new(agent_program())
        .args(["rotate-secret", "--state-dir"])
        .arg(state.path())
        .stdout(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(rotated.success());
    assert_ne!(secret(&file), old);
    samples_after(&server, &id, now()).await;
    let mut stranger = AgentClient::connect(&server.address, Some(&old)).await;
    stranger.send(&register_message("web-1", None)).await;
    assert_eq!(stranger.receive_type("register_error").await["data"]["code"], "unauthorized");

    let refusals = || server.instruments.refused(pika_protocol::ErrorCode::Unauthorized);
    let before = refusals();
    let token = Some(server.admin_token.as_str());
    let path = format!("/api/agents/{id}");
    let deleted = server.request(reqwest::Method::DELETE, &path, token, None).await;
    assert_eq!(deleted.status, 204);
    // Once because it was deleted, once because it comes back.
    eventually("the agent has asked again and was refused", || async {
        (before + 2 <= refusals()).then_some(())
    })
    .await;
    assert_eq!(server.get("/api/agents").await.body["total"], 0);
    server.stop().await.unwrap();
}
