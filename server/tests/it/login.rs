//! Logging in: sessions, fixation, replay, and the absence of secrets.

use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::client::now;
use crate::support::server::{ADMIN_PASSWORD, answer, config};
use crate::support::{TestDatabase, TestServer, on_both_editions};

const PASSWORD: &str = "a password of eight or more";
const HOME: &str = "127.0.0.1";

on_both_editions!(sessions_are_listed_and_ended);

async fn info(server: &TestServer, token: &str) -> u16 {
    server.request(Method::GET, "/api/account/info", Some(token), None).await.status
}

async fn sessions_are_listed_and_ended(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let body = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let login = server.http.post(server.url("/api/login")).header("User-Agent", "test\tbrowser").json(&body);
    let other = answer(login).await.body["token"].as_str().unwrap().to_owned();
    let listed = server.get("/api/account/sessions").await.body;
    let current = |is_current: bool| {
        let items = listed["items"].as_array().unwrap();
        items.iter().find(|item| item["current"] == is_current).unwrap().clone()
    };
    let item = current(false);
    assert_eq!((&item["userAgent"], &item["address"]), (&json!("testbrowser"), &json!(HOME)), "{listed}");
    assert!(item["createdAt"].as_i64().unwrap() < item["expiresAt"].as_i64().unwrap());
    assert!(!listed.to_string().contains("pika_session_"));
    let path = format!("/api/account/sessions/{}", item["id"].as_str().unwrap());
    assert_eq!(server.delete(&path).await.status, 204);
    assert_eq!(server.delete(&path).await.status, 404);
    assert_eq!((info(&server, &other).await, info(&server, &server.admin_token).await), (401, 200));

    server.create_user("ana", "user", PASSWORD).await;
    let ana = server.session("ana", PASSWORD).await;
    let of_admin = format!("/api/account/sessions/{}", current(true)["id"].as_str().unwrap());
    let stolen = server.request(Method::DELETE, &of_admin, Some(&ana), None).await;
    assert_eq!(stolen.status, 404, "nobody ends the sessions of others");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_login_accepts_no_token_that_the_client_chose() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let chosen = format!("{}x", server.admin_token);
    let body = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let login_with = |cookie: String| {
        let request = server.http.post(server.url("/api/login")).header("Cookie", cookie);
        answer(request.json(&body))
    };
    let login = login_with(format!("pika_session={chosen}")).await;
    let first = login.body["token"].as_str().unwrap().to_owned();
    assert_ne!(first, chosen);
    assert_eq!((info(&server, &chosen).await, info(&server, &first).await), (401, 200));
    let login = login_with(format!("pika_session={first}")).await;
    let second = login.body["token"].as_str().unwrap().to_owned();
    assert_eq!((info(&server, &first).await, info(&server, &second).await), (401, 200), "the old one ends");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_is_worth_nothing_after_the_logout() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let token = server.session("admin", ADMIN_PASSWORD).await;
    let logout = |token: String| {
        let server = &server;
        async move { server.request(Method::POST, "/api/logout", Some(&token), None).await.status }
    };
    assert_eq!(logout(token.clone()).await, 204);
    assert_eq!(info(&server, &token).await, 401);
    assert_eq!(logout(token.clone()).await, 401);
    let told = server.request(Method::POST, "/api/auth", None, Some(json!({"token": token}))).await;
    assert_eq!(told.status, 401);
    assert_eq!(info(&server, &server.admin_token).await, 200, "other sessions stay");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_user_has_a_bounded_number_of_sessions() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    server.create_user("ana", "user", PASSWORD).await;
    let first = server.session("ana", PASSWORD).await;
    let logins = (0..50).map(|_| server.session("ana", PASSWORD));
    for login in logins {
        login.await;
    }
    let of_ana =
        "SELECT count(*) FROM sessions WHERE user_id = (SELECT id FROM users WHERE username = 'ana')";
    assert_eq!(database.count(of_ana).await, 50);
    assert_eq!(info(&server, &first).await, 401, "the oldest one has ended");
    assert_eq!(info(&server, &server.admin_token).await, 200, "those of others have not");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_login_rehashes_a_cheap_password() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    server.stop().await.unwrap();
    let hash = || async {
        let client = database.connect().await;
        client.query_one("SELECT password_hash FROM users", &[]).await.unwrap().get::<_, String>(0)
    };
    let cheap = hash().await;
    assert!(cheap.starts_with("$scrypt$ln=4,"), "{cheap}");
    let mut dear = config(&database.url);
    dear.auth.scrypt_log_n = 5;
    let server = TestServer::start_with(dear.clone()).await;
    assert!(hash().await.starts_with("$scrypt$ln=5,"));
    let rehashed = hash().await;
    server.session("admin", ADMIN_PASSWORD).await;
    assert_eq!(hash().await, rehashed, "once is enough");
    server.stop().await.unwrap();
    dear.auth.scrypt_log_n = 4;
    let server = TestServer::start_with(dear).await;
    assert_eq!(hash().await, rehashed, "never down");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn concurrent_logins_succeed_while_the_password_is_rehashed() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    server.stop().await.unwrap();
    let mut dear = config(&database.url);
    dear.auth.scrypt_log_n = 5;
    let server = TestServer::start_unready(dear).await;
    server.ready().await;
    let logins = futures_util::future::join_all((0..8).map(|_| server.login("admin", ADMIN_PASSWORD))).await;
    for login in logins {
        assert_eq!(login.status, 200, "{login:?}");
    }
    server.stop().await.unwrap();
}

