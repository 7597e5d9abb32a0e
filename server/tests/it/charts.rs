//! Charts: what they may cost, and that nobody else has to wait for them.

use futures_util::future::join_all;
use pika_server::telemetry::Snapshot;
use reqwest::Method;
use serde_json::json;

use crate::support::client::{now, sample};
use crate::support::server::Answer;
use crate::support::{TestDatabase, TestServer, eventually};

/// Charts that one user asks for at the same time.
const N_CHARTS: usize = 24;

#[tokio::test]
async fn an_administrators_list_is_answered_while_charts_are_slow() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    agent.store(1, json!([sample(now())])).await;
    server.create_user("reader", "user", "correct horse battery staple").await;
    let reader = server.session("reader", "correct horse battery staple").await;
    let path = format!("/api/agents/{id}/metrics?type=cpu&interval=599000&start={}", now() - 30 * 86_400_000);

    // As slow as can be: none gets anywhere until the lock is gone.
    let mut client = database.connect().await;
    let lock = client.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE cpu_metrics").await.unwrap();
    let charts = join_all((0..N_CHARTS).map(|_| server.request(Method::GET, &path, Some(&reader), None)));
    let others = async {
        let monitor = database.connect().await;
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'pika-server' AND wait_event_type = 'Lock'";
        let n_waiting = eventually("charts are being read", || async {
            let n_waiting: i64 = monitor.query_one(waiting, &[]).await.unwrap().get(0);
            (4 <= n_waiting).then_some(n_waiting)
        })
        .await;
        let users = server.get("/api/users").await;
        lock.rollback().await.unwrap();
        (n_waiting, users)
    };
    let (charts, (n_waiting, users)): (Vec<Answer>, _) = tokio::join!(charts, others);
    assert_eq!((users.status, n_waiting), (200, 4), "half of the pool is left to others: {users:?}");
    let (answered, refused): (Vec<_>, Vec<_>) = charts.iter().partition(|answer| answer.status == 200);
    assert_eq!(answered.len(), 8, "{charts:?}");
    for answer in &answered {
        assert_eq!((&answer.body["tier"], &answer.body["intervalMs"]), (&json!("1m"), &json!(600_000)));
    }
    for answer in refused {
        assert_eq!(answer.status, 429, "{answer:?}");
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        assert!(answer.body["message"].as_str().unwrap().contains("charts"), "{answer:?}");
    }
    let metrics = String::from_utf8(server.instruments.render(&Snapshot::default()).unwrap()).unwrap();
    assert!(metrics.contains("pika_charts_refused_total{limit=\"charts_per_user_max\"} 16"), "{metrics}");
    assert_eq!(server.request(Method::GET, &path, Some(&reader), None).await.status, 200);
    server.stop().await.unwrap();
}
