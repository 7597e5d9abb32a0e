//! Concurrent flushes.

use serde_json::json;

use crate::support::client::{batch, now, sample};
use crate::support::{TestDatabase, TestServer, eventually};

/// Number of connections waiting for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity \
     WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[tokio::test]
async fn a_waiting_flush_blocks_no_other() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut first, _, _) = server.enroll("web-1").await;
    let (mut second, _, _) = server.enroll("web-2").await;
    let at = now();
    // Chunks are created by one transaction at a time, so there must be one before the writers diverge.
    first.store(1, json!([sample(at - 5_000)])).await;

    let mut client = database.connect().await;
    let key: i32 =
        client.query_one("SELECT key FROM agents WHERE hostname = 'web-1'", &[]).await.unwrap().get(0);
    let transaction = client.transaction().await.unwrap();
    let insert = "INSERT INTO load_metrics (ts, agent_key, load1, load5, load15) VALUES ($1, $2, 0, 0, 0)";
    transaction.execute(insert, &[&at, &key]).await.unwrap();
    first.send(&batch(2, json!([sample(at)]))).await;
    eventually("the first one's flush waits", || async {
        (database.count(WAITING).await == 1).then_some(())
    })
    .await;
    second.store(1, json!([sample(at)])).await;
    assert_eq!(database.count(WAITING).await, 1, "the first one's flush still waits");

    transaction.rollback().await.unwrap();
    assert_eq!(first.receive_type("ack").await["data"]["seq"], 2);
    server.stop().await.unwrap();
}
