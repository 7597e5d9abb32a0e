//! One metric of the whole fleet together, and the agents with the most of it.

use pika_server::domain::tier::{HOUR_MS, MINUTE_MS};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{now, sample};
use crate::support::{TestDatabase, TestServer, on_both_editions};

on_both_editions!(
    the_agents_of_a_bucket_are_summed_and_ranked,
    only_agents_with_the_tag_count,
    long_ranges_come_from_rollups
);

/// A sample with this CPU usage.
fn busy(timestamp: i64, percent: i64) -> Value {
    let mut sample = sample(timestamp);
    sample["cpu"]["usagePercent"] = json!(percent);
    sample
}

async fn get(server: &TestServer, path: &str) -> Value {
    let answer = server.get(&format!("/api/fleet/{path}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// Rolls up samples that were stored late, too.
async fn roll_up(database: &TestDatabase) {
    crate::rollups::roll_up(&database.store(), &database.connect().await).await;
}

/// Returns the end of a minute in the past.
fn minute() -> i64 {
    now() / MINUTE_MS * MINUTE_MS
}

async fn the_agents_of_a_bucket_are_summed_and_ranked(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let end = minute();
    let start = end - 3 * MINUTE_MS;
    let mut ids = Vec::new();
    // In the first minute the agents have 10, 20 … 100 percent, the last one with a peak; in the third only one reports.
    for number in 1..=10 {
        let (mut agent, id, _) = server.enroll(&format!("web-{number}")).await;
        let peak = if number == 1 { 99 } else { 10 * number };
        let low = 20 * number - peak;
        agent.store(1, json!([busy(start, low.max(0)), busy(start + 1_000, peak)])).await;
        if number == 3 {
            agent.store(2, json!([busy(end - 1, 60)])).await;
        }
        ids.push(id);
    }
    roll_up(&database).await;
    let query = format!("metric=cpuUsagePercent&start={start}&end={end}");
    let found = get(&server, &format!("metrics?{query}&points=3")).await;
    assert_eq!((&found["tier"], &found["intervalMs"]), (&json!("1m"), &json!(MINUTE_MS)));
    assert_eq!(found["timestamps"], json!([start, end - MINUTE_MS]));
    assert_eq!(found["agents"], json!([10, 1]));
    // The first agent's average is 49.5, the others' 20, 30 … 100.
    assert_eq!(found["sum"], json!([589.5, 60.0]));
    assert_eq!(found["avg"], json!([58.95, 60.0]));
    assert_eq!(found["p50"], json!([55.0, 60.0]));
    assert_eq!(found["p95"], json!([95.5, 60.0]));
    assert_eq!(found["max"], json!([100.0, 60.0]));

    let order = |ranking: &Value| -> Vec<String> {
        let items = ranking["items"].as_array().unwrap();
        items.iter().map(|item| item["agentId"].as_str().unwrap().to_owned()).collect()
    };
    let by_average = get(&server, &format!("top?{query}&limit=3")).await;
    assert_eq!(order(&by_average), [&ids[9], &ids[8], &ids[7]].map(Clone::clone));
    assert_eq!(
        by_average["items"][0],
        json!({"agentId": ids[9], "name": "web-10", "avg": 100.0, "max": 100.0})
    );
    let by_largest = get(&server, &format!("top?{query}&by=max&limit=2")).await;
    assert_eq!(order(&by_largest), [&ids[9], &ids[0]].map(Clone::clone));
    assert_eq!(
        (&by_largest["items"][1]["avg"], &by_largest["items"][1]["max"]),
        (&json!(49.5), &json!(99.0))
    );
    // Two minutes of three: both count the same.
    let all = get(&server, &format!("top?{query}")).await;
    let third =
        all["items"].as_array().unwrap().iter().find(|item| item["agentId"] == json!(ids[2])).unwrap();
    assert_eq!(third["avg"], 45.0);

    assert_eq!(server.delete(&format!("/api/agents/{}", ids[9])).await.status, 204);
    // Another question than before, whose answer is reused for a while.
    let query = format!("metric=cpuUsagePercent&start={start}&end={}", end + MINUTE_MS);
    let without = get(&server, &format!("metrics?{query}&points=4")).await;
    assert_eq!(without["agents"], json!([9, 1]));
    assert_eq!(order(&get(&server, &format!("top?{query}&limit=1")).await), [ids[8].clone()]);
    server.stop().await.unwrap();
}

async fn only_agents_with_the_tag_count(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let end = minute();
    let start = end - MINUTE_MS;
    let (mut one, one_id, _) = server.enroll("web-1").await;
    let (mut other, ..) = server.enroll("web-2").await;
    one.store(1, json!([busy(start, 20)])).await;
    other.store(1, json!([busy(start, 80)])).await;
    roll_up(&database).await;
    let body = json!({"ids": [one_id], "addTags": ["prod"]});
    let tagged =
        server.request(Method::POST, "/api/agents/bulk", Some(&server.admin_token), Some(body)).await;
    assert_eq!(tagged.status, 200, "{tagged:?}");

    let query = format!("metric=cpuUsagePercent&start={start}&end={end}");
    let found = get(&server, &format!("metrics?{query}&tag=prod")).await;
    assert_eq!((&found["agents"], &found["sum"]), (&json!([1]), &json!([20.0])));
    let ranking = get(&server, &format!("top?{query}&tag=prod")).await;
    assert_eq!(ranking["items"].as_array().unwrap().len(), 1, "{ranking}");
    assert_eq!(ranking["items"][0]["agentId"], json!(one_id));
    assert_eq!(get(&server, &format!("metrics?{query}&tag=nothing")).await["timestamps"], json!([]));
    assert_eq!(get(&server, &format!("metrics?{query}")).await["agents"], json!([2]));
    server.stop().await.unwrap();
}

async fn long_ranges_come_from_rollups(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut one, ..) = server.enroll("web-1").await;
    let (mut other, ..) = server.enroll("web-2").await;
    let end = now() / HOUR_MS * HOUR_MS;
    let start = end - 20 * HOUR_MS;
    let hours =
        |first: i64| (0..90).map(|i| busy(start + i * MINUTE_MS, first + i / 60 * 20)).collect::<Vec<_>>();
    one.store(1, json!(hours(10))).await;
    other.store(1, json!(hours(30))).await;
    // A running server postpones late samples, and would not share them.
    server.stop().await.unwrap();
    roll_up(&database).await;
    let server = TestServer::start(&database.url).await;
    let found =
        get(&server, &format!("metrics?metric=cpuUsagePercent&start={start}&end={end}&points=20")).await;
    assert_eq!((&found["tier"], &found["intervalMs"]), (&json!("1h"), &json!(HOUR_MS)));
    assert_eq!((&found["agents"], &found["avg"]), (&json!([2, 2]), &json!([20.0, 40.0])));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn invalid_queries_are_refused() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let long = "x".repeat(65);
    for (query, status) in [
        ("metrics?metric=load1".to_owned(), 200),
        ("metrics?metric=everything".to_owned(), 400),
        ("metrics?metric=load1&points=601".to_owned(), 400),
        (format!("metrics?metric=load1&tag={long}"), 400),
        ("metrics?metric=load1&tag=%00".to_owned(), 422),
        ("metrics?metric=load1&start=5&end=5".to_owned(), 422),
        ("top?metric=load1".to_owned(), 200),
        ("top?metric=load1&by=min".to_owned(), 400),
        ("top?metric=load1&limit=101".to_owned(), 400),
        ("top?metric=load1&limit=0".to_owned(), 400),
    ] {
        let answer = server.get(&format!("/api/fleet/{query}")).await;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
    }
    server.stop().await.unwrap();
}
