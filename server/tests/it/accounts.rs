//! Logging in and out.

use reqwest::Method;
use serde_json::json;

use crate::support::server::{ADMIN_PASSWORD, answer, config};
use crate::support::{TestDatabase, TestServer, on_both_editions};

on_both_editions!(a_login_lasts_until_logout);

async fn a_login_lasts_until_logout(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let login = server.login("admin", ADMIN_PASSWORD).await;
    assert_eq!(login.status, 200, "{login:?}");
    let token = login.body["token"].as_str().unwrap();
    assert_eq!(login.body["user"]["role"], "admin");
    let info = server.request(Method::GET, "/api/account/info", Some(token), None).await;
    assert_eq!((info.status, &info.body["username"]), (200, &json!("admin")));
    let logout = server.request(Method::POST, "/api/logout", Some(token), None).await;
    assert_eq!(logout.status, 204);
    let info = server.request(Method::GET, "/api/account/info", Some(token), None).await;
    assert_eq!((info.status, &info.body["code"]), (401, &json!("unauthorized")));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_cookie_is_equivalent_to_the_token_and_well_protected() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let login = server.login("admin", ADMIN_PASSWORD).await;
    let cookie = login.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"),
        "{cookie}"
    );
    assert!(!cookie.contains("Secure"), "nobody said that there is TLS: {cookie}");
    let pair = cookie.split(';').next().unwrap();
    let info = answer(server.http.get(server.url("/api/account/info")).header("Cookie", pair)).await;
    assert_eq!(info.status, 200);
    let wrong =
        answer(server.http.get(server.url("/api/account/info")).header("Cookie", format!("{pair}x"))).await;
    assert_eq!(wrong.status, 401);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn behind_a_proxy_that_speaks_tls_the_cookie_is_only_sent_encrypted() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.server.public_url = "https://pika.example.org".to_owned();
    let server = TestServer::start_with(config).await;
    let login = server.login("admin", ADMIN_PASSWORD).await;
    assert!(login.headers["set-cookie"].to_str().unwrap().ends_with("; Secure"), "{login:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_failed_login_does_not_reveal_the_reason() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let wrong_password = server.login("admin", "wrong").await;
    let unknown_user = server.login("nobody", "wrong").await;
    for answer in [&wrong_password, &unknown_user] {
        assert_eq!((answer.status, &answer.body["code"]), (401, &json!("invalid_credentials")));
    }
    assert_eq!(wrong_password.body["message"], unknown_user.body["message"]);
    database.connect().await.batch_execute("UPDATE users SET status = 0").await.unwrap();
    let disabled = server.login("admin", ADMIN_PASSWORD).await;
    assert_eq!((disabled.status, &disabled.body["message"]), (401, &unknown_user.body["message"]));
    let session = server.get("/api/account/info").await;
    assert_eq!(session.status, 401, "disabling ends the user's sessions");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn neither_passwords_nor_tokens_are_stored() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (_agent, _, secret) = server.enroll("web-1").await;
    let client = database.connect().await;
    for table in ["users", "sessions", "agents", "enrollments"] {
        for row in client.query(&format!("SELECT to_jsonb(t)::text FROM {table} t"), &[]).await.unwrap() {
            let text: String = row.get(0);
            for hidden in [ADMIN_PASSWORD, &server.admin_token, &secret] {
                assert!(!text.contains(hidden), "{table}");
                // The way bytea is shown.
                let hex: String = hidden.bytes().map(|byte| format!("{byte:02x}")).collect();
                assert!(!text.contains(&hex), "{table}");
            }
        }
    }
    let hash: String = client.query_one("SELECT password_hash FROM users", &[]).await.unwrap().get(0);
    assert!(hash.starts_with("$scrypt$"), "{hash}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn only_administrators_create_enrollment_tokens() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    database.connect().await.batch_execute("UPDATE users SET role = 'user'").await.unwrap();
    let body = json!({"name": "x", "expiresAt": i64::MAX, "maxUses": 1});
    assert_eq!(server.post("/api/enrollments", body).await.status, 403);
    assert_eq!(server.get("/api/enrollments").await.status, 403);
    assert_eq!(server.get("/api/agents").await.status, 200, "but they may look");
    server.stop().await.unwrap();
}
