//! The online status is never wrong, in either direction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pika_server::app::AppError;
use pika_server::config::Config;
use pika_shared::Clock;
use serde_json::json;

use crate::support::client::{now, sample};
use crate::support::server::config;
use crate::support::{
    AgentClient, Delays, Proxy, Random, TestDatabase, TestServer, eventually, register_message,
};

/// A configuration in which disconnected agents are soon offline.
fn with_short_grace(database: &TestDatabase) -> Config {
    let mut config = config(&database.url);
    config.ingest.reconnect_grace_ms = 100;
    config
}

async fn is_offline(server: &TestServer, id: &str) {
    eventually("the agent is offline", || async { (server.status(id).await == 0).then_some(()) }).await;
}

#[tokio::test]
async fn an_agent_is_online_from_register_until_it_is_gone() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_short_grace(&database)).await;
    let (agent, id, secret) = server.enroll("web-1").await;
    assert_eq!(server.status(&id).await, 1);
    assert_eq!(server.get("/api/agents/online").await.body["total"], 1);
    agent.close().await;
    is_offline(&server, &id).await;
    assert_eq!(server.get("/api/agents/online").await.body["total"], 0);
    assert_eq!(server.get("/api/agents").await.body["total"], 1);
    let _agent = server.reconnect("web-1", &secret).await;
    assert_eq!(server.status(&id).await, 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_broken_connection_counts_as_gone() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_short_grace(&database)).await;
    let (agent, id, _) = server.enroll("web-1").await;
    drop(agent);
    is_offline(&server, &id).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_silent_agent_is_offline_after_the_deadline() {
    let database = TestDatabase::on_server().await;
    let mut config = with_short_grace(&database);
    config.ingest.idle_timeout_ms = 1_000;
    let server = TestServer::start_with(config).await;
    // Not polled, so not even pings are answered.
    let (_agent, id, _) = server.enroll("web-1").await;
    assert_eq!(server.status(&id).await, 1);
    is_offline(&server, &id).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_reconnect_within_the_grace_is_never_seen_as_offline() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.ingest.reconnect_grace_ms = 1_000;
    let server = TestServer::start_with(config).await;
    let (agent, id, secret) = server.enroll("web-1").await;
    agent.close().await;
    let mut agent = server.reconnect("web-1", &secret).await;
    // A second agent that does not come back shows when the grace period has passed.
    let (other, other_id, _) = server.enroll("web-2").await;
    other.close().await;
    eventually("the other is offline", || async {
        assert_eq!(server.status(&id).await, 1);
        (server.status(&other_id).await == 0).then_some(())
    })
    .await;
    assert_eq!(server.status(&id).await, 1);
    agent.store(1, json!([sample(now())])).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_late_end_of_an_old_connection_does_not_touch_the_new_one() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_short_grace(&database)).await;
    let (mut old, id, secret) = server.enroll("web-1").await;
    let mut new = server.reconnect("web-1", &secret).await;
    // The old one is told that it was superseded, and ends.
    assert_eq!(old.receive_type("error").await["data"]["code"], "superseded");
    assert_eq!(old.closed().await, Some(1008));
    drop(old);
    let (other, other_id, _) = server.enroll("web-2").await;
    other.close().await;
    is_offline(&server, &other_id).await;
    assert_eq!(server.status(&id).await, 1);
    new.store(1, json!([sample(now())])).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_moved_to_another_server_is_not_marked_by_the_first() {
    let database = TestDatabase::on_server().await;
    let first = TestServer::start_with(with_short_grace(&database)).await;
    let second = TestServer::start_with(with_short_grace(&database)).await;
    let (old, id, secret) = first.enroll("web-1").await;
    let (other, other_id, _) = first.enroll("web-2").await;
    let _new = second.reconnect("web-1", &secret).await;
    old.close().await;
    other.close().await;
    is_offline(&first, &other_id).await;
    assert_eq!(second.status(&id).await, 1);
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_restart_of_the_server_marks_nobody() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_short_grace(&database)).await;
    let (mut agent, id, secret) = server.enroll("web-1").await;
    server.begin_stop();
    assert_eq!(agent.closed().await, Some(1001));
    drop(agent);
    server.ended().await.unwrap();
    assert_eq!(database.count("SELECT status::int8 FROM agents").await, 1);
    let server = TestServer::start_with(with_short_grace(&database)).await;
    assert_eq!(server.status(&id).await, 1);
    let _agent = server.reconnect("web-1", &secret).await;
    assert_eq!(server.status(&id).await, 1);
    server.stop().await.unwrap();
}

/// A configuration in which signs of life are recorded, and missed, soon.
fn with_short_idle_timeout(database: &TestDatabase) -> Config {
    let mut config = with_short_grace(database);
    config.ingest.idle_timeout_ms = 1_000;
    config
}

/// Returns the last sign of life of any agent.
async fn last_seen_at(database: &TestDatabase) -> i64 {
    database.count("SELECT max(last_seen_at) FROM agents").await
}

