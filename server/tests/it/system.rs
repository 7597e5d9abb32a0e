//! What the server says about itself.

use serde_json::Value;

use crate::support::client::now;
use crate::support::server::config;
use crate::support::{TestDatabase, TestServer};

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
