//! Common to all requests and answers: the client's address, and headers for browsers.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::client::now;
use crate::support::server::{ADMIN_PASSWORD, Answer, answer, config};
use crate::support::{AgentClient, Http2Client, TestDatabase, TestServer, register_message};

const EVIL: &str = "https://evil.example.org";

fn login(server: &TestServer) -> RequestBuilder {
    let body = json!({"username": "admin", "password": ADMIN_PASSWORD});
    server.http.post(server.url("/api/login")).json(&body)
}

async fn newest_session_address(database: &TestDatabase) -> String {
    let sql = "SELECT address FROM sessions ORDER BY created_at DESC LIMIT 1";
    database.connect().await.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn forged_forwarded_headers_are_ignored() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let forged = login(&server).header("X-Forwarded-For", "203.0.113.9").header("X-Forwarded-Proto", "https");
    let forged = answer(forged).await;
    assert!(!forged.headers["set-cookie"].to_str().unwrap().contains("Secure"), "{forged:?}");
    assert!(!forged.headers.contains_key("strict-transport-security"));
    assert_eq!(newest_session_address(&database).await, "127.0.0.1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_trusted_proxy_provides_the_client_address() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let server = TestServer::start_with(config).await;
    let forwarded = "192.0.2.66, 203.0.113.9, 127.0.0.7";
    let proxied = login(&server).header("X-Forwarded-For", forwarded).header("X-Forwarded-Proto", "https");
    let proxied = answer(proxied).await;
    assert!(proxied.headers["set-cookie"].to_str().unwrap().contains("; Secure"), "{proxied:?}");
    assert!(proxied.headers.contains_key("strict-transport-security"));
    assert_eq!(newest_session_address(&database).await, "203.0.113.9");

    let token = server.enrollment_token(1).await;
    let headers = [("X-Forwarded-For", forwarded)];
    let mut agent = AgentClient::try_connect(&server.address, &headers).await.unwrap();
    agent.send(&register_message("web-1", Some(&token))).await;
    agent.receive_type("register_ack").await;
    let agents = server.get("/api/agents").await.body;
    assert_eq!(agents["items"][0]["remoteAddress"], "203.0.113.9");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    for path in ["/api/agents", "/api/nothing", "/nothing", "/docs", "/healthz", "/ws/agent"] {
        let answer = server.get(path).await;
        let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(header("cross-origin-opener-policy"), Some("same-origin"), "{path}");
        assert_eq!(header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
        assert_eq!(header("strict-transport-security"), None, "{path} came in clear");
        let no_store = path.starts_with("/api/").then_some("no-store");
        assert_eq!(header("cache-control"), no_store, "{path}");
        let policy = header("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        let scripts = policy.split(';').find(|part| part.trim().starts_with("script-src"));
        assert!(!scripts.unwrap_or(policy).contains("unsafe"), "{path}: {policy}");
        assert_eq!(policy.contains("'sha256-"), path == "/docs", "{path}: {policy}");
    }
    let mut config = config(&database.url);
    config.server.public_url = "https://pika.example.org".to_owned();
    let public = TestServer::start_with(config).await;
    assert!(public.get("/healthz").await.headers.contains_key("strict-transport-security"));
    public.stop().await.unwrap();
    server.stop().await.unwrap();
}

/// Sends a request like a browser with the session of the page's viewer.
async fn with_cookie(server: &TestServer, method: Method, headers: &[(&str, &str)]) -> Answer {
    let mut request = server.http.request(method, server.url("/api/enrollments"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = json!({"name": "x", "maxUses": 1, "expiresAt": now() + 60_000});
    answer(request.header("Cookie", format!("pika_session={}", server.admin_token)).json(&body)).await
}

#[tokio::test]
async fn pages_of_other_origins_cannot_use_a_session() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.server.public_url = "https://pika.example.org".to_owned();
    config.server.cors_origins = vec!["https://tool.example.org".to_owned()];
    let server = TestServer::start_with(config).await;
    for origin in ["https://pika.example.org", "https://tool.example.org"] {
        let allowed = with_cookie(&server, Method::POST, &[("Origin", origin)]).await;
        assert_eq!(allowed.status, 201, "{origin}: {allowed:?}");
    }
    assert_eq!(with_cookie(&server, Method::POST, &[]).await.status, 201, "a program");
    // The request's own host is not trusted: anybody's name may point to it.
    let rebound = format!("http://{}", server.address);
    for headers in
        [("Origin", EVIL), ("Origin", "null"), ("Origin", &rebound), ("Sec-Fetch-Site", "cross-site")]
    {
        let refused = with_cookie(&server, Method::POST, &[headers]).await;
        assert_eq!((refused.status, &refused.body["code"]), (403, &json!("forbidden")), "{headers:?}");
        assert_eq!(refused.body["requestId"], refused.headers["x-request-id"].to_str().unwrap());
        let read = with_cookie(&server, Method::GET, &[headers]).await;
        assert_eq!(read.status, 200, "reading does no harm, and the page does not get to see it");
    }
    assert_eq!(database.count("SELECT count(*) FROM enrollments").await, 3);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_cross_site_upgrade_is_refused() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let own = format!("http://{}", server.address);
    for headers in [("Origin", EVIL), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
        assert_eq!(
            AgentClient::try_connect(&server.address, &[headers]).await.err(),
            Some(403),
            "{headers:?}"
        );
    }
    assert!(AgentClient::try_connect(&server.address, &[("Origin", &own)]).await.is_ok());
    assert!(AgentClient::try_connect(&server.address, &[]).await.is_ok());
    server.stop().await.unwrap();
}

async fn preflight(server: &TestServer, origin: &str) -> Answer {
    let request = server.http.request(Method::OPTIONS, server.url("/api/agents"));
    answer(request.header("Origin", origin).header("Access-Control-Request-Method", "GET")).await
}

#[tokio::test]
async fn other_origins_read_the_api_only_where_they_are_named() {
    const TOOL: &str = "https://tool.example.org";
    let database = TestDatabase::on_server().await;
    let closed = TestServer::start(&database.url).await;
    assert!(!preflight(&closed, TOOL).await.headers.contains_key("access-control-allow-origin"));
    closed.stop().await.unwrap();

    let mut config = config(&database.url);
    config.server.cors_origins = vec![TOOL.to_owned()];
    let server = TestServer::start_with(config).await;
    let allowed = preflight(&server, TOOL).await;
    assert_eq!(
        (allowed.status, &allowed.headers["access-control-allow-origin"]),
        (204, &TOOL.parse().unwrap())
    );
    assert!(allowed.headers["access-control-allow-headers"].to_str().unwrap().contains("Authorization"));
    assert!(!preflight(&server, EVIL).await.headers.contains_key("access-control-allow-origin"));
    for (token, status) in [(server.admin_token.as_str(), 200), ("wrong", 401)] {
        let request = server.http.get(server.url("/api/agents")).header("Origin", TOOL).bearer_auth(token);
        let read = answer(request).await;
        assert_eq!(
            (read.status, &read.headers["access-control-allow-origin"]),
            (status, &TOOL.parse().unwrap())
        );
        assert_eq!(read.headers["vary"], "Origin");
        assert!(!read.headers.contains_key("access-control-allow-credentials"));
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn oversized_bodies_are_refused_whatever_they_announce() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.server.anonymous_body_bytes_max = 1_024;
    let server = TestServer::start_with(config).await;
    let body = json!({"username": "x".repeat(2_000), "password": "b"}).to_string();
    let chunks: Vec<Result<String, std::io::Error>> = vec![Ok(body.clone())];
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    for body in [reqwest::Body::from(body), chunked] {
        let request = server.http.post(server.url("/api/login")).header("Content-Type", "application/json");
        let refused = answer(request.body(body)).await;
        assert_eq!((refused.status, &refused.body["code"]), (413, &json!("payload_too_large")));
        let message = refused.body["message"].as_str().unwrap();
        assert!(message.contains("1024") && message.contains("anonymous_body_bytes_max"), "{message}");
    }
    // A logged-in user may send more; this is too long for a name.
    let body = json!({"name": "x".repeat(2_000), "maxUses": 1, "expiresAt": i64::MAX});
    assert_eq!(server.post("/api/enrollments", body).await.status, 400);
    assert_eq!(server.get("/healthz").await.status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_documentation_runs_under_its_policy() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let page = answer(server.http.get(server.url("/docs"))).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let Value::String(html) = &page.body else { panic!("a page") };
    // One big script, one that starts it, and nothing from elsewhere.
    let scripts = policy.split(';').find(|part| part.trim().starts_with("script-src")).unwrap();
    assert_eq!(scripts.matches("'sha256-").count(), 2, "{policy}");
    for loading in ["<script src", "<link ", "@import", " onload=", " onclick="] {
        assert!(!html.contains(loading), "{loading}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_session_is_found_in_any_of_several_cookie_fields() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    // HTTP/2 lets a client send each cookie in its own field, and browsers do.
    let mut client = Http2Client::connect(&server.address).await;
    let session = format!("pika_session={}", server.admin_token);
    for fields in [["theme=dark", &session], [&session, "theme=dark"], ["a=1; b=2", &session]] {
        let headers = fields.map(|field| ("cookie", field));
        let (status, body) = client.get("/api/agents", &headers).await;
        assert_eq!(status, 200, "{fields:?}: {body:?}");
    }
    server.stop().await.unwrap();
}
