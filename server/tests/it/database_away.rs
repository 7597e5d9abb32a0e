//! The database goes away and comes back: nothing is lost, without any intervention.

use serde_json::json;

use crate::support::client::{batch, now, sample};
use crate::support::server::config;
use crate::support::{Proxy, TestDatabase, TestServer, eventually};

#[tokio::test]
async fn samples_sent_while_the_database_is_away_are_stored_when_it_is_back() {
    let database = TestDatabase::on_server().await;
    let proxy = Proxy::start(&database.url).await;
    let mut config = config(&proxy.url(&database.url));
    config.database.connect_timeout_ms = 300;
    let server = TestServer::start_with(config).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    agent.store(1, json!([sample(now() - 10_000)])).await;

    proxy.cut();
    agent.send(&batch(2, json!([sample(now() - 5_000)]))).await;
    agent.send(&batch(3, json!([sample(now())]))).await;
    eventually("a flush has failed", || async { (0 < server.instruments.flush_errors()).then_some(()) })
        .await;
    let answer = server.get("/api/agents").await;
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("unavailable")));
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(server.get("/readyz").await.status, 503);
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.login("admin", "x").await.status, 503, "not: wrong password");

    proxy.restore();
    for seq in [2, 3] {
        assert_eq!(agent.receive_type("ack").await["data"]["seq"], seq);
    }
    eventually("the API answers again", || async {
        (server.get("/api/agents").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 3);
    assert_eq!(server.status(&id).await, 1, "the agent was there all the time");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_starts_before_its_database_waits_for_it() {
    let database = TestDatabase::on_server_unmigrated().await;
    let proxy = Proxy::start(&database.url).await;
    proxy.cut();
    let mut config = config(&proxy.url(&database.url));
    config.database.connect_timeout_ms = 300;
    let server = TestServer::start_unready(config).await;
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 503);
    proxy.restore();
    server.ready().await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_database_that_cannot_be_used_ends_the_server_with_the_reason() {
    let database = TestDatabase::on_server().await;
    let client = database.connect().await;
    client
        .batch_execute("UPDATE pg_extension SET extversion = '2.18.2' WHERE extname = 'timescaledb'")
        .await
        .unwrap();
    let server = TestServer::start_unready(config(&database.url)).await;
    let error = server.ended().await.unwrap_err();
    let text = pika_shared::chain(&error).to_string();
    assert!(text.contains("ALTER EXTENSION timescaledb UPDATE"), "{text}");
}

#[tokio::test]
async fn a_stop_while_the_database_is_away_does_not_hang() {
    let database = TestDatabase::on_server().await;
    let proxy = Proxy::start(&database.url).await;
    let mut config = config(&proxy.url(&database.url));
    config.database.connect_timeout_ms = 300;
    config.server.shutdown_timeout_ms = 500;
    let server = TestServer::start_with(config).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    agent.store(1, json!([sample(now() - 5_000)])).await;
    proxy.cut();
    agent.send(&batch(2, json!([sample(now())]))).await;
    eventually("a flush has failed", || async { (0 < server.instruments.flush_errors()).then_some(()) })
        .await;
    server.stop().await.unwrap();
    // Not acknowledged, so the agent would send it again.
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 1);
}

#[tokio::test]
async fn a_database_that_does_not_exist_ends_the_server_with_the_reason() {
    let database = TestDatabase::on_server().await;
    let (base, _) = database.url.rsplit_once('/').unwrap();
    let server = TestServer::start_unready(config(&format!("{base}/pika_test_missing"))).await;
    let text = pika_shared::chain(&server.ended().await.unwrap_err()).to_string();
    assert!(text.contains("does not accept") && text.contains("pika_test_missing"), "{text}");
}

#[tokio::test]
async fn a_database_that_was_not_migrated_yet_is_not_ready() {
    let database = TestDatabase::on_server_unmigrated().await;
    assert!(!database.store().is_schema_current().await.unwrap());
}

#[tokio::test]
async fn a_query_that_takes_too_long_says_what_to_do() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let client = database.connect().await;
    client.batch_execute("BEGIN; LOCK TABLE enrollments").await.unwrap();
    let cancel = async {
        let others = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity \
                      WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually("the query was cancelled", || async {
            (!client.query(others, &[]).await.unwrap().is_empty()).then_some(())
        })
        .await;
    };
    let (answer, ()) = tokio::join!(server.get("/api/enrollments"), cancel);
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("unavailable")), "{answer:?}");
    assert!(answer.body["message"].as_str().unwrap().contains("narrower"), "{answer:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_ends_the_server_with_the_reason() {
    let database = TestDatabase::on_server().await;
    let (before, after) = database.url.split_once('@').unwrap();
    let (before, _) = before.rsplit_once(':').unwrap();
    let server = TestServer::start_unready(config(&format!("{before}:not-the-password@{after}"))).await;
    let text = pika_shared::chain(&server.ended().await.unwrap_err()).to_string();
    assert!(text.contains("does not accept the configured user, password"), "{text}");
    assert!(!text.contains("not-the-password"), "{text}");
}

#[tokio::test]
async fn a_flush_lost_on_the_way_is_written_again() {
    let database = TestDatabase::on_server().await;
    let proxy = Proxy::start(&database.url).await;
    let mut config = config(&proxy.url(&database.url));
    config.ingest.write_timeout_ms = 300;
    let server = TestServer::start_with(config).await;
    let (mut agent, ..) = server.enroll("web-1").await;
    agent.store(1, json!([sample(now() - 5_000)])).await;
    // No connection ends, but none carries anything.
    proxy.stall();
    agent.send(&batch(2, json!([sample(now())]))).await;
    eventually("a flush was given up", || async { (0 < server.instruments.flush_errors()).then_some(()) })
        .await;
    proxy.restore();
    assert_eq!(agent.receive_type("ack").await["data"]["seq"], 2);
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 2);
    server.stop().await.unwrap();
}
