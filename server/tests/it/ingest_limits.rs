//! What agents cannot do to the server or each other: fill the database, fill the memory, or take others' turns.

use std::collections::BTreeMap;

use pika_protocol::ErrorCode;
use serde_json::{Value, json};

use crate::support::client::{batch, now, sample};
use crate::support::server::config;
use crate::support::{AgentClient, Proxy, TestDatabase, TestServer, eventually};

/// Sends a batch. Returns the codes with which parts of it were refused, and how often each was reported.
async fn refusals(agent: &mut AgentClient, seq: u64, samples: Value) -> BTreeMap<String, u32> {
    agent.send(&batch(seq, samples)).await;
    let mut refusals = BTreeMap::new();
    loop {
        let message = agent.receive().await.unwrap();
        if message["type"] == "ack" {
            return refusals;
        }
        *refusals.entry(message["data"]["code"].as_str().unwrap().to_owned()).or_default() += 1;
    }
}

#[tokio::test]
async fn samples_that_are_closer_together_than_any_interval_are_refused() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    let start = now() - 100_000;
    let told = refusals(&mut agent, 1, (0..100).map(|n| sample(start + n)).collect()).await;
    assert_eq!(told, BTreeMap::from([("too_close".to_owned(), 8)]), "and not 98 times");
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 2);
    assert_eq!(server.instruments.refused(ErrorCode::TooClose), 98);
    // Nor are they accepted one by one.
    for n in 0..5 {
        refusals(&mut agent, 2 + n, json!([sample(start + 100 + i64::try_from(n).unwrap())])).await;
    }
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 2);

    // A sample per second, each a little late, or late for one and in time for the next.
    let late_ms = [0, 990, 10, 0, 400, 300, 200, 100, 0, 999];
    let honest = late_ms.iter().zip(1..).map(|(late_ms, n)| sample(start + 10_000 + 1_000 * n + late_ms));
    assert_eq!(refusals(&mut agent, 8, honest.collect()).await, BTreeMap::new());
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 12);
    server.stop().await.unwrap();
}

/// The original's agents send one family after another, and the server stamps each on arrival.
#[tokio::test]
async fn the_families_of_the_original_are_not_too_close_to_one_another() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    let disk =
        |n: u32| json!({"mountPoint": format!("/{n}"), "total": 1, "used": 0, "free": 1, "usagePercent": 0});
    let network = |n: u32| json!({"interface": format!("eth{n}"), "bytesRecvTotal": 1, "bytesSentTotal": 1});
    let mut metrics = vec![
        json!({"type": "cpu", "data": {"usagePercent": 1, "coreCount": 1}}),
        json!({"type": "memory", "data": {"total": 1, "used": 0, "free": 1, "usagePercent": 0}}),
        json!({"type": "load", "data": {"load1": 0, "load5": 0, "load15": 0}}),
    ];
    metrics.extend((0..20).map(|n| json!({"type": "disk", "data": disk(n)})));
    metrics.extend((0..20).map(|n| json!({"type": "network", "data": network(n)})));
    for (data, seq) in metrics.iter().zip(1..) {
        agent.send(&json!({"type": "metrics", "seq": seq, "data": data})).await;
    }
    for _ in &metrics {
        let answer = agent.receive().await.unwrap();
        assert_eq!(answer["type"], "ack", "{answer}");
    }
    for (table, count) in [("cpu_metrics", 1), ("disk_metrics", 20), ("network_metrics", 20)] {
        assert_eq!(database.count(&format!("SELECT count(*) FROM {table}")).await, count, "{table}");
    }
    server.stop().await.unwrap();
}

/// A sample with this many interfaces.
fn wide_sample(timestamp: i64, n_interfaces: usize) -> Value {
    let network =
        |n: usize| json!({"interface": format!("eth{n}"), "bytesRecvTotal": 1, "bytesSentTotal": 1});
    json!({"timestamp": timestamp, "networks": (0..n_interfaces).map(network).collect::<Vec<_>>()})
}

#[tokio::test]
async fn an_agent_that_sends_many_rows_or_bytes_is_slowed_down_also_over_another_connection() {
    for (rows_per_second_max, rows_per_day_max, bytes_per_second_max, unit) in [
        (10, 25_000_000, 4_194_304, "10 rows a second"),
        (20_000, 10, 4_194_304, "10 rows a day"),
        (20_000, 25_000_000, 1_024, "1024 bytes a second"),
    ] {
        let database = TestDatabase::on_server().await;
        let mut config = config(&database.url);
        config.ingest.rows_per_second_max = rows_per_second_max;
        config.ingest.rows_per_day_max = rows_per_day_max;
        config.ingest.bytes_per_second_max = bytes_per_second_max;
        let server = TestServer::start_with(config).await;
        let (mut agent, _, secret) = server.enroll("web-1").await;
        let start = now() - 100_000;
        // So much that it takes minutes.
        let samples: Vec<_> = (0..50).map(|n| wide_sample(start + 1_000 * n, 120)).collect();
        agent.send(&batch(1, json!(samples))).await;
        let told = agent.receive().await.unwrap();
        assert_eq!((&told["type"], &told["data"]["code"]), (&json!("error"), &json!("too_fast")), "{told}");
        assert!(told["data"]["seq"].is_null(), "nothing is refused: {told}");
        assert!(told["data"]["message"].as_str().unwrap().contains(unit), "{told}");
        assert_eq!(agent.receive_type("ack").await["data"]["seq"], 1);
        agent.close().await;

        let mut agent = server.reconnect("web-1", &secret).await;
        agent.send(&batch(2, json!([wide_sample(start + 60_000, 1)]))).await;
        // Another agent's come and go meanwhile.
        let (mut other, ..) = server.enroll("web-2").await;
        for n in 0..10 {
            other.send(&json!({"type": "heartbeat", "seq": n, "data": {}})).await;
            assert_eq!(other.receive().await.unwrap()["type"], "ack");
        }
        let count = "SELECT count(DISTINCT ts) FROM network_metrics";
        assert_eq!(database.count(count).await, 50, "{unit}");
        server.stop().await.unwrap();
    }
}

