//! Answers are compressed for clients that ask, for lists, and for nothing that must not be compressed.

use std::io::Read as _;

use serde_json::{Value, json};

use crate::support::server::config;
use crate::support::{TestDatabase, TestServer};

/// Reads what the server sends, ignoring its encoding.
async fn get(server: &TestServer, path: &str, encodings: &str) -> (reqwest::header::HeaderMap, Vec<u8>) {
    let request = server.http.get(server.url(path)).bearer_auth(&server.admin_token);
    let response = request.header("Accept-Encoding", encodings).send().await.unwrap();
    assert_eq!(response.status(), 200);
    (response.headers().clone(), response.bytes().await.unwrap().to_vec())
}

fn unpacked(bytes: &[u8]) -> Value {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn long_lists_are_compressed_for_clients_that_accept_it() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.server.cors_origins = vec!["https://tool.example.org".to_owned()];
    let server = TestServer::start_with(config).await;
    let note = "many words ".repeat(500);
    let (_agent, id, _) = server.enroll("web-1").await;
    let labels = json!({"name": "", "tags": [], "note": note});
    assert_eq!(server.put(&format!("/api/agents/{id}"), labels.clone()).await.status, 200);

    let (headers, bytes) = get(&server, "/api/agents", "br, gzip").await;
    assert_eq!(
        (&headers["content-encoding"], &headers["vary"]),
        (&"gzip".parse().unwrap(), &"Accept-Encoding".parse().unwrap())
    );
    assert!(bytes.len() < note.len() / 4, "{} bytes", bytes.len());
    assert_eq!(unpacked(&bytes)["items"][0]["note"], note);
    let (headers, bytes) = get(&server, "/api/agents", "br").await;
    assert!(!headers.contains_key("content-encoding"));
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["items"][0]["note"], note);

    for path in ["/api/system/info", "/docs"] {
        let (headers, _) = get(&server, path, "gzip").await;
        assert!(!headers.contains_key("content-encoding"), "{path}");
    }
    let foreign = server.http.get(server.url("/api/agents")).bearer_auth(&server.admin_token);
    let foreign = foreign.header("Origin", "https://tool.example.org").send().await.unwrap();
    let vary: Vec<_> = foreign.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["Accept-Encoding", "Origin"]);
    // Neither a live stream nor the answer to a change, which might contain a new secret.
    let events = server.http.get(server.url("/api/events")).bearer_auth(&server.admin_token);
    let events = events.header("Accept-Encoding", "gzip").send().await.unwrap();
    assert!(!events.headers().contains_key("content-encoding"));
    drop(events);
    let change = server.http.put(server.url(&format!("/api/agents/{id}"))).bearer_auth(&server.admin_token);
    let change = change.header("Accept-Encoding", "gzip").json(&labels).send().await.unwrap();
    assert!(!change.headers().contains_key("content-encoding"));
    assert!(1_024 < change.bytes().await.unwrap().len());
    server.stop().await.unwrap();
}
