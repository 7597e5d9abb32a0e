//! When agents were online: every change is recorded at the right time, whoever makes it.

use pika_server::config::Config;
use pika_server::domain::id::AgentKey;
use pika_server::domain::presence::spans as spans_of;
use pika_server::domain::tier::DAY_MS;
use serde_json::{Value, json};

use crate::support::client::now;
use crate::support::server::config;
use crate::support::{TestDatabase, TestServer, eventually, on_both_editions};

on_both_editions!(
    going_online_and_offline_is_recorded,
    an_agent_whose_server_died_is_offline_from_its_last_sign_of_life,
    time_without_a_server_is_unknown,
    the_state_at_the_start_outlives_deleted_changes,
);

/// A configuration in which disconnected agents are soon offline.
fn with_short_grace(database: &TestDatabase) -> Config {
    let mut config = config(&database.url);
    config.ingest.reconnect_grace_ms = 100;
    config
}

/// A configuration in which silent agents are soon offline, too.
fn with_short_idle_timeout(database: &TestDatabase) -> Config {
    let mut config = with_short_grace(database);
    config.ingest.idle_timeout_ms = 1_000;
    config
}

async fn has_status(server: &TestServer, id: &str, status: i64) {
    eventually("the agent has the status", || async { (server.status(id).await == status).then_some(()) })
        .await;
}

