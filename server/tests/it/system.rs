//! What the server says about itself.

use serde_json::{Value, json};

use crate::support::client::{now, sample};
use crate::support::server::config;
use crate::support::{TestDatabase, TestServer, eventually};

#[tokio::test]
async fn the_server_reports_its_address_and_time() {
    let database = TestDatabase::on_server().await;
    let before = now();
    let server = TestServer::start(&database.url).await;
    let asked_at = now();
    let info = server.get("/api/system/info").await.body;
    assert_eq!((&info["publicUrl"], &info["grafanaUrl"]), (&Value::Null, &Value::Null));
    let (started_at, server_time) =
        (info["startedAt"].as_i64().unwrap(), info["serverTime"].as_i64().unwrap());
    assert!(before <= started_at && started_at <= asked_at, "{info}");
    assert!(asked_at <= server_time && server_time <= now(), "{info}");
    server.stop().await.unwrap();

    let mut config = config(&database.url);
    config.server.public_url = "https://pika.example.org".to_owned();
    config.grafana.url = "https://grafana.example.org".to_owned();
    let server = TestServer::start_with(config).await;
    let info = server.get("/api/system/info").await.body;
    assert_eq!(info["publicUrl"], "https://pika.example.org");
    assert_eq!(info["grafanaUrl"], "https://grafana.example.org");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_figures_of_ingest_tell_what_has_happened() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, _, _) = server.enroll("web-1").await;
    let ts = now();
    agent.store(1, json!([sample(ts)])).await;
    agent.store(2, json!([sample(ts)])).await;
    // Late, but not too late.
    agent.store(5, json!([sample(ts - 12 * 60 * 60 * 1_000)])).await;
    agent.send_text("nonsense").await;
    agent.receive_type("error").await;

    let figures = server.get("/api/system/ingest").await.body;
    for (field, expected) in [
        ("agentsConnected", json!(1)),
        ("watchers", json!(0)),
        ("queueFrames", json!(0)),
        ("pendingRows", json!(0)),
        ("framesUnacknowledged", json!(0)),
        ("framesReceived", json!(4)),
        ("framesMissing", json!(2)),
        ("rowsReceived", json!(18)),
        ("rowsLate", json!(6)),
        ("rowsStored", json!(12)),
        ("rowsDuplicate", json!(6)),
        ("flushErrors", json!(0)),
        ("refusals", json!([{"code": "malformed", "count": 1}])),
    ] {
        assert_eq!(figures[field], expected, "{field}: {figures}");
    }
    let recent = eventually("the rates", || async {
        let recent = server.get("/api/system/ingest").await.body["recent"].clone();
        (0 < recent["flushes"].as_i64().unwrap()).then_some(recent)
    })
    .await;
    let number = |field: &str| recent[field].as_f64().unwrap_or_else(|| panic!("{field}: {recent}"));
    assert!(0.0 < number("rowsPerSecond") && 0.0 < number("framesPerSecond"), "{recent}");
    assert!(0.0 < number("flushP50Ms") && number("flushP50Ms") <= number("flushP99Ms"), "{recent}");
    assert!(0.0 < number("ackP50Ms") && number("ackP50Ms") <= number("ackP99Ms"), "{recent}");
    server.stop().await.unwrap();
}
