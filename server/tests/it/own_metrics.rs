//! The server's own metrics: who may read them, their format, and their correctness.

use pika_server::config::Config;
use reqwest::Method;
use serde_json::json;

use crate::support::client::{batch, now, sample};
use crate::support::server::{Answer, answer, config};
use crate::support::{AgentClient, Proxy, TestDatabase, TestServer, eventually, on_both_editions};

const TOKEN: &str = "a token for the scraper";

on_both_editions!(the_metrics_tell_what_has_happened);

fn with_token(url: &str) -> Config {
    let mut config = config(url);
    config.metrics.token = TOKEN.into();
    config
}

async fn scrape(server: &TestServer) -> String {
    let answer = server.request(Method::GET, "/metrics", Some(TOKEN), None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body.as_str().unwrap().to_owned()
}

/// Returns the value of a series, as it is written.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).rsplit_once(' ').unwrap().1.parse().unwrap()
}

async fn the_metrics_tell_what_has_happened(database: TestDatabase) {
    let server = TestServer::start_with(with_token(&database.url)).await;
    let (mut agent, _, _) = server.enroll("web-1").await;
    let ts = now();
    agent.store(1, json!([sample(ts)])).await;
    agent.store(2, json!([sample(ts)])).await;
    let before = value(&scrape(&server).await, "pika_ingest_frames_missing_total");
    agent.store(5, json!([sample(ts - 1_000)])).await;
    agent.store(5, json!([sample(ts - 2_000)])).await;
    agent.send_text("nonsense").await;
    agent.receive_type("error").await;

    let text = scrape(&server).await;
    assert_eq!(before, 0.0);
    for (series, expected) in [
        ("pika_agents_connected", 1.0),
        ("pika_ingest_frames_received_total", 5.0),
        ("pika_ingest_frames_missing_total", 2.0),
        ("pika_ingest_frames_repeated_total", 1.0),
        ("pika_ingest_rows_received_total", 24.0),
        ("pika_ingest_rows_late_total", 0.0),
        ("pika_ingest_rows_stored_total", 18.0),
        ("pika_ingest_rows_duplicate_total", 6.0),
        ("pika_ingest_ack_latency_seconds_count", 4.0),
        ("pika_ingest_flush_rows_count", 4.0),
        ("pika_ingest_unacknowledged_frames", 0.0),
        ("pika_ingest_queue_frames", 0.0),
        ("pika_ingest_pending_rows", 0.0),
        ("pika_ingest_refusals_total{code=\"malformed\"}", 1.0),
        ("pika_ingest_refusals_total{code=\"too_fast\"}", 0.0),
        ("pika_ingest_registrations_total{result=\"accepted\"}", 1.0),
        ("pika_ingest_flush_errors_total", 0.0),
    ] {
        assert_eq!(value(&text, series), expected, "{series}");
    }
    assert!(0.0 < value(&text, "process_resident_memory_bytes"));
    assert!(text.contains("process_cpu_seconds_total "));
    assert_eq!(
        value(&text, "pika_http_requests_total{method=\"POST\",status=\"201\"}"),
        1.0,
        "the enrollment token"
    );
    assert!(text.contains("pika_build_info{version=\""));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn every_line_is_of_the_text_format() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_token(&database.url)).await;
    let answer = server.request(Method::GET, "/metrics", Some(TOKEN), None).await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.body.as_str().unwrap();
    let mut described = std::collections::HashSet::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            assert!(["HELP", "TYPE"].contains(&words.next().unwrap()), "{line}");
            described.insert(words.next().unwrap());
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|name| described.contains(name)))
            .unwrap_or(name);
        assert!(described.contains(family), "{line} has neither HELP nor TYPE");
        assert!(name.starts_with("pika_") || name.starts_with("process_"), "{line}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn metrics_require_the_token() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    assert_eq!(server.get("/metrics").await.status, 404, "not configured");
    server.stop().await.unwrap();

    let server = TestServer::start_with(with_token(&database.url)).await;
    for token in [None, Some(""), Some("a token for the scrapes"), Some(server.admin_token.as_str())] {
        let answer = server.request(Method::GET, "/metrics", token, None).await;
        assert_eq!((answer.status, &answer.body["code"]), (401, &json!("unauthorized")), "{token:?}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_separate_address_serves_metrics_and_nothing_else() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.metrics.addr = Some("127.0.0.1:0".parse().unwrap());
    let server = TestServer::start_with(config).await;
    let address = server.metrics_address.unwrap();
    let get = |path: &'static str| {
        let request = server.http.get(format!("http://{address}{path}"));
        async move { answer(request).await }
    };
    let metrics = get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.as_str().unwrap().contains("pika_agents_connected 0"));
    for path in ["/", "/api/agents", "/docs", "/ws/agent"] {
        assert_eq!(get(path).await.status, 404, "{path}");
    }
    assert_eq!(server.get("/metrics").await.status, 404, "the main address needs a token");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn metrics_are_available_while_the_database_is_away() {
    let database = TestDatabase::on_server().await;
    let proxy = Proxy::start(&database.url).await;
    let mut config = with_token(&proxy.url(&database.url));
    config.database.connect_timeout_ms = 300;
    let server = TestServer::start_with(config).await;
    let (mut agent, _, _) = server.enroll("web-1").await;
    agent.store(1, json!([sample(now())])).await;
    proxy.cut();
    agent.send(&batch(2, json!([sample(now())]))).await;
    let text = eventually("the failed flush is counted", || async {
        let text = scrape(&server).await;
        (0.0 < value(&text, "pika_ingest_flush_errors_total")).then_some(text)
    })
    .await;
    assert_eq!(value(&text, "pika_ingest_unacknowledged_frames"), 1.0);
    assert!(0.0 < value(&text, "pika_database_errors_total{kind=\"unavailable\"}"));
    proxy.restore();
    agent.receive_type("ack").await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn maintenance_and_job_health_are_reported() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_token(&database.url)).await;
    let text = eventually("maintenance has succeeded", || async {
        let text = scrape(&server).await;
        (0.0 < value(&text, "pika_maintenance_last_success_timestamp_seconds")).then_some(text)
    })
    .await;
    assert_eq!(value(&text, "pika_database_jobs_unhealthy"), 0.0);
    assert_eq!(value(&text, "pika_maintenance_failures_total"), 0.0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let database = TestDatabase::on_server().await;
    let mut config = with_token(&database.url);
    config.server.connections_per_address_max = 3;
    let server = TestServer::start_with(config).await;
    let (agent, _, _) = server.enroll("web-1").await;
    let mut held = Vec::new();
    let refused = loop {
        assert!(held.len() < 4, "no connection was refused");
        let mut request = tokio::net::TcpStream::connect(&server.address).await.unwrap();
        let mut text = String::new();
        let read = tokio::io::AsyncReadExt::read_to_string(&mut request, &mut text);
        // An accepted connection is silent until it gets a request.
        match tokio::time::timeout(std::time::Duration::from_millis(200), read).await {
            Ok(_) => break text,
            Err(_) => held.push(request),
        }
    };
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(
        refused.contains("server.connections_per_address_max") && refused.contains("Retry-After"),
        "{refused}"
    );
    drop(held);
    let text = eventually("there is room again", || async {
        let request = server.http.get(server.url("/metrics")).bearer_auth(TOKEN);
        let Answer { status, body, .. } = answer(request).await;
        (status == 200).then(|| body.as_str().unwrap().to_owned())
    })
    .await;
    let reason = "pika_http_connections_refused_total{reason=\"connections_per_address_max\"}";
    assert!(1.0 <= value(&text, reason));
    drop(agent);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn too_many_concurrent_registrations_are_told_to_retry() {
    let database = TestDatabase::on_server().await;
    let mut config = with_token(&database.url);
    config.ingest.registrations_max = 1;
    config.ingest.registration_wait_ms = 100;
    let server = TestServer::start_with(config).await;
    let (agent, _, secret) = server.enroll("web-1").await;
    agent.close().await;
    let (other, _, other_secret) = server.enroll("web-2").await;
    other.close().await;

    let blocker = database.connect().await;
    blocker.batch_execute("BEGIN; LOCK TABLE agents IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut first = AgentClient::connect(&server.address, Some(&secret)).await;
    first.send(&crate::support::register_message("web-1", None)).await;
    let refusal = eventually("the second has to wait too long", || async {
        let mut second = AgentClient::connect(&server.address, Some(&other_secret)).await;
        second.send(&crate::support::register_message("web-2", None)).await;
        let answer = second.receive().await?;
        (answer["type"] == "register_error").then_some(answer)
    })
    .await;
    assert_eq!(refusal["data"]["code"], "unavailable");
    blocker.batch_execute("ROLLBACK").await.unwrap();
    first.receive_type("register_ack").await;
    assert!(1.0 <= value(&scrape(&server).await, "pika_ingest_registrations_total{result=\"deferred\"}"));
    server.stop().await.unwrap();
}
