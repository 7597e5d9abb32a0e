//! Live events: what changes in the fleet reaches those who watch, and nobody else.

use futures_util::StreamExt as _;
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::client::{now, sample};
use crate::support::server::config;
use crate::support::{TestDatabase, TestServer, on_both_editions};

on_both_editions!(watchers_see_agents_come_report_and_go);

/// Reads events.
struct Watcher {
    stream: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    read: String,
}

impl Watcher {
    async fn start(server: &TestServer, query: &str) -> Self {
        let request =
            server.http.get(server.url(&format!("/api/events{query}"))).bearer_auth(&server.admin_token);
        Self::of(request.send().await.unwrap())
    }

    fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { stream: Box::pin(response.bytes_stream()), read: String::new() }
    }

    /// The name and the data of the next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                    line.map(|value| value.trim_start().to_owned())
                };
                let found = field("event").zip(field("data"));
                self.read = rest.to_owned();
                if let Some((name, data)) = found {
                    return Some((name, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let next = tokio::time::timeout(std::time::Duration::from_secs(60), self.stream.next());
            let bytes = next.await.expect("no event in time")?.ok()?;
            self.read.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    async fn next_of(&mut self, name: &str) -> Value {
        loop {
            let (found, data) = self.next().await.unwrap_or_else(|| panic!("ended before {name}"));
            assert_eq!(data["type"], found);
            if found == name {
                return data;
            }
        }
    }
}

async fn watchers_see_agents_come_report_and_go(database: TestDatabase) {
    let mut config = config(&database.url);
    config.ingest.reconnect_grace_ms = 50;
    let server = TestServer::start_with(config).await;
    let mut watcher = Watcher::start(&server, "").await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let came = watcher.next_of("status").await;
    assert_eq!((&came["agentId"], &came["status"]), (&json!(id), &json!(1)));

    let mut only_another = Watcher::start(&server, "?agentId=00000000-0000-4000-8000-000000000000").await;
    let ts = now();
    agent.store(1, json!([sample(ts)])).await;
    let reported = watcher.next_of("metrics").await;
    let metrics = &reported["metrics"][0];
    assert_eq!((&metrics["agentId"], &metrics["timestamp"]), (&json!(id), &json!(ts)));
    assert_eq!(metrics["cpuUsagePercent"], 45.5);

    agent.close().await;
    let went = watcher.next_of("status").await;
    assert_eq!((&went["agentId"], &went["status"]), (&json!(id), &json!(0)));

    server.begin_stop();
    assert!(watcher.next().await.is_none(), "a stop ends the stream");
    assert!(only_another.next().await.is_none(), "nothing was about that agent");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn events_end_with_the_login() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let mut watcher = Watcher::start(&server, "").await;
    let (_agent, ..) = server.enroll("web-1").await;
    watcher.next_of("status").await;
    assert_eq!(server.post("/api/logout", json!({})).await.status, 204);
    while watcher.next().await.is_some() {}
    let answer =
        server.http.get(server.url("/api/events")).bearer_auth(&server.admin_token).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    server.stop().await.unwrap();
}
