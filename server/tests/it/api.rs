//! Good and bad requests, and the common format of errors.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rollups::maintain;
use crate::support::client::{now, sample};
use crate::support::server::{Answer, answer};
use crate::support::{TestDatabase, TestServer, on_both_editions};

on_both_editions!(metrics_come_in_buckets);

async fn metrics_come_in_buckets(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let minute = (now() - 120_000) / 60_000 * 60_000;
    let mut low = sample(minute);
    low["cpu"]["usagePercent"] = json!(10.5);
    let mut high = sample(minute + 30_000);
    high["cpu"]["usagePercent"] = json!(90.5);
    agent.store(1, json!([low, high])).await;
    // These samples are a little late, so they are rolled up explicitly.
    maintain(&database.store(), now()).await;
    let query = |family: &str| {
        format!(
            "/api/agents/{id}/metrics?type={family}&start={minute}&end={}&interval=60000",
            minute + 60_000
        )
    };
    let cpu = server.get(&query("cpu")).await.body;
    assert_eq!((&cpu["agentId"], &cpu["type"], &cpu["tier"]), (&json!(id), &json!("cpu"), &json!("1m")));
    assert_eq!((&cpu["timestamps"], &cpu["intervalMs"]), (&json!([minute]), &json!(60_000)));
    let usage = &cpu["series"][0];
    assert_eq!((&usage["metric"], &usage["unit"]), (&json!("usagePercent"), &json!("percent")));
    assert_eq!(
        (&usage["avg"], &usage["min"], &usage["max"]),
        (&json!([50.5]), &json!([10.5]), &json!([90.5]))
    );
    assert!(cpu["series"].as_array().unwrap().iter().all(|series| series["metric"] != "stealPercent"));

    let disk = server.get(&query("disk")).await.body;
    let mounts: Vec<_> = disk["series"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|series| series["metric"] == "usagePercent")
        .collect();
    assert_eq!(
        (&mounts[0]["mountPoint"], &mounts[0]["device"], &mounts[0]["avg"]),
        (&json!("/"), &json!("/dev/sda1"), &json!([50.0]))
    );
    assert_eq!((&mounts[1]["mountPoint"], &mounts[1]["avg"]), (&json!("/data"), &json!([10.0])));

    let network = server.get(&query("network")).await.body;
    let received = &network["series"][0];
    assert_eq!(
        (&received["interface"], &received["unit"], &received["avg"]),
        (&json!("eth0"), &json!("bytesPerSecond"), &json!([100.0]))
    );
    for family in ["memory", "load"] {
        let answer = server.get(&query(family)).await;
        assert_eq!(
            (answer.status, answer.body["timestamps"].as_array().unwrap().len()),
            (200, 1),
            "{family}"
        );
    }
    server.stop().await.unwrap();
}

fn assert_error(answer: &Answer, status: u16, code: &str, mentions: &str) {
    assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{answer:?}");
    let message = answer.body["message"].as_str().unwrap();
    assert!(message.contains(mentions), "{message:?} should mention {mentions:?}");
    assert!(!message.contains("_int64") && !message.contains("string_uuid"), "{message:?}");
    let request_id = answer.headers["x-request-id"].to_str().unwrap();
    assert_eq!(answer.body["requestId"], request_id);
}

#[tokio::test]
async fn bad_queries_name_the_parameter() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (_agent, id, _) = server.enroll("web-1").await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    let cases = [
        (format!("/api/agents/{id}/metrics?type=nothing"), 400, "bad_request", "type"),
        (format!("/api/agents/{id}/metrics"), 400, "bad_request", "type"),
        (format!("/api/agents/{id}/metrics?type=cpu&start=yesterday"), 400, "bad_request", "start"),
        (format!("/api/agents/{id}/metrics?type=cpu&start=2&end=1"), 422, "unprocessable", "start"),
        (format!("/api/agents/{id}/metrics?type=cpu&start=-5"), 422, "unprocessable", "start"),
        (format!("/api/agents/{id}/metrics?type=cpu&start=0"), 422, "unprocessable", "start"),
        (format!("/api/agents/{id}/metrics?type=cpu&points=5001"), 422, "unprocessable", "points"),
        (format!("/api/agents/{id}/metrics?type=cpu&points=-1"), 400, "bad_request", "points"),
        (format!("/api/agents/{id}/metrics?type=cpu&interval=1"), 422, "unprocessable", "interval"),
        (format!("/api/agents/{id}/metrics?type=cpu&end={}", i64::MAX), 422, "unprocessable", "end"),
        (format!("/api/agents/{unknown}/metrics?type=cpu"), 404, "not_found", unknown),
        (format!("/api/agents/{unknown}/metrics/latest"), 404, "not_found", unknown),
        (format!("/api/agents/{unknown}"), 404, "not_found", unknown),
        ("/api/agents/not-a-uuid".to_owned(), 400, "bad_request", "id"),
        ("/api/nothing".to_owned(), 404, "not_found", "path"),
        ("/nothing".to_owned(), 404, "not_found", "path"),
        ("/ws/agent".to_owned(), 400, "bad_request", "request"),
    ];
    for (path, status, code, mentions) in cases {
        assert_error(&server.get(&path).await, status, code, mentions);
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let post = |body: String, content_type: &str| {
        let request =
            server.http.post(server.url("/api/login")).header("Content-Type", content_type.to_owned());
        answer(request.body(body))
    };
    assert_error(&post("{".to_owned(), "application/json").await, 400, "bad_request", "body");
    assert_error(&post("{}".to_owned(), "application/json").await, 400, "bad_request", "username");
    let extra = json!({"username": "a", "password": "b", "admin": true}).to_string();
    assert_error(&post(extra, "application/json").await, 400, "bad_request", "admin");
    assert_error(
        &post("username=a".to_owned(), "application/x-www-form-urlencoded").await,
        415,
        "unsupported_media_type",
        "json",
    );
    let large = json!({"username": "x".repeat(2 << 20), "password": "b"}).to_string();
    assert_error(&post(large, "application/json").await, 413, "payload_too_large", "too large");
    let put = server.request(Method::PUT, "/api/login", None, Some(json!({}))).await;
    assert_error(&put, 405, "method_not_allowed", "method");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn everything_but_health_and_logging_in_needs_a_login() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let description: Value = serde_json::from_str(&pika_server::api::description().unwrap()).unwrap();
    let open = ["/healthz", "/readyz", "/api/login", "/api/auth", "/ws/agent"];
    let mut n_guarded = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            if open.contains(&path.as_str()) {
                continue;
            }
            let path = path.replace("{id}", "00000000-0000-4000-8000-000000000000");
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = (method == Method::POST).then(|| json!({}));
            let answer = server.request(method, &path, None, body).await;
            assert_error(&answer, 401, "unauthorized", "log in");
            n_guarded += 1;
        }
    }
    assert!(8 <= n_guarded, "{n_guarded}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_documentation_is_served() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let page = answer(server.http.get(server.url("/docs"))).await;
    assert_eq!(page.status, 200);
    assert!(page.body.as_str().unwrap().to_lowercase().contains("swagger"), "{page:?}");
    let description = answer(server.http.get(server.url("/api/openapi.json"))).await;
    let committed: Value = serde_json::from_str(&pika_server::api::description().unwrap()).unwrap();
    assert_eq!((description.status, &description.body), (200, &committed));
    assert!(
        page.body.as_str().unwrap().contains(&pika_server::api::description().unwrap()),
        "another one in the page"
    );
    let info = server.get("/api/system/info").await.body;
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    server.stop().await.unwrap();
}