/// Returns the spans of an agent in the last hour without the leading unknown one, and the uptime percentage.
async fn spans(server: &TestServer, id: &str) -> (Vec<(i64, i64, String)>, Value) {
    let start = now() - 3_600_000;
    let answer = server.get(&format!("/api/agents/{id}/presence?start={start}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let items = answer.body["items"].as_array().unwrap();
    let time = |item: &Value, field: &str| item[field].as_i64().unwrap();
    let spans: Vec<_> = items
        .iter()
        .map(|item| (time(item, "from"), time(item, "to"), item["status"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!((spans[0].0, spans[0].2.as_str()), (start, "unknown"), "{spans:?}");
    assert!(spans.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[0].2 != pair[1].2), "{spans:?}");
    (spans[1..].to_vec(), answer.body["uptimePercent"].clone())
}

fn statuses(spans: &[(i64, i64, String)]) -> Vec<&str> {
    spans.iter().map(|(_, _, status)| status.as_str()).collect()
}

async fn going_online_and_offline_is_recorded(database: TestDatabase) {
    let first = TestServer::start_with(with_short_grace(&database)).await;
    let second = TestServer::start_with(with_short_grace(&database)).await;
    let before = now();
    let (agent, id, secret) = first.enroll("web-1").await;
    let (online, uptime) = spans(&first, &id).await;
    assert_eq!((statuses(&online), uptime), (vec!["online"], json!(100.0)));
    assert!((before..=now()).contains(&online[0].0), "{online:?}");

    // Moving to another server, or taking over, does not interrupt presence.
    let moved = second.reconnect("web-1", &secret).await;
    drop(agent);
    let again = second.reconnect("web-1", &secret).await;
    drop(moved);
    assert_eq!(statuses(&spans(&second, &id).await.0), ["online"]);

    let gone_at = now();
    again.close().await;
    has_status(&second, &id, 0).await;
    let back_at = now();
    let _back = first.reconnect("web-1", &secret).await;
    let (found, uptime) = spans(&second, &id).await;
    assert_eq!(statuses(&found), ["online", "offline", "online"]);
    assert!(found[1].0 <= gone_at + 100 && back_at <= found[1].1, "{found:?}, gone at {gone_at}");
    let length = |span: &(i64, i64, String)| (span.1 - span.0) as f64;
    let total: f64 = found.iter().map(length).sum();
    let expected = 100.0 * (1.0 - length(&found[1]) / total);
    assert!((uptime.as_f64().unwrap() - expected).abs() < 0.01, "{uptime}, expected {expected}");

    assert_eq!(first.delete(&format!("/api/agents/{id}/secret")).await.status, 204);
    assert_eq!(statuses(&spans(&second, &id).await.0), ["online", "offline", "online", "offline"]);
    let reasons = "SELECT string_agg(reason::text, '' ORDER BY at)::int8 FROM agent_presence";
    assert_eq!(database.count(reasons).await, 1_315);
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

async fn an_agent_whose_server_died_is_offline_from_its_last_sign_of_life(database: TestDatabase) {
    let dead = TestServer::start(&database.url).await;
    let (_agent, id, _) = dead.enroll("web-1").await;
    // As good as dead: a stop marks nobody offline.
    dead.stop().await.unwrap();
    let client = database.connect().await;
    let last_sign = now() - 120_000;
    let past = format!(
        "UPDATE agent_presence SET at = {last_sign} - 60000; UPDATE agents SET last_seen_at = {last_sign}"
    );
    client.batch_execute(&past).await.unwrap();
    let server = TestServer::start_with(with_short_idle_timeout(&database)).await;
    has_status(&server, &id, 0).await;
    let (found, _) = spans(&server, &id).await;
    assert_eq!(statuses(&found), ["online", "offline"]);
    assert_eq!((found[0].0, found[0].1), (last_sign - 60_000, last_sign));
    server.stop().await.unwrap();
}

async fn time_without_a_server_is_unknown(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (agent, id, secret) = server.enroll("web-1").await;
    drop(agent);
    server.stop().await.unwrap();
    let last_sign = now() - 600_000;
    let past = format!(
        "UPDATE agent_presence SET at = {last_sign} - 600000; UPDATE agents SET last_seen_at = {last_sign}"
    );
    database.connect().await.batch_execute(&past).await.unwrap();
    let server = TestServer::start(&database.url).await;
    let back_at = now();
    let _agent = server.reconnect("web-1", &secret).await;
    let (found, uptime) = spans(&server, &id).await;
    assert_eq!((statuses(&found), uptime), (vec!["online", "unknown", "online"], json!(100.0)));
    assert_eq!(found[1].0, last_sign);
    assert!(back_at <= found[1].1, "{found:?}");
    server.stop().await.unwrap();
}

async fn the_state_at_the_start_outlives_deleted_changes(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (_agent, id, _) = server.enroll("web-1").await;
    for (query, status) in [("start=5&end=5", 422), ("start=-1", 422), ("start=x", 400)] {
        assert_eq!(server.get(&format!("/api/agents/{id}/presence?{query}")).await.status, status, "{query}");
    }
    // The server does this by itself, too.
    server.stop().await.unwrap();
    let (store, client, now) = (database.store(), database.connect().await, now());
    let agent = AgentKey(i32::try_from(database.count("SELECT key::int8 FROM agents").await).unwrap());
    let found = async |start, end| spans_of(&store.presence(agent, start, end).await.unwrap(), start, end);

    // A change per day for 450 days.
    client
        .batch_execute(&format!(
            "INSERT INTO agent_presence SELECT key, {now} + 1 - day * BIGINT '{DAY_MS}', day % 2 = 0, 1 \
             FROM agents, generate_series(1, 450) AS day"
        ))
        .await
        .unwrap();
    assert_eq!(store.delete_old_presence(now).await.unwrap(), 49);
    let kept = found(now - 400 * DAY_MS, now).await;
    assert_eq!((kept.len(), kept[0].status(), kept[1].status()), (402, "offline", "online"));
    let whole_day = found(now - 3 * DAY_MS + 1, now - 2 * DAY_MS).await;
    assert_eq!((whole_day.len(), whole_day[0].status()), (1, "offline"));

    // More than are kept, one per second.
    client
        .batch_execute(&format!(
            "INSERT INTO agent_presence SELECT key, {now} - BIGINT '1000' * second, second % 2 = 0, 1 \
             FROM agents, generate_series(1, 20000) AS second"
        ))
        .await
        .unwrap();
    assert_eq!(store.delete_old_presence(now).await.unwrap(), 402);
    assert_eq!(database.count("SELECT count(*) FROM agent_presence").await, 20_000);
}
