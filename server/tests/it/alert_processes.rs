//! The whole path of an alert with the real programs: an agent is killed and a receiver is notified; it restarts, and
//! the receiver is notified again. Only public settings speed it up.

use serde_json::{Value, json};

use crate::alert_channels::{KEY, create, webhook};
use crate::support::process::{AgentProcess, LoggedServer, enroll_agent};
use crate::support::server::ADMIN_PASSWORD;
use crate::support::{Receiver, TestDatabase, TestServer, eventually};

const QUICK: [(&str, &str); 7] = [
    ("PIKA_ADMIN_PASSWORD", ADMIN_PASSWORD),
    ("PIKA_AUTH_SCRYPT_LOG_N", "4"),
    ("PIKA_ALERTING_SECRET_KEYS", KEY),
    ("PIKA_ALERTING_ALLOWED_NETWORKS", "127.0.0.1/32"),
    ("PIKA_ALERTING_EVALUATION_INTERVAL_MS", "1000"),
    ("PIKA_INGEST_IDLE_TIMEOUT_MS", "5000"),
    ("PIKA_INGEST_RECONNECT_GRACE_MS", "0"),
];

/// Makes the built-in rule about offline agents as fast as a rule can be.
async fn hurry_rule(server: &TestServer) {
    let rules = server.get("/api/alert-rules").await.body;
    let rules = rules["items"].as_array().unwrap();
    let mut rule = rules.iter().find(|rule| rule["builtin"] == "agent-offline").unwrap().clone();
    let id = rule["id"].as_str().unwrap().to_owned();
    let fields = rule.as_object_mut().unwrap();
    fields.retain(|name, _| {
        !["id", "builtin", "isUnchanged", "updatedAt", "updatedBy"].contains(&name.as_str())
    });
    fields.insert("forMs".to_owned(), json!(60_000));
    fields.insert("recoverForMs".to_owned(), json!(0));
    let changed = server.put(&format!("/api/alert-rules/{id}"), rule).await;
    assert_eq!(changed.status, 200, "{changed:?}");
}

async fn deliveries(server: &TestServer) -> Vec<Value> {
    server.get("/api/alert-deliveries").await.body["items"].as_array().unwrap().clone()
}

/// Waits until the alert about the offline agent is in this state.
async fn alert(server: &TestServer, id: &str, state: &str) -> Value {
    eventually(&format!("the alert is {state}"), || async {
        let found = server.get(&format!("/api/alerts?agentId={id}&state={state}")).await.body;
        found["items"].as_array()?.iter().find(|alert| alert["ruleName"] == "Agent offline").cloned()
    })
    .await
}

#[tokio::test]
async fn a_killed_agent_is_reported_once_and_so_is_its_return() {
    let process = LoggedServer::start(TestDatabase::on_server().await, &QUICK).await;
    let server = process.client().await;
    let receiver = Receiver::start().await;
    let mut channel = webhook(&receiver.url("/hook"));
    channel["groupWaitMs"] = json!(0);
    channel["groupIntervalMs"] = json!(0);
    create(&server, channel).await;
    hurry_rule(&server).await;

    let state = tempfile::tempdir().unwrap();
    let id = enroll_agent(&server, state.path()).await;
    let agent = AgentProcess::start(&process.address, state.path());
    eventually("the agent reports", || async {
        let latest = server.get(&format!("/api/agents/{id}/metrics/latest")).await.body;
        latest["cpu"]["timestamp"].is_i64().then_some(())
    })
    .await;
    let name = server.get(&format!("/api/agents/{id}")).await.body["name"].as_str().unwrap().to_owned();
    agent.kill().await;

    // Each wait has a limit shorter than the whole path.
    let held_ms = || async {
        let pending = server.get("/api/alerts/pending").await.body;
        let is_offline = |item: &&Value| item["ruleName"] == "Agent offline";
        pending["items"].as_array()?.iter().find(is_offline)?["heldMs"].as_i64()
    };
    eventually("that it is away is noticed", || async { held_ms().await.map(drop) }).await;
    assert_eq!(receiver.received().len(), 0, "nobody is told at once");
    let firing = &receiver.requests(1).await[0].json();
    assert_eq!(firing["status"], "firing", "{firing}");
    assert_eq!(
        (&firing["alerts"][0]["agent"]["name"], &firing["alerts"][0]["agent"]["id"]),
        (&json!(name), &json!(id))
    );
    let shown = alert(&server, &id, "firing").await;
    assert_eq!(shown["id"], firing["alerts"][0]["id"]);
    let held = shown["firedAt"].as_i64().unwrap() - shown["startedAt"].as_i64().unwrap();
    assert!((60_000..90_000).contains(&held), "{shown}");

    let _agent = AgentProcess::start(&process.address, state.path());
    let resolved = &receiver.requests(2).await[1].json();
    assert_eq!(
        (&resolved["status"], &resolved["alerts"][0]["id"]),
        (&json!("resolved"), &shown["id"]),
        "{resolved}"
    );
    assert_eq!(alert(&server, &id, "resolved").await["endReason"], "recovered");

    let told = eventually("both are written down as sent", || async {
        Some(deliveries(&server).await).filter(|all| all.iter().all(|delivery| delivery["status"] == "sent"))
    })
    .await;
    assert_eq!(told.len(), 2, "{told:?}");
    for delivery in &told {
        assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1, "{delivery}");
    }
    let requests = receiver.received();
    assert_eq!(requests.len(), 2, "each is told once");
    assert_ne!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    let log = process.end().await;
    assert!(!log.contains(" ERROR "), "{log}");
}
