//! Changing retention at run time, the storage report, and the fleet's latest values.

use pika_server::domain::audit::Action;
use pika_server::domain::tier::DAY_MS;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rollups::run_jobs;
use crate::support::client::{now, sample};
use crate::support::{TestDatabase, TestServer, by_test, eventually, on_both_editions};

on_both_editions!(
    retention_is_read_and_changed,
    a_preview_says_what_is_dropped_and_what_the_rest_takes,
    the_storage_report_adds_up,
    the_fleets_latest_values_survive_a_restart
);

async fn put(server: &TestServer, body: Value) -> crate::support::server::Answer {
    server.request(Method::PUT, "/api/settings/retention", Some(&server.admin_token), Some(body)).await
}

async fn retention_is_read_and_changed(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let defaults = json!({"rawMs": 30 * DAY_MS, "oneMinuteMs": 90 * DAY_MS, "oneHourMs": 400 * DAY_MS, "oneDayMs": null});
    assert_eq!(server.get("/api/settings/retention").await.body, defaults);
    let changed =
        json!({"rawMs": 3 * DAY_MS, "oneMinuteMs": 30 * DAY_MS, "oneHourMs": null, "oneDayMs": null});
    let answer = put(&server, changed.clone()).await;
    assert_eq!((answer.status, &answer.body), (200, &changed));
    assert_eq!(server.get("/api/settings/retention").await.body, changed);

    let too_short = json!({"rawMs": DAY_MS, "oneMinuteMs": 90 * DAY_MS, "oneHourMs": null, "oneDayMs": null});
    let refused = put(&server, too_short).await;
    let message = refused.body["message"].as_str().unwrap();
    assert_eq!(
        (refused.status, message.contains("rawMs"), message.contains("erase rollups")),
        (422, true, true),
        "{message}"
    );
    let forgotten =
        put(&server, json!({"rawMs": 3 * DAY_MS, "oneMinuteMs": 30 * DAY_MS, "oneHourMs": null})).await;
    assert_eq!(forgotten.status, 400, "a line that is left out is not for ever");
    assert_eq!(server.get("/api/settings/retention").await.body, changed);

    database.connect().await.batch_execute("UPDATE users SET role = 'user'").await.unwrap();
    assert_eq!(put(&server, changed).await.status, 403);
    server.stop().await.unwrap();
}

