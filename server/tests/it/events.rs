//! Live events: changes in the fleet reach those who watch, and nobody else.

use futures_util::StreamExt as _;
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::client::{now, sample};
use crate::support::server::config;
use crate::support::{TestDatabase, TestServer, on_both_editions};

on_both_editions!(
    watchers_see_agents_connect_report_and_leave,
    only_requested_events_are_sent,
    newest_values_come_as_rows_and_in_full,
    changes_of_alerts_are_told_to_those_who_ask,
);

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

    /// Returns the name and the data of the next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        // Keep-alive comments are not events.
        let reading = tokio::time::timeout(std::time::Duration::from_secs(60), self.read());
        reading.await.expect("no event in time")
    }

    async fn read(&mut self) -> Option<(String, Value)> {
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
            let bytes = self.stream.next().await?.ok()?;
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

async fn watchers_see_agents_connect_report_and_leave(database: TestDatabase) {
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

/// Returns the next event, which must have this name.
async fn expect(watcher: &mut Watcher, name: &str) -> Value {
    let (found, data) = watcher.next().await.unwrap_or_else(|| panic!("ended before {name}"));
    assert_eq!((found.as_str(), &data["type"]), (name, &json!(name)), "{data}");
    data
}

async fn only_requested_events_are_sent(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let mut all = Watcher::start(&server, "?kinds=hello,agents&kinds=status").await;
    let mut by_default = Watcher::start(&server, "").await;
    let before = now();
    let hello = expect(&mut all, "hello").await;
    assert!(before - 60_000 < hello["serverTime"].as_i64().unwrap(), "{hello}");
    assert_eq!(hello["version"], env!("CARGO_PKG_VERSION"));
    assert!(hello["streamId"].is_string() && hello.get("columns").is_none(), "{hello}");

    let (mut agent, id, _) = server.enroll("web-1").await;
    let agents_event = |event: &Value| (event["agentId"].clone(), event["change"].clone());
    let created = expect(&mut all, "agents").await;
    assert_eq!(agents_event(&created), (json!(id), json!("created")));
    assert_eq!(expect(&mut all, "status").await["status"], 1);
    agent.store(1, json!([sample(now())])).await;
    let labels = json!({"name": "db", "tags": [], "note": ""});
    assert_eq!(server.put(&format!("/api/agents/{id}"), labels).await.status, 200);
    // Newest values were not requested.
    assert_eq!(agents_event(&expect(&mut all, "agents").await), (json!(id), json!("updated")));
    assert_eq!(server.delete(&format!("/api/agents/{id}")).await.status, 204);
    assert_eq!(agents_event(&expect(&mut all, "agents").await), (json!(id), json!("deleted")));

    // Clients of older releases know two kinds, with their original fields only.
    let mut names = Vec::new();
    for _ in 0..2 {
        let (name, data) = by_default.next().await.unwrap();
        let fields: Vec<_> = data.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["type", "metrics", "agentId", "status"]);
        names.push(name);
    }
    assert_eq!(names, ["status", "metrics"]);
    drop((all, by_default));
    server.stop().await.unwrap();
}

async fn newest_values_come_as_rows_and_in_full(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let (mut other, other_id, _) = server.enroll("web-2").await;
    let (mut third, ..) = server.enroll("web-3").await;
    let query = format!("?kinds=metrics&format=rows&agentId={id}&agentId={other_id}");
    let mut rows = Watcher::start(&server, &query).await;
    let columns = expect(&mut rows, "hello").await["columns"].clone();
    let mut full = Watcher::start(&server, &format!("?kinds=metrics&detail=full&agentId={id}")).await;
    let ts = now();
    third.store(1, json!([sample(ts)])).await;
    other.store(1, json!([sample(ts)])).await;
    agent.store(1, json!([sample(ts)])).await;

    for expected in [&other_id, &id] {
        let event = expect(&mut rows, "metrics").await;
        assert_eq!(event["metrics"], json!([]));
        let row = &event["rows"][0];
        let latest = server.get("/api/agents/metrics/latest").await.body;
        let names: Vec<_> = columns.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let value = |name: &str| &row[names.iter().position(|known| *known == name).unwrap()];
        assert_eq!((value("agentId"), value("timestamp")), (&json!(expected), &json!(ts)), "{event}");
        assert_eq!((value("cpuUsagePercent"), value("load1")), (&json!(45.5), &json!(0.5)));
        assert_eq!(latest["items"][0].as_object().unwrap().keys().collect::<Vec<_>>(), names);
    }
    let event = expect(&mut full, "metrics").await;
    assert_eq!(event["metrics"][0]["agentId"], json!(id));
    assert_eq!(event["detail"], server.get(&format!("/api/agents/{id}/metrics/latest")).await.body);
    assert_eq!(event["detail"]["disks"].as_array().unwrap().len(), 2);
    drop((rows, full));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_late_watcher_reads_what_earlier_events_contained() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let mut watcher = Watcher::start(&server, "?kinds=metrics").await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let ts = now();
    agent.store(1, json!([sample(ts)])).await;
    expect(&mut watcher, "metrics").await;
    let latest = server.get("/api/agents/metrics/latest").await.body;
    assert_eq!((latest["total"].as_u64(), &latest["items"][0]["agentId"]), (Some(1), &json!(id)));
    assert_eq!(
        (&latest["items"][0]["timestamp"], &latest["items"][0]["cpuUsagePercent"]),
        (&json!(ts), &json!(45.5))
    );
    drop(watcher);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn newest_values_are_sent_no_more_often_than_requested() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let (mut other, other_id, _) = server.enroll("web-2").await;
    let mut often = Watcher::start(&server, "?kinds=metrics").await;
    let mut seldom = Watcher::start(&server, "?kinds=metrics&intervalMs=2000").await;
    let ts = now() - 10_000;
    other.store(1, json!([sample(ts)])).await;
    for seq in 1..=5_i64 {
        agent.store(seq.cast_unsigned(), json!([sample(ts + 1_000 * seq)])).await;
        let (_, event) = often.next().await.unwrap();
        assert_eq!(event["metrics"].as_array().unwrap().len(), 1, "{event}");
    }
    // All of that in one event, with the newest values of each agent.
    let event = expect(&mut seldom, "metrics").await;
    let mut found: Vec<_> = event["metrics"].as_array().unwrap().iter().collect();
    found.sort_by_key(|latest| latest["timestamp"].as_i64());
    let of = |latest: &Value| (latest["agentId"].clone(), latest["timestamp"].clone());
    assert_eq!(
        found.into_iter().map(of).collect::<Vec<_>>(),
        [(json!(other_id), json!(ts)), (json!(id), json!(ts + 5_000))]
    );
    drop((often, seldom));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn invalid_streams_are_refused() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let id = "00000000-0000-4000-8000-000000000000";
    let many: String = (0..201).map(|n| format!("&agentId=00000000-0000-4000-8000-{n:012}")).collect();
    for (query, status) in [
        ("kinds=everything".to_owned(), 400),
        ("kinds=".to_owned(), 400),
        ("agentId=x".to_owned(), 400),
        ("intervalMs=999".to_owned(), 400),
        ("intervalMs=60001".to_owned(), 400),
        (many, 422),
        ("detail=full".to_owned(), 422),
        (format!("detail=full&agentId={id}&agentId={}", id.replace('4', "5")), 422),
        (format!("detail=full&agentId={id}"), 404),
        (format!("detail=summary&agentId={id}"), 200),
    ] {
        let answer = server.get(&format!("/api/events?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
    }
    server.stop().await.unwrap();
}

async fn changes_of_alerts_are_told_to_those_who_ask(database: TestDatabase) {
    // The evaluator would end what it does not know of.
    let mut config = config(&database.url);
    config.alerting.enabled = false;
    let server = TestServer::start_with(config).await;
    let client = database.connect().await;
    let insert = "INSERT INTO alerts (id, rule_name, rule_version, agent_id, severity, peak_severity, state, started_at, \
             fired_at, changed_at) VALUES (gen_random_uuid(), 'busy', 1, gen_random_uuid(), 2, 2, 'firing', $1, $1, $1) \
         RETURNING id::text, agent_id::text";
    client.query_one(insert, &[&now()]).await.unwrap();
    let mut watcher = Watcher::start(&server, "?kinds=alert").await;
    let mut of_another =
        Watcher::start(&server, "?kinds=alert&agentId=00000000-0000-4000-8000-000000000000").await;
    let row = client.query_one(insert, &[&now()]).await.unwrap();
    let (id, agent): (String, String) = (row.get(0), row.get(1));
    // What fired before is known, and what is not wanted is not sent.
    let fired = expect(&mut watcher, "alert").await;
    assert_eq!((&fired["alertId"], &fired["change"]), (&json!(id), &json!("fired")), "{fired}");
    let mut of_its = Watcher::start(&server, &format!("?kinds=alert&agentId={agent}")).await;
    let end = "UPDATE alerts SET state = 'resolved', ended_at = $2, changed_at = $2, version = version + 1 \
         WHERE id = $1::text::uuid";
    client.execute(end, &[&id, &now()]).await.unwrap();
    for watcher in [&mut watcher, &mut of_its] {
        let ended = expect(watcher, "alert").await;
        assert_eq!((&ended["alertId"], &ended["change"]), (&json!(id), &json!("ended")), "{ended}");
    }
    server.begin_stop();
    assert!(of_another.next().await.is_none(), "nothing was about that agent");
    server.stop().await.unwrap();
}
