//! The real agent against the real server: what it reports can be read back.

use serde_json::Value;

use crate::support::process::{AgentProcess, enroll_agent};
use crate::support::{TestDatabase, TestServer, eventually};

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

    // Killed without warning, the agent goes on where it was.
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
