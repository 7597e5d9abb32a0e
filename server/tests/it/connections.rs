//! Idle connections are ended, and no client can hold so many that others are locked out.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt as _;
use pika_server::config::Config;
use pika_server::telemetry::ConnectionEnd;
use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::client::{now, sample};
use crate::support::server::{ADMIN_PASSWORD, client_from, config};
use crate::support::{AgentClient, Http2Client, TestDatabase, TestServer, eventually};

/// A connection that is not ended by then never will be.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Time between two bytes of a client that sends as slowly as it can.
const DRIP: Duration = Duration::from_millis(20);

const HEALTHZ: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
const HALF_A_HEADER: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: ";
/// The preface of HTTP/2 and an empty SETTINGS frame.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Deadlines short enough for a test.
fn with_short_deadlines(database: &TestDatabase) -> Config {
    let mut config = config(&database.url);
    config.server.request_head_timeout_ms = 400;
    config.server.idle_timeout_ms = 500;
    config.server.write_timeout_ms = 600;
    config.server.request_timeout_ms = 2_000;
    config
}

/// Sends a byte repeatedly until the server has ended the connection.
///
/// # Panics
/// If it does not.
async fn drip_until_ended(mut stream: TcpStream, byte: &[u8]) {
    let ended = async {
        let mut buffer = [0; 4_096];
        loop {
            tokio::select! {
                read = stream.read(&mut buffer) => if !matches!(read, Ok(1..)) {
                    return;
                },
                () = sleep(DRIP) => if stream.write_all(byte).await.is_err() {
                    return;
                },
            }
        }
    };
    timeout(TIMEOUT, ended).await.expect("the connection is held");
}

async fn sending(server: &TestServer, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

#[tokio::test]
async fn connections_with_unfinished_requests_are_closed() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_short_deadlines(&database)).await;
    let ended = |end| server.instruments.ended_connections(end);
    drip_until_ended(sending(&server, b"").await, b"").await;
    drip_until_ended(sending(&server, HALF_A_HEADER).await, b"x").await;
    drip_until_ended(sending(&server, HTTP2).await, b"").await;
    assert_eq!(ended(ConnectionEnd::RequestHeadTimeout), 3);

    let before = ended(ConnectionEnd::IdleTimeout);
    let mut answered = sending(&server, HEALTHZ).await;
    assert!(0 < answered.read(&mut [0; 4_096]).await.unwrap());
    answered.write_all(HALF_A_HEADER).await.unwrap();
    drip_until_ended(answered, b"x").await;
    assert!(before < ended(ConnectionEnd::IdleTimeout));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn connections_with_unread_answers_are_closed() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_short_deadlines(&database)).await;
    // The page is larger than what the system buffers for a client that reads little.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    let address: SocketAddr = server.address.parse().unwrap();
    let mut closed_window = socket.connect(address).await.unwrap();
    let requests = b"GET /docs HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20);
    closed_window.write_all(&requests).await.unwrap();
    eventually("who has closed its window is let go", || async {
        (server.instruments.ended_connections(ConnectionEnd::WriteTimeout) == 1).then_some(())
    })
    .await;

    // Over HTTP/2 a client can stall an answer while the connection itself stays active.
    let mut http2 = Http2Client::connect(&server.address).await;
    let unread = http2.begin("/docs", &[]).await;
    eventually("who does not read a stream is let go", || async {
        (server.instruments.ended_connections(ConnectionEnd::RequestTimeout) == 1).then_some(())
    })
    .await;
    assert!(unread.into_body().collect().await.is_err(), "the answer was cut off");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_unread_live_stream_is_ended() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_short_deadlines(&database)).await;
    let mut http2 = Http2Client::connect_with_window(&server.address, 10).await;
    let authorization = format!("Bearer {}", server.admin_token);
    let unread = http2.begin("/api/events", &[("authorization", &authorization)]).await;
    assert_eq!(unread.status(), StatusCode::OK);
    let (mut agent, _, _) = server.enroll("web-1").await;
    agent.store(1, json!([sample(now())])).await;
    eventually("who does not read events is let go", || async {
        (server.instruments.ended_connections(ConnectionEnd::WriteTimeout) == 1).then_some(())
    })
    .await;
    drop(unread);
    server.stop().await.unwrap();
}

