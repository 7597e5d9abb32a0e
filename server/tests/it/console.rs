//! The console's addresses next to the API's: neither serves the other's.

use reqwest::Method;
use serde_json::Value;

use crate::support::{TestDatabase, TestServer};

/// Paths that belong to neither.
const WRONG: [&str; 12] = [
    "/api",
    "/api/",
    "/api/nothing",
    "/api/agents/7/nothing",
    "/ws/nothing",
    "/docs/nothing",
    "/metrics/nothing",
    "/healthz/nothing",
    "/index.html",
    "/agentsx",
    "/assets/missing.js",
    "/favicon.ico",
];

fn description() -> Value {
    serde_json::from_str(include_str!("../../../openapi/openapi.json")).unwrap()
}

/// Returns the media type without parameters.
fn kind(answer: &reqwest::Response) -> String {
    let value = answer.headers().get("content-type").map(|value| value.to_str().unwrap()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_console_takes_no_path_of_the_api() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let ask = async |method: Method, path: &str| {
        server.http.request(method, server.url(path)).send().await.unwrap()
    };
    for path in description()["paths"].as_object().unwrap().keys() {
        let path = path.replace(['{', '}'], "");
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let answer = ask(method.clone(), &path).await;
            assert_ne!(kind(&answer), "text/html", "{method} {path}");
        }
    }
    for path in WRONG {
        let answer = ask(Method::GET, path).await;
        assert_eq!((answer.status().as_u16(), kind(&answer).as_str()), (404, "application/json"), "{path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["code"], "not_found", "{path}");
    }
    server.stop().await.unwrap();
}

/// Whether it is the page or a not-found page depends on what was built; the policy does not.
#[tokio::test]
async fn the_console_s_addresses_are_pages() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    for path in [
        "/",
        "/agents",
        "/agents/7",
        "/compare",
        "/add",
        "/alerts/rules",
        "/settings/users",
        "/account",
        "/login",
    ] {
        let answer = server.http.get(server.url(path)).send().await.unwrap();
        assert_eq!(kind(&answer), "text/html", "{path}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("require-trusted-types-for 'script'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe-"), "{path}: {policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
    }
    let posted = server.http.post(server.url("/agents")).send().await.unwrap();
    assert_eq!((posted.status().as_u16(), kind(&posted).as_str()), (404, "application/json"));
    server.stop().await.unwrap();
}
