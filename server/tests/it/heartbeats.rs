//! Signs of life to the outside: as long as rules are evaluated and messages sent, and to nobody who must not be reached.

use serde_json::{Value, json};

use crate::alert_channels::KEY;
use crate::support::server::config;
use crate::support::{LogCapture, Receiver, TestDatabase, TestServer, on_both_editions};

on_both_editions!(a_message_that_nobody_sends_is_a_reason_to_be_silent);

async fn start(database: &TestDatabase) -> TestServer {
    let mut config = config(&database.url);
    config.alerting.enabled = true;
    config.alerting.evaluation_interval_ms = 1_000;
    config.alerting.secret_keys = vec![KEY.into()];
    config.alerting.allowed_networks = vec!["127.0.0.1/32".parse().unwrap()];
    TestServer::start_with(config).await
}

async fn settings_with(server: &TestServer, heartbeats: Value) -> Value {
    let mut settings = server.get("/api/settings/alerting").await.body;
    settings["heartbeats"] = heartbeats;
    settings
}

#[tokio::test]
async fn heartbeats_are_sent_after_complete_evaluations_and_only_then() {
    let log = LogCapture::start();
    let database = TestDatabase::on_server().await;
    let client = database.connect().await;
    let server = start(&database).await;
    let receiver = Receiver::start().await;
    let first = json!([{"url": receiver.url("/canary-1"), "periodMs": 30_000}]);
    let saved = server.put("/api/settings/alerting", settings_with(&server, first).await).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    let heartbeat = &saved.body["heartbeats"][0];
    assert_eq!(
        (&heartbeat["host"], &heartbeat["method"], &heartbeat["periodMs"]),
        (&json!("127.0.0.1"), &json!("get"), &json!(30_000))
    );
    assert!(receiver.requests(1).await[0].head.starts_with("GET /canary-1 HTTP/1.1"));
    // It is kept where nothing is said of it, and where its address is not given again.
    let mut without = settings_with(&server, json!(null)).await;
    assert_eq!(server.put("/api/settings/alerting", without.clone()).await.status, 200);
    let answered = server.get("/api/settings/alerting").await.body;
    let two = json!([answered["heartbeats"][0], {"url": receiver.url("/canary-2"), "method": "post"}]);
    without["heartbeats"] = two;
    without["version"] = answered["version"].clone();
    let saved = server.put("/api/settings/alerting", without).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    assert_eq!(saved.body["heartbeats"][0]["id"], answered["heartbeats"][0]["id"]);
    let received = receiver.requests(2).await;
    assert!(received[1].head.starts_with("POST /canary-2 HTTP/1.1"), "the first is not due: {received:?}");

    server.stop().await.unwrap();
    // No secret is kept in the clear, or said.
    let kept = "SELECT heartbeats::text || encode(secrets, 'escape') || (SELECT string_agg(details::text, '') FROM audit_log) \
         FROM alert_settings";
    let kept: String = client.query_one(kept, &[]).await.unwrap().get(0);
    for text in [kept, log.text(), saved.body.to_string()] {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn heartbeats_lead_where_channels_may() {
    let database = TestDatabase::on_server().await;
    let server = start(&database).await;
    for (url, word) in [
        ("http://127.0.0.2:8080/x", "allowed_networks"),
        ("https://169.254.169.254/latest", "allowed_networks"),
        ("ftp://example.org/", "https"),
        ("nonsense", "URL"),
    ] {
        let refused =
            server.put("/api/settings/alerting", settings_with(&server, json!([{"url": url}])).await).await;
        assert_eq!(refused.status, 422, "{url}: {refused:?}");
        let message = refused.body["message"].as_str().unwrap();
        assert!(message.contains("heartbeats[0].url") && message.contains(word), "{url}: {message}");
    }
    for (heartbeats, path) in [
        (json!([{"id": "00000000-0000-4000-8000-000000000000"}]), "heartbeats[0].url"),
        (json!([{"url": "https://example.org/", "periodMs": 1}]), "heartbeats[0].periodMs"),
        (json!([{}, {}, {}, {}, {}, {}]), "heartbeats"),
    ] {
        let refused = server.put("/api/settings/alerting", settings_with(&server, heartbeats).await).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert!(refused.body["message"].as_str().unwrap().contains(path), "{refused:?}");
    }
    server.stop().await.unwrap();
}

/// One that is not taken is sent again after the next evaluation, and said in the log without its address.
#[tokio::test]
async fn a_heartbeat_that_is_not_taken_is_sent_again() {
    let database = TestDatabase::on_server().await;
    let server = start(&database).await;
    let receiver = Receiver::start().await;
    receiver.reply("500 Internal Server Error", "");
    let heartbeats = json!([{"url": receiver.url("/x"), "method": "head"}]);
    let saved = server.put("/api/settings/alerting", settings_with(&server, heartbeats).await).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    receiver.requests(2).await;
    server.stop().await.unwrap();
}

async fn a_message_that_nobody_sends_is_a_reason_to_be_silent(database: TestDatabase) {
    let (store, client) = (database.store(), database.connect().await);
    let insert = "INSERT INTO alert_channels (id, name, kind, enabled, is_default, tells_outages, min_severity, \
             tells_resolved, settings, group_wait_ms, group_interval_ms, min_interval_ms, per_hour_max, created_at, \
             updated_at) \
         VALUES (gen_random_uuid(), 'ops', 'webhook', true, true, false, 1, true, '{}', 0, 0, 0, 60, 0, 0); \
         INSERT INTO alert_outbox (channel_id, kind, items, key, created_at, next_attempt_at, expires_at) \
         SELECT id, 'alerts', '[]', gen_random_uuid(), 0, due_at, 0 \
         FROM alert_channels CROSS JOIN unnest(ARRAY[1000, 10]) WITH ORDINALITY AS due (due_at, n) ORDER BY n";
    client.batch_execute(insert).await.unwrap();
    // The second waits behind the first, which is tried again later.
    assert!(!store.has_untried_message(1_000).await.unwrap());
    assert!(store.has_untried_message(1_001).await.unwrap());
    for reason in ["leased_until = 2000", "next_at = 2000", "enabled = false"] {
        client.batch_execute(&format!("UPDATE alert_channels SET {reason}")).await.unwrap();
        assert!(!store.has_untried_message(1_001).await.unwrap(), "{reason}");
        let undo = "UPDATE alert_channels SET leased_until = NULL, next_at = NULL";
        client.batch_execute(undo).await.unwrap();
    }
}
