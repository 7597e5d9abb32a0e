//! API tokens are shown once, never exceed their user, and cannot create more tokens.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::now;
use crate::support::server::Answer;
use crate::support::{TestDatabase, TestServer, eventually, on_both_editions};

const PASSWORD: &str = "a password of eight or more";
const ALL: [&str; 5] = ["read", "agents:write", "users:write", "settings:write", "channels:write"];

on_both_editions!(an_api_token_is_created_listed_used_and_deleted);

async fn status(server: &TestServer, method: Method, path: &str, token: &str, body: Option<Value>) -> u16 {
    server.request(method, path, Some(token), body).await.status
}

async fn login_with(server: &TestServer, token: &str) -> Answer {
    server.request(Method::POST, "/api/auth", None, Some(json!({"token": token}))).await
}

async fn an_api_token_is_created_listed_used_and_deleted(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let expires_at = now() + 60_000;
    let body = json!({"name": "backup", "scopes": ["agents:write", "read", "read"], "expiresAt": expires_at});
    let made = server.post("/api/tokens", body).await;
    assert_eq!((made.status, &made.body["scopes"]), (201, &json!(["read", "agents:write"])), "{made:?}");
    let token = made.body["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("pika_api_"), "{token}");
    let listed = server.get("/api/tokens").await.body;
    assert_eq!(listed["total"], 1);
    let item = &listed["items"][0];
    assert_eq!((&item["name"], &item["expiresAt"]), (&json!("backup"), &json!(expires_at)));
    assert_eq!((item.get("token"), &item["lastUsedAt"]), (None, &Value::Null));

    assert_eq!(status(&server, Method::GET, "/api/agents", &token, None).await, 200);
    eventually("the use is written down", || async {
        let listed = server.get("/api/tokens").await.body;
        listed["items"][0]["lastUsedAt"].as_i64()
    })
    .await;
    let path = format!("/api/tokens/{}", made.body["id"].as_str().unwrap());
    assert_eq!(server.delete(&path).await.status, 204);
    assert_eq!(server.delete(&path).await.status, 404);
    assert_eq!(status(&server, Method::GET, "/api/agents", &token, None).await, 401);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let token = server.api_token(&server.admin_token, &["read"]).await;
    let client = database.connect().await;
    for (ago_ms, is_written) in [(30_000, false), (61_000, true)] {
        let before = now() - ago_ms;
        client.execute("UPDATE api_tokens SET last_used_at = $1", &[&before]).await.unwrap();
        assert_eq!(status(&server, Method::GET, "/api/agents", &token, None).await, 200);
        let after = database.count("SELECT last_used_at FROM api_tokens").await;
        assert_eq!(before < after, is_written, "{ago_ms}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_expired_token_is_useless_and_is_deleted() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let token = server.api_token(&server.admin_token, &ALL).await;
    let client = database.connect().await;
    client.execute("UPDATE api_tokens SET expires_at = $1", &[&(now() - 1)]).await.unwrap();
    assert_eq!(status(&server, Method::GET, "/api/agents", &token, None).await, 401);
    assert_eq!(login_with(&server, &token).await.status, 401);
    // The server also does this periodically.
    database.store().delete_expired_api_tokens(now()).await.unwrap();
    assert_eq!(database.count("SELECT count(*) FROM api_tokens").await, 0);
    for (name, value) in [("expiresAt", json!(now() - 1)), ("scopes", json!([])), ("name", json!(" "))] {
        let mut body = json!({"name": "x", "scopes": ["read"]});
        body[name] = value;
        let answer = server.post("/api/tokens", body).await;
        assert!(
            answer.status == 422 && answer.body["message"].as_str().unwrap().starts_with(name),
            "{answer:?}"
        );
    }
    let unknown = server.post("/api/tokens", json!({"name": "x", "scopes": ["everything"]})).await;
    assert_eq!(unknown.status, 400);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_cannot_exceed_its_scopes_nor_its_users_role() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    server.create_user("ana", "user", PASSWORD).await;
    let ana = server.session("ana", PASSWORD).await;
    let reads = server.api_token(&server.admin_token, &["read"]).await;
    let writes = server.api_token(&server.admin_token, &["agents:write"]).await;
    let all_of_ana = server.api_token(&ana, &ALL).await;
    let enrollment = || Some(json!({"name": "x", "expiresAt": now() + 60_000, "maxUses": 1}));
    let expected = [(&reads, 200, 403), (&writes, 403, 201), (&all_of_ana, 200, 403)];
    for (token, get, post) in expected {
        assert_eq!(status(&server, Method::GET, "/api/agents", token, None).await, get);
        assert_eq!(status(&server, Method::POST, "/api/enrollments", token, enrollment()).await, post);
    }
    // The current role counts, not the one at creation.
    server.create_user("root", "admin", PASSWORD).await;
    let root = server.session("root", PASSWORD).await;
    let me = server.get("/api/account/info").await.body["id"].as_str().unwrap().to_owned();
    let demote = Some(json!({"role": "user"}));
    assert_eq!(status(&server, Method::PUT, &format!("/api/users/{me}"), &root, demote).await, 200);
    assert_eq!(status(&server, Method::POST, "/api/enrollments", &writes, enrollment()).await, 403);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_cannot_mint_tokens_nor_outlive_its_end_in_any_other_way() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let token = server.api_token(&server.admin_token, &ALL).await;
    let me = server.get("/api/account/info").await.body["id"].as_str().unwrap().to_owned();
    let ana = server.create_user("ana", "user", PASSWORD).await;
    let disabled = server.create_user("bob", "admin", PASSWORD).await;
    server.post(&format!("/api/users/{disabled}/status"), json!({"status": 0})).await;
    for (method, path, body) in [
        (Method::POST, "/api/tokens".to_owned(), json!({"name": "x", "scopes": ["read"]})),
        (Method::GET, "/api/tokens".to_owned(), Value::Null),
        (Method::GET, "/api/account/sessions".to_owned(), Value::Null),
        (Method::POST, "/api/account/totp".to_owned(), json!({"password": "x"})),
        (Method::DELETE, format!("/api/users/{ana}/totp"), Value::Null),
        (Method::POST, format!("/api/users/{ana}/reset-password"), json!({"password": PASSWORD})),
        (
            Method::POST,
            format!("/api/users/{me}/password"),
            json!({"oldPassword": "x", "newPassword": PASSWORD}),
        ),
        (Method::PUT, format!("/api/users/{ana}"), json!({"role": "admin"})),
        (Method::POST, "/api/users".to_owned(), json!({"username": "eve", "role": "admin"})),
        (Method::POST, "/api/users".to_owned(), json!({"username": "eve", "password": PASSWORD})),
        (Method::POST, format!("/api/users/{disabled}/status"), json!({"status": 1})),
    ] {
        let body = (!body.is_null()).then_some(body);
        let answer = server.request(method.clone(), &path, Some(&token), body).await;
        let code = (answer.status, &answer.body["message"]);
        assert_eq!(code, (403, &json!("API tokens cannot do this; log in")), "{method} {path}");
    }
    // It can take power away, and create users as whom nobody can log in yet.
    let made =
        server.request(Method::POST, "/api/users", Some(&token), Some(json!({"username": "eve"}))).await;
    assert_eq!((made.status, &made.body["password"]), (201, &Value::Null), "{made:?}");
    let disable = Some(json!({"status": 0}));
    assert_eq!(
        status(&server, Method::POST, &format!("/api/users/{ana}/status"), &token, disable).await,
        200
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn everybody_manages_their_own_tokens_and_an_administrator_everybodys() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let ana_id = server.create_user("ana", "user", PASSWORD).await;
    let ana = server.session("ana", PASSWORD).await;
    server.api_token(&ana, &["read"]).await;
    server.api_token(&server.admin_token, &["read"]).await;
    let listed = server.request(Method::GET, "/api/tokens", Some(&ana), None).await.body;
    assert_eq!(listed["total"], 1);
    let of_admin = server.get("/api/tokens").await.body["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/tokens/{of_admin}");
    assert_eq!(status(&server, Method::DELETE, &path, &ana, None).await, 404);
    let of_ana = server.get(&format!("/api/users/{ana_id}/tokens")).await.body;
    assert_eq!(of_ana, listed);
    let path = format!("/api/tokens/{}", of_ana["items"][0]["id"].as_str().unwrap());
    assert_eq!(server.delete(&path).await.status, 204);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_user_has_a_bounded_number_of_tokens() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let client = database.connect().await;
    let fill = "INSERT INTO api_tokens (id, user_id, name, token_hash, scopes, created_at) \
                SELECT gen_random_uuid(), users.id, 'x', sha256(n::text::bytea), '{read}', 0 \
                FROM users, generate_series(1, 99) AS n";
    client.batch_execute(fill).await.unwrap();
    let make = || server.post("/api/tokens", json!({"name": "x", "scopes": ["read"]}));
    let (one, two) = tokio::join!(make(), make());
    assert_eq!((one.status.min(two.status), one.status.max(two.status)), (201, 409));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_login_describes_the_token() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let token = server.api_token(&server.admin_token, &["read"]).await;
    let told = login_with(&server, &token).await;
    assert_eq!((told.status, &told.body["kind"]), (200, &json!("api_token")), "{told:?}");
    assert_eq!((&told.body["scopes"], &told.body["expiresAt"]), (&json!(["read"]), &Value::Null));
    assert_eq!(told.body["permissions"], json!(["read", "administration:read"]));
    assert_eq!(told.body["user"]["username"], "admin");
    let told = login_with(&server, &server.admin_token).await;
    assert_eq!((&told.body["kind"], &told.body["scopes"]), (&json!("session"), &Value::Null));
    assert_eq!(told.body["permissions"].as_array().unwrap().len(), 10);
    assert!(now() < told.body["expiresAt"].as_i64().unwrap());
    let (_agent, _, secret) = server.enroll("web-1").await;
    for wrong in [secret.as_str(), "x", "pika_api_x", &format!("{token}x")] {
        let refused = login_with(&server, wrong).await;
        assert_eq!((refused.status, &refused.body["code"]), (401, &json!("invalid_credentials")), "{wrong}");
    }
    server.stop().await.unwrap();
}