/// Waits until a request begun now has missed every deadline.
async fn outlast_all_deadlines(server: &TestServer) {
    let before = server.instruments.ended_connections(ConnectionEnd::RequestTimeout);
    let mut http2 = Http2Client::connect(&server.address).await;
    let unread = http2.begin("/docs", &[]).await;
    eventually("a request has missed the last deadline", || async {
        (before < server.instruments.ended_connections(ConnectionEnd::RequestTimeout)).then_some(())
    })
    .await;
    drop(unread);
}

#[tokio::test]
async fn agents_and_live_streams_in_use_are_kept() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(with_short_deadlines(&database)).await;
    let (mut agent, _, _) = server.enroll("web-1").await;
    let events = server.http.get(server.url("/api/events")).bearer_auth(&server.admin_token);
    let mut events = events.send().await.unwrap();
    outlast_all_deadlines(&server).await;
    agent.store(1, json!([sample(now())])).await;
    let event = timeout(TIMEOUT, events.chunk()).await.unwrap().unwrap().unwrap();
    assert!(event.starts_with(b"event:") || event.starts_with(b":"), "{event:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_connection_in_use_is_kept_and_a_slow_upload_gets_through() {
    let database = TestDatabase::on_server().await;
    let mut config = with_short_deadlines(&database);
    // On a busy machine it takes a while from one request to the next, and from the first byte of a body to the last.
    config.server.idle_timeout_ms = 3_000;
    config.server.body_timeout_ms = 60_000;
    config.server.request_timeout_ms = 60_000;
    let server = TestServer::start_with(config).await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let mut answer = vec![0; 8 * 1024];
    let n_ended = || server.instruments.ended_connections(ConnectionEnd::IdleTimeout);
    let begun = n_ended();
    // Meanwhile the administrator's client has used connections that end.
    while n_ended() == begun {
        stream.write_all(HEALTHZ).await.unwrap();
        let count = stream.read(&mut answer).await.unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200"));
        sleep(DRIP).await;
    }
    let body = json!({"username": "admin", "password": ADMIN_PASSWORD}).to_string();
    let head = format!(
        "POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for byte in body.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        sleep(DRIP).await;
    }
    let count = stream.read(&mut answer).await.unwrap();
    assert!(answer[..count].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..count]));
    server.stop().await.unwrap();
}

async fn connect_from(server: &TestServer, address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    socket.connect(server.address.parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn addresses_that_hold_all_connections_lock_nobody_out() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.server.connections_max = 20;
    config.server.connections_per_address_max = 5;
    let server = TestServer::start_with(config).await;
    let (mut agent, _, _) = server.enroll("web-1").await;
    let events = server.http.get(server.url("/api/events")).bearer_auth(&server.admin_token);
    let mut events = events.send().await.unwrap();
    let mut held = Vec::new();
    for n in 2..=9 {
        for _ in 0..5 {
            let mut stream = connect_from(&server, &format!("127.0.0.{n}")).await;
            // A connection that had to give way at once cannot be written to.
            if stream.write_all(HTTP2).await.is_ok() {
                held.push(stream);
            }
        }
    }
    eventually("all places are taken", || async { (20 <= server.instruments.connections()).then_some(()) })
        .await;
    let answer = client_from("127.0.0.100").get(server.url("/healthz")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(0 < server.instruments.ended_connections(ConnectionEnd::Displaced));
    // A registered agent keeps its connection.
    agent.store(1, json!([sample(now())])).await;
    assert!(timeout(TIMEOUT, events.chunk()).await.unwrap().unwrap().is_some());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_does_not_register_gives_way() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.server.connections_max = 4;
    config.ingest.register_timeout_ms = 3_600_000;
    let server = TestServer::start_with(config).await;
    let mut stranger = AgentClient::connect(&server.address, None).await;
    let mut held = Vec::new();
    let closed = timeout(TIMEOUT, async {
        tokio::select! {
            closed = stranger.closed() => closed,
            () = async {
                loop {
                    let mut newcomer = TcpStream::connect(&server.address).await.unwrap();
                    // A connection over the limit is closed at once.
                    drop(newcomer.write_all(HALF_A_HEADER).await);
                    held.push(newcomer);
                    sleep(DRIP).await;
                }
            } => None,
        }
    });
    // 1013: try again later.
    assert_eq!(closed.await.unwrap(), Some(1013));
    server.stop().await.unwrap();
}