/// Returns the numbers of frames and rows received.
async fn taken(server: &TestServer) -> (u64, u64) {
    let text = server.request(reqwest::Method::GET, "/metrics", Some(TOKEN), None).await;
    let text = text.body.as_str().unwrap().to_owned();
    let value = |series: &str| {
        let line = text.lines().find(|line| line.starts_with(series)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    (value("pika_ingest_frames_received_total "), value("pika_ingest_rows_received_total "))
}

const TOKEN: &str = "a token for the scraper";

#[tokio::test]
async fn rows_that_wait_for_the_database_are_bounded_over_all_agents() {
    const AGENTS: usize = 80;
    const PENDING_ROWS_MAX: u32 = 2_000;
    let database = TestDatabase::on_server().await;
    let proxy = Proxy::start(&database.url).await;
    let mut config = config(&proxy.url(&database.url));
    config.metrics.token = TOKEN.into();
    config.ingest.pending_rows_max = PENDING_ROWS_MAX;
    // All of them are new at once.
    config.ingest.registration_wait_ms = 60_000;
    let server = TestServer::start_with(config).await;
    let token = server.enrollment_token(i32::try_from(AGENTS).unwrap()).await;
    let mut agents = Vec::new();
    for number in 0..AGENTS {
        let mut agent = AgentClient::connect(&server.address, None).await;
        agent.send(&crate::support::register_message(&format!("web-{number}"), Some(&token))).await;
        agent.receive_type("register_ack").await;
        agent.send(&batch(1, json!([sample(now() - 200_000)]))).await;
        agents.push(agent);
    }
    for agent in &mut agents {
        // Its disks and interfaces are known from here on.
        agent.receive_type("ack").await;
    }
    let (frames_before, rows_before) = taken(&server).await;
    proxy.cut();
    let start = now() - 100_000;
    for agent in &mut agents {
        // 600 rows, and 6.
        agent.send(&batch(2, (0..100).map(|n| sample(start + 1_000 * n)).collect())).await;
        agent.send(&batch(3, json!([sample(start - 5_000)]))).await;
    }
    eventually("the server has taken what it may", || async {
        let (_, rows) = taken(&server).await;
        (u64::from(PENDING_ROWS_MAX) - 600 < rows - rows_before).then_some(())
    })
    .await;
    eventually("a flush has failed several times", || async {
        (3 < server.instruments.flush_errors()).then_some(())
    })
    .await;
    let (frames, rows) = taken(&server).await;
    assert!(rows - rows_before <= u64::from(PENDING_ROWS_MAX), "{} rows", rows - rows_before);
    assert!(frames - frames_before < AGENTS as u64, "{} frames", frames - frames_before);

    proxy.restore();
    for agent in &mut agents {
        for seq in [2, 3] {
            assert_eq!(agent.receive_type("ack").await["data"]["seq"], seq);
        }
    }
    let rows = i64::try_from(AGENTS).unwrap() * 102;
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, rows);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_busy_agent_does_not_keep_others_waiting() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    // A frame of the greedy agent exceeds the room.
    config.ingest.pending_rows_max = 500;
    config.ingest.samples_per_second_max = 1_000_000;
    config.ingest.rows_per_second_max = 1_000_000;
    config.ingest.bytes_per_second_max = 1 << 30;
    let server = TestServer::start_with(config).await;
    let (mut greedy, ..) = server.enroll("web-1").await;
    let (mut modest, ..) = server.enroll("web-2").await;
    let start = now() - 80_000_000;
    let mut n_sent = 0;
    for round in 1..=5 {
        // The greedy agent always has another frame waiting.
        while n_sent < 8 * round {
            let at = |n: i64| sample(start + 1_000 * (150 * n_sent + n));
            greedy.send(&batch(n_sent.unsigned_abs(), (0..150).map(at).collect())).await;
            n_sent += 1;
        }
        modest.store(round.unsigned_abs(), json!([sample(start + 1_000 * round)])).await;
    }
    let mut last = Value::Null;
    while last != json!(n_sent - 1) {
        last = greedy.receive_type("ack").await["data"]["seq"].clone();
    }
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 150 * n_sent + 5);
    server.stop().await.unwrap();
}