#[tokio::test]
async fn agents_of_a_server_that_died_expire() {
    let database = TestDatabase::on_server().await;
    let dead = TestServer::start(&database.url).await;
    let (_agent, id, _) = dead.enroll("web-1").await;
    // As good as dead: a stop marks nobody offline.
    dead.stop().await.unwrap();
    let server = TestServer::start_with(with_short_idle_timeout(&database)).await;
    assert_eq!(server.status(&id).await, 1, "it first gets the time to come back");
    // An agent that is heard stays online.
    let (mut other, other_id, _) = server.enroll("web-2").await;
    tokio::select! {
        () = is_offline(&server, &id) => {}
        // Being polled, it answers pings.
        message = other.receive() => panic!("{message:?}"),
    }
    assert_eq!(server.status(&other_id).await, 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_connected_agent_that_was_marked_offline_is_taken_up_again() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_short_idle_timeout(&database)).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let client = database.connect().await;
    client.batch_execute("UPDATE agents SET status = 0, connection_id = NULL").await.unwrap();
    let is_online =
        eventually("the agent is online", || async { (server.status(&id).await == 1).then_some(()) });
    tokio::select! {
        () = is_online => {}
        message = agent.receive() => panic!("{message:?}"),
    }
    assert_eq!(database.count("SELECT count(*) FROM agents WHERE connection_id IS NOT NULL").await, 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_the_database_does_not_know_is_ended() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_short_idle_timeout(&database)).await;
    let (mut replaced, ..) = server.enroll("web-1").await;
    let client = database.connect().await;
    // As a registration with another server does.
    client.batch_execute("UPDATE agents SET connection_id = gen_random_uuid()").await.unwrap();
    assert_eq!(replaced.receive_type("error").await["data"]["code"], "superseded");
    let (mut deleted, ..) = server.enroll("web-2").await;
    client.batch_execute("DELETE FROM agents").await.unwrap();
    let error = deleted.receive_type("error").await;
    assert_eq!(error["data"]["code"], "unauthorized", "{error}");
    assert!(error["data"]["message"].as_str().unwrap().contains("deleted"), "{error}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_register_whose_agent_has_hung_up_goes_no_further() {
    let database = TestDatabase::on_server().await;
    let proxy = Proxy::start(&database.url).await;
    let mut config = config(&proxy.url(&database.url));
    // Longer than a client of these tests waits: what it hears before is not the end of the registration.
    config.database.connect_timeout_ms = 600_000;
    let server = TestServer::start_with(config).await;
    let (mut current, _, secret) = server.enroll("web-1").await;
    proxy.cut();
    let mut leaving = AgentClient::connect(&server.address, Some(&secret)).await;
    leaving.send(&register_message("web-1", None)).await;
    // The close frame is answered although the `register` cannot be: the registration was given up.
    leaving.hang_up().await;
    proxy.restore();
    assert_eq!(server.get("/api/agents").await.status, 200);
    current.store(1, json!([sample(now())])).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn one_of_several_concurrent_registrations_wins_and_stays() {
    let database = TestDatabase::on_server().await;
    let proxy = Proxy::start(&database.url).await;
    // The database's answers arrive out of order.
    proxy.delay_answers(Delays { random: Random::announced(), ms_max: 40 });
    let mut config = with_short_idle_timeout(&database);
    config.database.url = proxy.url(&database.url).into();
    let server = TestServer::start_with(config).await;
    let (_first, id, secret) = server.enroll("web-1").await;
    for _ in 0..3 {
        let registering = (0..8).map(|_| server.reconnect("web-1", &secret));
        let connections = futures_util::future::join_all(registering).await;
        // All but one are told that they were superseded. That one must not be ended later either, by a database that
        // knows another: so it is checked again after signs of life have been recorded.
        let mut reading = Vec::new();
        for mut connection in connections {
            reading.push(tokio::spawn(async move {
                let end = connection.receive().await;
                (connection, end)
            }));
        }
        let n_left = || reading.iter().filter(|task| !task.is_finished()).count();
        eventually("one is left", || async { (n_left() <= 1).then_some(()) }).await;
        let before = last_seen_at(&database).await;
        eventually("signs of life were written twice", || async {
            (before + 300 <= last_seen_at(&database).await).then_some(())
        })
        .await;
        assert_eq!(n_left(), 1, "the one that is left is the one that the database knows");
        assert_eq!(server.status(&id).await, 1);
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_enrollment_repeated_concurrently_creates_one_agent() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let token = server.enrollment_token(1).await;
    let mut register = register_message("web-1", Some(&token));
    register["data"]["secret"] = json!("pika_agent_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let enrolling = (0..8).map(|_| async {
        let mut agent = AgentClient::connect(&server.address, None).await;
        agent.send(&register).await;
        agent.receive_type("register_ack").await["data"]["agentId"].clone()
    });
    let ids = futures_util::future::join_all(enrolling).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(database.count("SELECT count(*) FROM agents").await, 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stage_that_dies_ends_the_server_with_the_reason() {
    let database = TestDatabase::on_server().await;
    let is_broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&is_broken);
    let clock = Clock::new(move || {
        assert!(!breaks.load(Ordering::Relaxed), "the clock has stopped, on purpose");
        now()
    });
    // The server itself asks for the time when housekeeping begins, and then not for a minute.
    let old = "INSERT INTO audit_log (at, actor_kind, actor_name, action, address, request_id, details) \
               VALUES (0, 'system', '', 'old', '', '', '{}')";
    database.connect().await.batch_execute(old).await.unwrap();
    let mut config = with_short_idle_timeout(&database);
    config.metrics.addr = Some("127.0.0.1:0".parse().unwrap());
    let server = TestServer::start_unready_at(config, clock).await;
    let metrics = format!("http://{}/metrics", server.metrics_address.unwrap());
    eventually("the first round of housekeeping is over", || async {
        let is_swept = database.count("SELECT count(*) FROM audit_log WHERE action = 'old'").await == 0;
        let text = server.http.get(&metrics).send().await.unwrap().text().await.unwrap();
        let is_maintained = !text.contains("pika_maintenance_last_success_timestamp_seconds 0\n");
        (is_swept && is_maintained).then_some(())
    })
    .await;
    // The next to ask is the stage that records signs of life.
    is_broken.store(true, Ordering::Relaxed);
    assert!(matches!(server.ended().await, Err(AppError::Ingest)));
}
