//! Second factors can be set up, are asked for, cannot be used twice, and can be removed.

use reqwest::Method;
use serde_json::{Value, json};
use totp_rs::{Algorithm, Secret, TOTP};

use crate::support::client::now;
use crate::support::server::{Answer, config};
use crate::support::{TestDatabase, TestServer, on_both_editions};

const PASSWORD: &str = "a password of eight or more";

on_both_editions!(a_second_factor_is_set_up_used_and_removed);

/// The code of a secret, this many steps of 30 seconds from now.
pub(crate) fn code(secret: &str, steps: i64) -> String {
    let secret = Secret::Encoded(secret.to_owned()).to_bytes().unwrap();
    let totp = TOTP::new(Algorithm::SHA1, 6, 0, 30, secret, None, String::new()).unwrap();
    totp.generate(u64::try_from(now() / 1_000 + 30 * steps).unwrap())
}

/// Sets up a second factor for the user of a session. Returns the secret and the recovery codes. The current code has
/// been used.
pub(crate) async fn set_up(server: &TestServer, session: &str, password: &str) -> (String, Vec<String>) {
    let begun = post(server, "/api/account/totp", session, json!({"password": password})).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let secret = begun.body["secret"].as_str().unwrap().to_owned();
    let url = begun.body["otpauthUrl"].as_str().unwrap();
    assert!(url.starts_with("otpauth://totp/Pika:") && url.contains(&format!("?secret={secret}")), "{url}");
    let confirm = json!({"code": code(&secret, 0)});
    let confirmed = post(server, "/api/account/totp/confirm", session, confirm).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let codes = serde_json::from_value(confirmed.body["recoveryCodes"].clone()).unwrap();
    (secret, codes)
}

/// Creates a user with a second factor. Returns a session, the secret and the recovery codes.
async fn user_with_totp(server: &TestServer) -> (String, String, Vec<String>) {
    server.create_user("ana", "user", PASSWORD).await;
    let session = server.session("ana", PASSWORD).await;
    let (secret, codes) = set_up(server, &session, PASSWORD).await;
    (session, secret, codes)
}

async fn post(server: &TestServer, path: &str, session: &str, body: Value) -> Answer {
    server.request(Method::POST, path, Some(session), Some(body)).await
}

async fn login(server: &TestServer, password: &str, code: Option<&str>) -> Answer {
    let body = json!({"username": "ana", "password": password, "code": code});
    server.request(Method::POST, "/api/login", None, Some(body)).await
}

