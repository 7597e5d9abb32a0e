//! Small charts of the whole fleet: on one grid, correct in every tier, and read once for all viewers.

use pika_server::domain::tier::{HOUR_MS, MINUTE_MS};
use serde_json::{Value, json};

use crate::support::client::{now, sample};
use crate::support::{TestDatabase, TestServer, on_both_editions};

on_both_editions!(
    a_line_has_a_value_for_every_bucket,
    disks_and_interfaces_become_one_line,
    an_answer_is_reused_for_half_a_minute,
    long_ranges_come_from_rollups
);

/// A sample with this CPU usage, twice as much on the fuller of two disks, and equal traffic on two interfaces.
fn numbered(timestamp: i64, number: i64) -> Value {
    let mut sample = sample(timestamp);
    sample["cpu"]["usagePercent"] = json!(number);
    sample["disks"][0]["usagePercent"] = json!(number);
    sample["disks"][1]["usagePercent"] = json!(2 * number);
    let mut other = sample["networks"][0].clone();
    other["interface"] = json!("eth1");
    sample["networks"].as_array_mut().unwrap().push(other);
    sample
}

async fn lines(server: &TestServer, query: &str) -> Value {
    let answer = server.get(&format!("/api/agents/metrics/sparklines?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

fn line<'a>(lines: &'a Value, agent: &str) -> &'a Value {
    let items = lines["items"].as_array().unwrap();
    items.iter().find(|item| item["agentId"] == agent).unwrap_or_else(|| panic!("{lines}"))
}

/// Rolls up samples that were stored late, too.
async fn roll_up(database: &TestDatabase) {
    crate::rollups::roll_up(&database.store(), &database.connect().await).await;
}

/// Returns the end of a minute in the past.
fn minute() -> i64 {
    now() / MINUTE_MS * MINUTE_MS
}

async fn a_line_has_a_value_for_every_bucket(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut one, one_id, _) = server.enroll("web-1").await;
    let (mut other, other_id, _) = server.enroll("web-2").await;
    let (_silent, silent_id, _) = server.enroll("web-3").await;
    let end = minute();
    let start = end - 5 * MINUTE_MS;
    one.store(1, json!([numbered(start, 10), numbered(start + 1_000, 30), numbered(end - 1, 50)])).await;
    other
        .store(1, json!([numbered(start + 2 * MINUTE_MS, 70), numbered(start - 1, 99), numbered(end, 99)]))
        .await;
    roll_up(&database).await;

    let query = format!("metric=cpuUsagePercent&start={start}&end={end}&points=5");
    let found = lines(&server, &query).await;
    let grid = ["metric", "start", "intervalMs", "tier"].map(|field| found[field].clone());
    assert_eq!(grid, [json!("cpuUsagePercent"), json!(start), json!(MINUTE_MS), json!("1m")]);
    assert_eq!(found["items"].as_array().unwrap().len(), 2, "{found}");
    let of_one = line(&found, &one_id);
    assert_eq!(of_one["avg"], json!([20.0, null, null, null, 50.0]));
    assert_eq!(of_one["max"], json!([30.0, null, null, null, 50.0]));
    assert_eq!(line(&found, &other_id)["avg"], json!([null, null, 70.0, null, null]));

    let some = lines(&server, &format!("{query}&agentId={other_id}&agentId={silent_id}")).await;
    assert_eq!(some["items"].as_array().unwrap().len(), 1);
    assert_eq!(line(&some, &other_id), line(&found, &other_id));

    assert_eq!(server.delete(&format!("/api/agents/{one_id}")).await.status, 204);
    let without = lines(&server, &format!("{query}0")).await;
    assert_eq!(without["items"].as_array().unwrap().len(), 1, "{without}");
    server.stop().await.unwrap();
}

async fn disks_and_interfaces_become_one_line(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let end = minute();
    let start = end - MINUTE_MS;
    agent.store(1, json!([numbered(start, 10), numbered(start + 1_000, 30)])).await;
    roll_up(&database).await;
    // 500 bytes in five seconds, over each of two interfaces.
    for (metric, avg, max) in [
        ("cpuUsagePercent", 20.0, 30.0),
        ("memoryUsagePercent", 40.0, 40.0),
        ("memoryUsedBytes", 400.0, 400.0),
        ("diskUsagePercent", 40.0, 60.0),
        ("receivedBytesPerSecond", 200.0, 200.0),
        ("sentBytesPerSecond", 400.0, 400.0),
        ("load1", 0.5, 0.5),
    ] {
        let found = lines(&server, &format!("metric={metric}&start={start}&end={end}&points=1")).await;
        let line = line(&found, &id);
        assert_eq!((&line["avg"], &line["max"]), (&json!([avg]), &json!([max])), "{metric}");
    }
    server.stop().await.unwrap();
}

async fn an_answer_is_reused_for_half_a_minute(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let end = minute();
    let start = end - 2 * MINUTE_MS;
    agent.store(1, json!([numbered(start, 10)])).await;
    let query = format!("metric=cpuUsagePercent&start={start}&end={end}&points=2");
    let first = lines(&server, &query).await;
    agent.store(2, json!([numbered(start + MINUTE_MS, 20)])).await;
    roll_up(&database).await;
    assert_eq!(lines(&server, &query).await, first);
    let other = lines(&server, &format!("{query}&agentId={id}")).await;
    assert_eq!(line(&other, &id)["avg"], json!([10.0, 20.0]), "another question has an answer of its own");
    server.stop().await.unwrap();
}

async fn long_ranges_come_from_rollups(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let end = now() / HOUR_MS * HOUR_MS;
    let start = end - 20 * HOUR_MS;
    // One sample per minute for ninety minutes.
    let samples: Vec<Value> = (0..90).map(|i| numbered(start + i * MINUTE_MS, 10 + i / 60 * 20)).collect();
    agent.store(1, json!(samples)).await;
    // A running server postpones late samples, and would not share them.
    server.stop().await.unwrap();
    roll_up(&database).await;
    let server = TestServer::start(&database.url).await;
    let found = lines(&server, &format!("metric=cpuUsagePercent&start={start}&end={end}&points=20")).await;
    assert_eq!((&found["tier"], &found["intervalMs"]), (&json!("1h"), &json!(HOUR_MS)));
    let avg = line(&found, &id)["avg"].as_array().unwrap();
    assert_eq!((avg.len(), &avg[0], &avg[1], &avg[2]), (20, &json!(10.0), &json!(30.0), &Value::Null));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn invalid_queries_are_refused() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let id = "00000000-0000-4000-8000-000000000000";
    let many = format!("&agentId={id}").repeat(201);
    for (query, status) in [
        ("metric=load1".to_owned(), 200),
        ("metric=everything".to_owned(), 400),
        (String::new(), 400),
        ("metric=load1&points=201".to_owned(), 400),
        ("metric=load1&agentId=x".to_owned(), 400),
        (format!("metric=load1{many}"), 400),
        ("metric=load1&start=5&end=5".to_owned(), 422),
    ] {
        let answer = server.get(&format!("/api/agents/metrics/sparklines?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
    }
    server.stop().await.unwrap();
}