/// All secrets that the accounts' API receives or creates, searched for in answers, log, audit log and database.
#[tokio::test]
async fn secrets_are_disclosed_once_and_never_logged_or_stored() {
    let log = crate::support::LogCapture::start();
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let mut secrets = vec![ADMIN_PASSWORD.to_owned(), server.admin_token.clone(), PASSWORD.to_owned()];
    let id = server.create_user("ana", "user", PASSWORD).await;
    let ana = server.session("ana", PASSWORD).await;
    secrets.push(ana.clone());
    secrets.push(server.api_token(&ana, &["read"]).await);
    let wrong = "a wrong password typed in";
    secrets.push(wrong.to_owned());
    server.login("ana", wrong).await;
    server.login(wrong, "x").await;
    let setup = json!({"password": PASSWORD});
    let setup = server.request(Method::POST, "/api/account/totp", Some(&ana), Some(setup)).await.body;
    let totp_secret = setup["secret"].as_str().unwrap().to_owned();
    let code = json!({"code": crate::second_factor::code(&totp_secret, 0)});
    let codes = server.request(Method::POST, "/api/account/totp/confirm", Some(&ana), Some(code)).await.body;
    let recovery: Vec<String> = serde_json::from_value(codes["recoveryCodes"].clone()).unwrap();
    secrets.push(totp_secret);
    secrets.extend(recovery);
    let reset = server.post(&format!("/api/users/{id}/reset-password"), json!({})).await.body;
    secrets.push(reset["password"].as_str().unwrap().to_owned());
    secrets.push(server.enrollment_token(1).await);

    let mut texts = vec![("log", log.text())];
    assert!(texts[0].1.contains("request_id"), "the log was listened to");
    for path in
        ["/api/users", "/api/audit?pageSize=100", "/api/tokens", "/api/account/sessions", "/api/enrollments"]
    {
        texts.push(("answer", server.get(path).await.body.to_string()));
    }
    let client = database.connect().await;
    for table in ["users", "sessions", "api_tokens", "recovery_codes", "audit_log", "enrollments"] {
        let rows = client.query(&format!("SELECT to_jsonb(t)::text FROM {table} t"), &[]).await.unwrap();
        assert!(!rows.is_empty(), "{table}");
        texts.extend(rows.iter().map(|row| (table, row.get::<_, String>(0))));
    }
    for secret in &secrets {
        assert!(8 <= secret.len());
        // The text form of bytea.
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for (place, text) in &texts {
            assert!(
                !text.contains(secret.as_str()) && !text.contains(&hex),
                "{secret} is in {place}: {text}"
            );
        }
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_user_who_is_disabled_during_a_login_is_not_logged_in() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let store = database.store();
    let found = store.user_with_password("admin").await.unwrap().unwrap();
    let token = pika_server::domain::token::NewToken::random(pika_shared::token::TokenKind::Session);
    let new = pika_server::store::NewSession {
        token_hash: token.as_ref().unwrap().hash,
        user_id: found.user.id,
        expires_at: now() + 60_000,
        user_agent: String::new(),
        replaces: None,
    };
    database.connect().await.batch_execute("UPDATE users SET status = 0").await.unwrap();
    let event = crate::support::by_test(pika_server::domain::audit::Action::Login);
    assert!(store.insert_session(&new, &found.password_hash, &event).await.unwrap().is_none());
    assert_eq!(info(&server, token.unwrap().secret.expose_secret()).await, 401);
    assert_eq!(server.get("/api/account/info").await.body["code"], Value::from("unauthorized"));
    server.stop().await.unwrap();
}
