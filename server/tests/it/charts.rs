//! The cost of charts is limited, and does not delay other requests.

use futures_util::future::join_all;
use pika_server::telemetry::Snapshot;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{now, sample};
use crate::support::server::{Answer, config};
use crate::support::{TestDatabase, TestServer, eventually, on_both_editions};

on_both_editions!(samples_are_returned_as_reported);

/// Samples, a page at a time: each as reported, without repeats or omissions.
async fn samples_are_returned_as_reported(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let first = now() - 60_000;
    let samples: Vec<Value> = (0..10_i32)
        .map(|i| {
            let mut sample = sample(first + i64::from(i) * 5_000);
            sample["cpu"]["usagePercent"] = json!(i);
            sample["disks"][1]["usagePercent"] = json!(10 * i);
            sample["networks"][0]["bytesRecvDelta"] = json!(5_000 * i);
            sample
        })
        .collect();
    agent.store(1, json!(samples)).await;

    for (family, metric, label, factor) in [
        ("cpu", "usagePercent", "", 1.0),
        ("disk", "usagePercent", "/data", 10.0),
        ("network", "receivedBytesPerSecond", "eth0", 1_000.0),
    ] {
        let mut found: Vec<(i64, f64)> = Vec::new();
        let mut start = first;
        let mut n_pages = 0;
        loop {
            let query = format!("type={family}&interval=raw&points=4&start={start}&end={}", first + 45_001);
            let page = server.get(&format!("/api/agents/{id}/metrics?{query}")).await;
            assert_eq!((page.status, &page.body["tier"]), (200, &json!("raw")), "{page:?}");
            let times = page.body["timestamps"].as_array().unwrap();
            assert!(times.len() <= 4, "{page:?}");
            n_pages += 1;
            let all = page.body["series"].as_array().unwrap();
            let series = all.iter().find(|series| {
                let is_it = |name: &str| series[name].is_null() || series[name] == label;
                series["metric"] == metric && is_it("mountPoint") && is_it("interface")
            });
            for (index, time) in times.iter().enumerate() {
                let series = series.unwrap_or_else(|| panic!("{page:?}"));
                let value = series["avg"][index].as_f64().unwrap();
                assert_eq!((&series["min"][index], &series["max"][index]), (&json!(value), &json!(value)));
                found.push((time.as_i64().unwrap(), value));
            }
            let Some(next) = page.body.get("next") else { break };
            start = next.as_i64().unwrap();
        }
        let expected: Vec<(i64, f64)> =
            (0..10_i32).map(|i| (first + i64::from(i) * 5_000, f64::from(i) * factor)).collect();
        assert_eq!((found, n_pages), (expected, 3), "{family}");
    }
    let nothing = format!("/api/agents/{id}/metrics?type=load&interval=raw&start=1000&end=2000");
    let nothing = server.get(&nothing).await.body;
    assert_eq!((&nothing["timestamps"], nothing.get("next")), (&json!([]), None));
    server.stop().await.unwrap();
}

/// Number of charts requested by one user at the same time.
const N_CHARTS: usize = 24;

#[tokio::test]
async fn an_administrators_list_is_answered_while_charts_are_slow() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    // However slow the machine is.
    config.database.connect_timeout_ms = 60_000;
    config.database.statement_timeout_ms = 60_000;
    let server = TestServer::start_with(config).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    agent.store(1, json!([sample(now())])).await;
    server.create_user("reader", "user", "correct horse battery staple").await;
    let reader = server.session("reader", "correct horse battery staple").await;
    let path = format!("/api/agents/{id}/metrics?type=cpu&interval=599000&start={}", now() - 30 * 86_400_000);

    // As slow as possible: none makes progress until the lock is released.
    let mut client = database.connect().await;
    let lock = client.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE cpu_metrics").await.unwrap();
    let charts = join_all((0..N_CHARTS).map(|_| server.request(Method::GET, &path, Some(&reader), None)));
    let others = async {
        let monitor = database.connect().await;
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'pika-server' AND wait_event_type = 'Lock' \
                       AND query LIKE '%agent_key = $1%'";
        let n_waiting = eventually("charts are being read, and others refused", || async {
            let n_waiting: i64 = monitor.query_one(waiting, &[]).await.unwrap().get(0);
            (4 <= n_waiting && n_refused(&server) == N_CHARTS - 8).then_some(n_waiting)
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
    assert_eq!(server.request(Method::GET, &path, Some(&reader), None).await.status, 200);
    server.stop().await.unwrap();
}

/// Number of charts refused because of their user's limit.
fn n_refused(server: &TestServer) -> usize {
    let metrics = String::from_utf8(server.instruments.render(&Snapshot::default()).unwrap()).unwrap();
    let series = "pika_charts_refused_total{limit=\"charts_per_user_max\"} ";
    metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap().parse().unwrap()
}
