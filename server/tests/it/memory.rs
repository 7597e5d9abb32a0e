//! The memory for what strangers send is bounded per request, per address, and in total.

use pika_server::config::Config;
use pika_server::telemetry::MemoryRefusal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::client::{batch, now, sample};
use crate::support::process::LoggedServer;
use crate::support::server::{ADMIN_PASSWORD, answer, client_from, config};
use crate::support::{AgentClient, TestDatabase, TestServer, eventually, register_message};

fn bounded(database: &TestDatabase) -> Config {
    let mut config = config(&database.url);
    config.server.buffered_bytes_per_address_max = 64 * 1024;
    config.server.buffered_bytes_max = 96 * 1024;
    config
}

/// Begins a request from this address whose body never ends.
async fn begin_body(server: &TestServer, address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(server.address.parse().unwrap()).await.unwrap();
    let head = "POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 16384\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[b' '; 16 * 1024 - 1]).await.unwrap();
    stream
}

/// Begins bodies until one is refused for this limit. Returns the open ones and the answer.
async fn begin_bodies(server: &TestServer, address: &str, limit: MemoryRefusal) -> (Vec<TcpStream>, Value) {
    let mut held = Vec::new();
    loop {
        assert!(held.len() < 20, "nothing is refused");
        let before = server.instruments.buffered_bytes();
        let mut stream = begin_body(server, address).await;
        let is_refused = eventually("the body is held or refused", || async {
            let is_refused = 0 < server.instruments.memory_refusals(limit);
            (is_refused || before < server.instruments.buffered_bytes()).then_some(is_refused)
        })
        .await;
        if !is_refused {
            held.push(stream);
            continue;
        }
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.to_lowercase().contains("retry-after"), "{head}");
        return (held, serde_json::from_str(body).unwrap());
    }
}

async fn login_from(server: &TestServer, address: &str) -> u16 {
    let body = json!({"username": "admin", "password": ADMIN_PASSWORD});
    answer(client_from(address).post(server.url("/api/login")).json(&body)).await.status
}

#[tokio::test]
async fn unfinished_bodies_take_bounded_memory_and_lock_nobody_out() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(bounded(&database)).await;
    let (first, refused) = begin_bodies(&server, "127.0.0.2", MemoryRefusal::FullForAddress).await;
    assert_eq!(refused["code"], "too_many_requests", "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("server.buffered_bytes_per_address_max"), "{message}");
    assert!(!refused["requestId"].as_str().unwrap().is_empty());
    assert!(!first.is_empty());

    let (second, refused) = begin_bodies(&server, "127.0.0.3", MemoryRefusal::Full).await;
    assert_eq!(refused["code"], "unavailable", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("server.buffered_bytes_max"), "{refused}");
    assert!(server.instruments.buffered_bytes() <= 96 * 1024);
    assert_eq!(login_from(&server, "127.0.0.4").await, 200, "who needs little has it");

    drop((first, second));
    eventually("nothing is buffered", || async { (server.instruments.buffered_bytes() == 0).then_some(()) })
        .await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_may_send_little_before_it_is_registered_and_much_afterwards() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let mut stranger = AgentClient::connect(&server.address, None).await;
    let mut large = register_message("web-1", None);
    large["data"]["version"] = json!("x".repeat(32 * 1024));
    stranger.send(&large).await;
    let refused = stranger.receive_type("error").await;
    assert_eq!(refused["data"]["code"], "frame_too_large", "{refused}");
    assert!(refused["data"]["message"].as_str().unwrap().contains("16384"), "{refused}");
    assert_eq!(stranger.closed().await, Some(1009));

    let (mut agent, _, _) = server.enroll("web-1").await;
    let samples: Vec<_> = (0..200).map(|n| sample(now() - n * 1_000)).collect();
    let frame = batch(1, json!(samples));
    assert!(100 * 1024 < frame.to_string().len());
    agent.send(&frame).await;
    agent.receive_type("ack").await;
    assert_eq!(server.instruments.buffered_bytes(), 0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_agents_send_before_they_are_registered_counts() {
    let database = TestDatabase::on_server().await;
    let mut config = bounded(&database);
    config.ingest.register_timeout_ms = 3_600_000;
    let server = TestServer::start_with(config).await;
    let unfinished = format!("{{\"type\":\"register\",\"data\":\"{}", " ".repeat(15 * 1024));
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut stranger = AgentClient::connect(&server.address, None).await;
        stranger.send_part(&unfinished).await;
        held.push(stranger);
    }
    // All for which there was room are waiting for the rest.
    eventually("some were refused", || async {
        let n_held = server.instruments.connections();
        (n_held < 40 && 0 < server.instruments.buffered_bytes()).then_some(())
    })
    .await;
    assert!(server.instruments.buffered_bytes() <= 64 * 1024);
    assert_eq!(login_from(&server, "127.0.0.4").await, 200);
    drop(held);
    eventually("nothing is buffered", || async { (server.instruments.buffered_bytes() == 0).then_some(()) })
        .await;
    server.stop().await.unwrap();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[tokio::test]
async fn unused_memory_is_returned() {
    const BODIES: u64 = 200;
    const BODY_KIB: u64 = 1_024;
    let variables = [
        ("PIKA_SERVER_ANONYMOUS_BODY_BYTES_MAX", "1048576"),
        ("PIKA_SERVER_BUFFERED_BYTES_MAX", "1073741824"),
        ("PIKA_SERVER_BUFFERED_BYTES_PER_ADDRESS_MAX", "1073741824"),
        ("PIKA_SERVER_BODY_TIMEOUT_MS", "3600000"),
        ("PIKA_SERVER_REQUEST_TIMEOUT_MS", "3600000"),
    ];
    let server = LoggedServer::start(TestDatabase::on_server().await, &variables).await;
    let before = server.resident_kib();
    let head = format!(
        "POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        BODY_KIB * 1024
    );
    let body = vec![b' '; usize::try_from(BODY_KIB * 1024 - 1).unwrap()];
    let mut held = Vec::new();
    for _ in 0..BODIES {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        held.push(stream);
    }
    eventually("the bodies are held", || async {
        (before + BODIES * BODY_KIB * 3 / 4 < server.resident_kib()).then_some(())
    })
    .await;
    drop(held);
    // At most 23 MB of six times these 200 stayed; without the allocator's settings, 31 to 125.
    eventually("most of their memory is given back", || async {
        (server.resident_kib() < before + BODIES * BODY_KIB / 4).then_some(())
    })
    .await;
    server.end().await;
}