async fn preview(server: &TestServer, body: Value) -> Value {
    let path = "/api/settings/retention/preview";
    let answer = server.request(Method::POST, path, Some(&server.admin_token), Some(body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

async fn a_preview_says_what_is_dropped_and_what_the_rest_takes(database: TestDatabase) {
    let client = database.connect().await;
    let midnight = now() / DAY_MS * DAY_MS;
    // A sample per minute on the tenth day before today, and one of today.
    client
        .batch_execute(&format!(
            "INSERT INTO load_metrics SELECT ts, 1, 1, 1, 1 FROM generate_series({}, {} - 1, 60000) AS ts; \
             INSERT INTO load_metrics VALUES ({}, 1, 1, 1, 1); ANALYZE load_metrics",
            midnight - 10 * DAY_MS,
            midnight - 9 * DAY_MS,
            now()
        ))
        .await
        .unwrap();
    let server = TestServer::start(&database.url).await;
    let keeping =
        |raw_ms: i64| json!({"rawMs": raw_ms, "oneMinuteMs": null, "oneHourMs": null, "oneDayMs": null});
    let asked = preview(&server, keeping(5 * DAY_MS)).await;
    let raw = &asked["tiers"][0];
    assert_eq!(
        (&raw["tier"], &raw["chunksDropped"], &raw["rowsDropped"]),
        (&json!("raw"), &json!(1), &json!(1_440))
    );
    assert_eq!((&raw["droppedBefore"], &raw["keptFrom"]), (&json!(midnight - 9 * DAY_MS), &json!(midnight)));
    let bytes_of_chunk =
        "SELECT total_bytes FROM chunks_detailed_size('load_metrics') ORDER BY total_bytes DESC LIMIT 1";
    assert_eq!(raw["bytesDropped"], database.count(bytes_of_chunk).await);
    assert_eq!(asked["bytesDropped"], raw["bytesDropped"], "what is kept forever drops nothing");
    assert_eq!(asked["refusal"], Value::Null);
    assert_eq!(asked["tiers"][1]["bytesInTheEnd"], Value::Null);
    let longer = &preview(&server, keeping(20 * DAY_MS)).await["tiers"][0];
    assert_eq!((&longer["chunksDropped"], &longer["droppedBefore"]), (&json!(0), &Value::Null));
    assert!(raw["bytesInTheEnd"].as_i64() < longer["bytesInTheEnd"].as_i64(), "{raw} {longer}");

    let refused = preview(&server, keeping(DAY_MS)).await;
    assert_eq!(refused["refusal"]["parameter"], "rawMs");
    assert!(refused["refusal"]["message"].as_str().unwrap().contains("erase rollups"), "{refused}");
    preview(&server, keeping(-1)).await;
    assert_eq!(server.get("/api/settings/retention").await.body["rawMs"], 30 * DAY_MS, "nothing has changed");

    assert_eq!(put(&server, keeping(5 * DAY_MS)).await.status, 200);
    database.store().maintain(now()).await.unwrap();
    assert_eq!(database.count("SELECT count(*) FROM load_metrics").await, 1, "as previewed");
    server.stop().await.unwrap();
}

/// The planner knows nothing of rows that have become columns.
#[tokio::test]
async fn a_preview_counts_rows_that_have_become_columns() {
    let database = TestDatabase::on_community().await;
    let client = database.connect().await;
    let midnight = now() / DAY_MS * DAY_MS;
    let sql = format!(
        "INSERT INTO load_metrics SELECT ts, 1, 1, 1, 1 FROM generate_series({}, {} - 1, 60000) AS ts",
        midnight - 10 * DAY_MS,
        midnight - 9 * DAY_MS,
    );
    client.batch_execute(&sql).await.unwrap();
    assert_eq!(run_jobs(&client, "policy_compression", "load_metrics").await, 1);
    let server = TestServer::start(&database.url).await;
    let body = json!({"rawMs": 5 * DAY_MS, "oneMinuteMs": null, "oneHourMs": null, "oneDayMs": null});
    assert_eq!(preview(&server, body).await["tiers"][0]["rowsDropped"], 1_440);
    server.stop().await.unwrap();
}

/// What has expired by a shorter retention is dropped by the next round of maintenance.
#[tokio::test]
async fn a_shorter_retention_drops_what_has_expired() {
    let database = TestDatabase::on_server().await;
    let store = database.store();
    let client = database.connect().await;
    let old = now() - 10 * DAY_MS;
    client
        .batch_execute(&format!(
            "INSERT INTO load_metrics VALUES ({old}, 1, 1, 1, 1), ({}, 1, 1, 1, 1)",
            now()
        ))
        .await
        .unwrap();
    store.maintain(now()).await.unwrap();
    assert_eq!(database.count("SELECT count(*) FROM load_metrics").await, 2);
    let mut retention = store.retention().await.unwrap();
    retention.raw_ms = Some(5 * DAY_MS);
    store.set_retention(&retention, &by_test(Action::SettingsUpdated)).await.unwrap();
    store.maintain(now()).await.unwrap();
    assert_eq!(database.count("SELECT count(*) FROM load_metrics").await, 1);
}

async fn the_storage_report_adds_up(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    agent.store(1, json!([sample(now())])).await;
    let report = server.get("/api/system/storage").await.body;
    let relations = report["relations"].as_array().unwrap();
    assert_eq!(relations.len(), 14 + 40);
    let sum = |tier: &str| -> i64 {
        relations
            .iter()
            .filter(|relation| relation["tier"] == tier)
            .map(|relation| relation["bytes"].as_i64().unwrap())
            .sum()
    };
    for tier in report["tiers"].as_array().unwrap() {
        assert_eq!(tier["bytes"].as_i64().unwrap(), sum(tier["tier"].as_str().unwrap()), "{tier}");
    }
    let cpu = relations.iter().find(|relation| relation["relation"] == "cpu_metrics").unwrap();
    assert_eq!(cpu["chunks"], 1);
    assert!(0 < cpu["bytes"].as_i64().unwrap() && 0 < cpu["bytesPerDay"].as_i64().unwrap());
    assert!(cpu["bytes"].as_i64().unwrap() <= report["databaseBytes"].as_i64().unwrap());
    assert!(0 < report["bytesPerAgentPerDay"].as_i64().unwrap());
    server.stop().await.unwrap();
}

async fn the_fleets_latest_values_survive_a_restart(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let ts = now();
    agent.store(1, json!([sample(ts - 5_000), sample(ts)])).await;
    server.stop().await.unwrap();
    let server = TestServer::start(&database.url).await;
    let latest = eventually("the latest values", || async {
        let latest = server.get("/api/agents/metrics/latest").await.body;
        (latest["total"] == 1).then(|| latest["items"][0].clone())
    })
    .await;
    assert_eq!((&latest["agentId"], &latest["timestamp"]), (&json!(id), &json!(ts)));
    assert_eq!((&latest["cpuUsagePercent"], &latest["diskUsagePercent"]), (&json!(45.5), &json!(50.0)));
    assert_eq!(latest["receivedBytesPerSecond"], 100.0);
    server.stop().await.unwrap();
}

/// Most data is uncompressed now, but will be compressed later.
#[tokio::test]
async fn the_forecast_accounts_for_compression() {
    let database = TestDatabase::on_community().await;
    let store = database.store();
    let client = database.connect().await;
    let mut retention = store.retention().await.unwrap();
    retention.raw_ms = Some(20 * DAY_MS);
    store.set_retention(&retention, &by_test(Action::SettingsUpdated)).await.unwrap();
    // A sample per minute from ten agents. No chunk is filled twice: rows inserted after compression take extra space.
    let midnight = now() / DAY_MS * DAY_MS;
    let fill = async |start: i64, end: i64| {
        let sql = format!(
            "INSERT INTO load_metrics SELECT ts, agent_key, random(), random(), random() \
             FROM generate_series({start}, {end} - 1, 60000) AS ts, generate_series(1, 10) AS agent_key"
        );
        client.batch_execute(&sql).await.unwrap();
        assert_eq!(run_jobs(&client, "policy_compression", "load_metrics").await, 1);
    };
    let report = async |later_ms: i64| {
        let report = store.storage_report(now() + later_ms).await.unwrap();
        report.relations.into_iter().find(|relation| relation.relation == "load_metrics").unwrap()
    };
    fill(midnight - 4 * DAY_MS, now()).await;
    let young = report(0).await;
    assert!((1..young.n_chunks).contains(&young.n_columnstore_chunks), "{young:?}");
    fill(midnight - 20 * DAY_MS, midnight - 4 * DAY_MS).await;
    let full = report(60_000).await;
    let (forecast, actual) = (young.growth.bytes_forecast, full.bytes);
    assert!((forecast - actual).abs() < actual / 4, "forecast {forecast}, but it became {actual}: {young:?}");
    let forecast = full.growth.bytes_forecast;
    assert!(
        (forecast - actual).abs() < actual / 4,
        "forecast {forecast}, but it is {actual} already: {full:?}"
    );
}
