//! A database of an earlier release is opened by this one without losing anything.

use pika_server::domain::family::Table;
use pika_server::domain::tier::{DAY_MS, HOUR_MS};
use pika_server::store::Edition;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::rollups::maintain;
use crate::support::history::{Tiers, assert_kept, exists, read_tiers, refresh};
use crate::support::server::config;
use crate::support::{TestDatabase, TestServer};

/// The migrations of 0.1.0, none of which has been edited since.
const MIGRATIONS: [&str; 8] = [
    include_str!("../../../sql/migrations/0001_accounts.sql"),
    include_str!("../../../sql/migrations/0002_agents.sql"),
    include_str!("../../../sql/migrations/0003_metrics.sql"),
    include_str!("../../../sql/migrations/0004_rollups.sql"),
    include_str!("../../../sql/migrations/0005_agent_latest.sql"),
    include_str!("../../../sql/migrations/0006_gaps.sql"),
    include_str!("../../../sql/migrations/0007_accounts.sql"),
    include_str!("../../../sql/migrations/0008_agents.sql"),
];
const ROWS: &str = include_str!("../fixtures/release-0.1.0/rows.sql");
const APACHE: &str = include_str!("../fixtures/release-0.1.0/apache.sql");
const COMMUNITY: &str = include_str!("../fixtures/release-0.1.0/community.sql");

#[tokio::test]
async fn a_database_of_the_last_release_is_kept_on_server() {
    check(TestDatabase::on_server_unmigrated().await).await;
}

#[tokio::test]
async fn a_database_of_the_last_release_is_kept_on_community() {
    check(TestDatabase::on_community_unmigrated().await).await;
}

/// Loads what a server of 0.1.0 had stored. Returns the time of its newest sample.
pub(crate) async fn load(client: &Client) -> i64 {
    client.batch_execute("CREATE EXTENSION IF NOT EXISTS timescaledb").await.unwrap();
    for sql in MIGRATIONS.into_iter().chain([ROWS]) {
        client.batch_execute(sql).await.unwrap();
    }
    let newest: i64 = client.query_one("SELECT max(ts) FROM cpu_metrics", &[]).await.unwrap().get(0);
    let row = client.query_one("SHOW timescaledb.license", &[]).await.unwrap();
    if row.get::<_, &str>(0) == "apache" {
        client.batch_execute(APACHE).await.unwrap();
        return newest;
    }
    client.batch_execute(COMMUNITY).await.unwrap();
    refresh(client, newest - 2 * DAY_MS, newest).await;
    newest
}

/// Returns the rows of the raw tables.
async fn raw_rows(client: &Client) -> Vec<Value> {
    let mut rows = Vec::new();
    for table in Table::ALL.map(|table| table.name) {
        if !exists(client, table).await {
            continue;
        }
        // Newer columns are null in older rows.
        let sql = format!("SELECT jsonb_strip_nulls(to_jsonb(t))::text FROM {table} AS t ORDER BY 1");
        let found = client.query(&sql, &[]).await.unwrap();
        rows.extend(found.iter().map(|row| serde_json::from_str::<Value>(row.get(0)).unwrap()));
    }
    rows
}

/// Returns the tiers that contain anything.
async fn tiers(client: &Client) -> Tiers {
    read_tiers(client).await.into_iter().filter(|(_, rows)| !rows.is_empty()).collect()
}

async fn check(database: TestDatabase) {
    let client = database.connect().await;
    let newest = load(&client).await;
    let (raw, before) = (raw_rows(&client).await, tiers(&client).await);
    assert!(100 < raw.len() && 10 <= before.len(), "{} rows, {} tiers", raw.len(), before.len());

    let store = database.store();
    let migrated = store.migrate(newest).await.unwrap();
    assert!(!migrated.applied.is_empty());
    assert_eq!(raw_rows(&client).await, raw);
    assert_kept(&before, &tiers(&client).await);
    if migrated.database.edition == Edition::Community {
        let retention =
            "SELECT count(*) FROM timescaledb_information.jobs WHERE proc_name = 'policy_retention'";
        assert_eq!(database.count(retention).await, 0, "the server drops what has expired");
    }
    // What it had marked is rolled up, and some hours later the hourly rollups are complete.
    maintain(&store, newest + 3 * HOUR_MS).await;
    assert_eq!(raw_rows(&client).await, raw);
    assert_kept(&before, &tiers(&client).await);
    assert!(store.migrate(newest).await.unwrap().applied.is_empty());

    // Users and agents are unchanged.
    let server = TestServer::start_unready(config(&database.url)).await;
    server.ready().await;
    let login = json!({"username": "admin", "password": "admin password 1"});
    let answer = server.request(Method::POST, "/api/login", None, Some(login)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.body["token"].as_str().unwrap().to_owned();
    let agents = server.request(Method::GET, "/api/agents", Some(&token), None).await.body;
    let names: Vec<&str> =
        agents["items"].as_array().unwrap().iter().filter_map(|agent| agent["name"].as_str()).collect();
    assert_eq!(names, ["db-fra-001", "web-fra-000"], "{agents}");
    server.stop().await.unwrap();
}
