//! What servers write down about themselves and about the space that metrics take.

use pika_server::domain::server_figures::{ServerFigures, ServerHistory};
use pika_server::domain::tier::{DAY_MS, HOUR_MS};
use serde_json::json;

use crate::support::client::{now, sample};
use crate::support::server::config;
use crate::support::{TestDatabase, TestServer, eventually, on_both_editions};

on_both_editions!(a_server_writes_what_it_has_done, storage_is_written_once_an_hour, old_figures_are_deleted,);

async fn a_server_writes_what_it_has_done(database: TestDatabase) {
    let mut config = config(&database.url);
    config.metrics.history_interval_ms = 50;
    let server = TestServer::start_with(config).await;
    let (mut agent, _, _) = server.enroll("web-1").await;
    let ts = now();
    agent.store(1, json!([sample(ts)])).await;
    agent.store(2, json!([sample(ts - 1_000)])).await;
    agent.send_text("nonsense").await;
    agent.receive_type("error").await;
    let client = database.connect().await;
    let written = async |what: &str| -> i64 {
        client
            .query_one(&format!("SELECT ({what})::int8 FROM grafana.server_history"), &[])
            .await
            .unwrap()
            .get(0)
    };
    // However many intervals there were, each thing is counted once.
    eventually("all is written", || async {
        (written("coalesce(sum(rows_stored), 0)").await == 12).then_some(())
    })
    .await;
    eventually("the agent is there", || async {
        (written("coalesce(max(agents_connected), 0)").await == 1).then_some(())
    })
    .await;
    assert_eq!(written("sum(frames_received)").await, 3);
    assert!(0 < written("min(resident_bytes)").await && written("min(interval_ms)").await < 10_000);
    assert!(0 < written("count(*) FILTER (WHERE 0 < ack_p50_ms AND ack_p50_ms <= ack_p99_ms)").await);
    assert_eq!(written("count(DISTINCT server)").await, 1);
    let port = server.address.rsplit_once(':').unwrap().1.to_owned();
    assert!(0 < written(&format!("count(*) FILTER (WHERE server LIKE '%:{port}')")).await);
    eventually("the refusal is written", || async {
        let sql = "SELECT coalesce(sum(refusals), 0)::int8 FROM grafana.refusals WHERE code = 'malformed'";
        (database.count(sql).await == 1).then_some(())
    })
    .await;
    server.stop().await.unwrap();
}

async fn storage_is_written_once_an_hour(database: TestDatabase) {
    let client = database.connect().await;
    let ts = now();
    let insert =
        format!("INSERT INTO cpu_metrics (ts, agent_key, core_count, usage_percent) VALUES ({ts}, 1, 1, 1)");
    client.batch_execute(&insert).await.unwrap();
    let store = database.store();
    assert!(store.add_storage_history(ts).await.unwrap());
    assert!(!store.add_storage_history(ts).await.unwrap());
    assert!(store.add_storage_history(ts + HOUR_MS).await.unwrap());
    let sql = format!(
        "SELECT count(*) FROM grafana.storage_history WHERE relation = 'cpu_metrics' AND family = 'cpu' AND tier = 'raw' \
             AND chunks = 1 AND 0 < bytes AND bytes < database_bytes \
             AND oldest <= to_timestamp({ts} / 1000.0) AND to_timestamp({ts} / 1000.0) - interval '1 day' < oldest"
    );
    assert_eq!(database.count(&sql).await, 2);
    let empty =
        "SELECT count(*) FROM grafana.storage_history WHERE relation = 'load_metrics_1d' AND oldest IS NULL";
    assert_eq!(database.count(empty).await, 2);
}

async fn old_figures_are_deleted(database: TestDatabase) {
    let client = database.connect().await;
    let store = database.store();
    let figures: ServerFigures = ServerFigures { interval_ms: 60_000, ..ServerFigures::default() };
    let now = now() - now() % DAY_MS;
    for age_ms in [0, 29 * DAY_MS, 31 * DAY_MS] {
        let row = ServerHistory {
            at: now - age_ms,
            server: "web:1".to_owned(),
            version: "1",
            started_at: 0,
            figures: figures.clone(),
        };
        store.add_server_history(&row).await.unwrap();
    }
    client
        .batch_execute(&format!(
            "INSERT INTO storage_history (at, relation, family, tier, bytes, chunks, columnstore_chunks, database_bytes) \
             SELECT {now} - hours * 3600000::int8, 'cpu_metrics', 'cpu', 'raw', 1, 1, 0, 1 \
             FROM generate_series(0, 810 * 24) AS hours"
        ))
        .await
        .unwrap();
    store.delete_old_history(now).await.unwrap();
    assert_eq!(database.count("SELECT count(*) FROM server_history").await, 2);
    // 30 days of hours and the one at their end; then days.
    assert_eq!(database.count("SELECT count(*) FROM storage_history").await, 30 * 24 + 1 + 770);
}