async fn a_second_factor_is_set_up_used_and_removed(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (session, secret, recovery) = user_with_totp(&server).await;
    assert_eq!(recovery.len(), 10);
    let info = server.request(Method::GET, "/api/account/info", Some(&session), None).await;
    assert_eq!(info.body["totpEnabled"], true);

    let without = login(&server, PASSWORD, None).await;
    assert_eq!((without.status, &without.body["code"]), (401, &json!("totp_required")));
    let wrong_password = login(&server, "wrong", Some(&code(&secret, 1))).await;
    assert_eq!(wrong_password.body["code"], "invalid_credentials", "only who has the password learns more");
    assert_eq!(login(&server, PASSWORD, Some(&code(&secret, 1))).await.status, 200);

    let again = post(&server, "/api/account/totp", &session, json!({"password": PASSWORD})).await;
    assert_eq!(again.status, 409);
    let remove = |password: &str, code: &str| {
        let body = json!({"password": password, "code": code});
        let (server, session) = (&server, &session);
        async move { server.request(Method::DELETE, "/api/account/totp", Some(session), Some(body)).await.status }
    };
    assert_eq!(remove("wrong", &recovery[0]).await, 403);
    assert_eq!(remove(PASSWORD, "000000").await, 403);
    assert_eq!(remove(PASSWORD, &recovery[0]).await, 204);
    assert_eq!(remove(PASSWORD, &recovery[1]).await, 404);
    assert_eq!(login(&server, PASSWORD, None).await.status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_code_cannot_be_used_twice() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (session, secret, _) = user_with_totp(&server).await;
    let replayed = login(&server, PASSWORD, Some(&code(&secret, 0))).await;
    assert_eq!(
        (replayed.status, &replayed.body["code"]),
        (401, &json!("totp_required")),
        "that of the set-up"
    );
    let next = code(&secret, 1);
    let logins = [(); 4].map(|()| login(&server, PASSWORD, Some(&next)));
    let answers = futures_util::future::join_all(logins).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 200).count(),
        1,
        "one of those at the same time"
    );
    assert_eq!(login(&server, PASSWORD, Some(&next)).await.status, 401);
    assert_eq!(login(&server, PASSWORD, Some(&code(&secret, -1))).await.status, 401, "nor an earlier one");
    let body = json!({"password": PASSWORD, "code": next});
    let removed = server.request(Method::DELETE, "/api/account/totp", Some(&session), Some(body)).await;
    assert_eq!(removed.status, 403, "nor for anything else");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_recovery_code_is_good_once() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (_, _, recovery) = user_with_totp(&server).await;
    let typed = recovery[3].to_uppercase().replace('-', " ");
    let logins = [(); 3].map(|()| login(&server, PASSWORD, Some(&typed)));
    let answers = futures_util::future::join_all(logins).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(login(&server, PASSWORD, Some(&recovery[3])).await.status, 401);
    assert_eq!(login(&server, "wrong", Some(&recovery[4])).await.status, 401);
    assert_eq!(
        login(&server, PASSWORD, Some(&recovery[4])).await.status,
        200,
        "a wrong password uses none up"
    );
    assert_eq!(database.count("SELECT count(*) FROM recovery_codes").await, 8);
    let used = server.get("/api/audit?action=totp.use_recovery_code").await.body;
    assert_eq!((&used["total"], &used["items"][0]["actorName"]), (&json!(2), &json!("ana")));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn codes_cannot_be_guessed_by_force() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.auth.failures_per_account_and_address_max = 5;
    let server = TestServer::start_with(config).await;
    let (_, secret, _) = user_with_totp(&server).await;
    let wrong = if code(&secret, 1) == "123456" { "654321" } else { "123456" };
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(login(&server, PASSWORD, Some(wrong)).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    assert_eq!(login(&server, PASSWORD, Some(&code(&secret, 1))).await.status, 429);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn no_code_is_needed_before_the_setup_is_confirmed() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    server.create_user("ana", "user", PASSWORD).await;
    let session = server.session("ana", PASSWORD).await;
    let wrong = post(&server, "/api/account/totp", &session, json!({"password": "wrong"})).await;
    assert_eq!(wrong.status, 403);
    let confirm = |code: String| post(&server, "/api/account/totp/confirm", &session, json!({"code": code}));
    assert_eq!(confirm("123456".to_owned()).await.status, 404);
    let begin = || post(&server, "/api/account/totp", &session, json!({"password": PASSWORD}));
    let first = begin().await.body["secret"].as_str().unwrap().to_owned();
    let second = begin().await.body["secret"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(login(&server, PASSWORD, None).await.status, 200);
    assert_eq!(confirm(code(&first, 0)).await.status, 403, "the first secret is none any more");
    assert_eq!(confirm(code(&second, 0)).await.status, 200);
    assert_eq!(confirm(code(&second, 1)).await.status, 409);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_wrong_code_at_setup_is_counted_and_recorded() {
    let database = TestDatabase::on_server().await;
    let mut config = config(&database.url);
    config.auth.failures_per_account_and_address_max = 3;
    let server = TestServer::start_with(config).await;
    server.create_user("ana", "user", PASSWORD).await;
    let session = server.session("ana", PASSWORD).await;
    let begun = post(&server, "/api/account/totp", &session, json!({"password": PASSWORD})).await;
    let secret = begun.body["secret"].as_str().unwrap();
    let wrong = if code(secret, 0) == "123456" { "654321" } else { "123456" };
    let failed = server.instruments.logins_failed();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let confirm = json!({"code": wrong});
        statuses.push(post(&server, "/api/account/totp/confirm", &session, confirm).await.status);
    }
    assert_eq!(statuses, [403, 403, 403, 429]);
    assert_eq!(server.instruments.logins_failed(), failed + 3);
    let log = server.get("/api/audit?action=user.login_failed&object=ana").await.body;
    assert_eq!((&log["total"], &log["items"][0]["details"]), (&json!(3), &json!({"wrong": "code"})), "{log}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_administrator_removes_a_lost_second_factor() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (session, _, _) = user_with_totp(&server).await;
    let me = server.request(Method::GET, "/api/account/info", Some(&session), None).await.body;
    let path = format!("/api/users/{}/totp", me["id"].as_str().unwrap());
    let own = server.request(Method::DELETE, &path, Some(&session), None).await;
    assert_eq!(own.status, 403, "not without the code");
    assert_eq!(server.delete(&path).await.status, 204);
    assert_eq!(server.delete(&path).await.status, 404);
    assert_eq!(login(&server, PASSWORD, None).await.status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_body_of_a_removal_is_limited_like_any_other() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let body = json!({"password": "x".repeat(2 << 20), "code": "000000"});
    let token = Some(server.admin_token.as_str());
    let answer = server.request(Method::DELETE, "/api/account/totp", token, Some(body)).await;
    assert_eq!((answer.status, &answer.body["code"]), (413, &json!("payload_too_large")));
    server.stop().await.unwrap();
}
