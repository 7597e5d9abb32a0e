//! Your own password and second factor change only with one of them, even for administrators.

use reqwest::Method;
use serde_json::{Value, json};

use crate::second_factor::{code, set_up};
use crate::support::server::{ADMIN_PASSWORD, Answer};
use crate::support::{TestDatabase, TestServer, on_both_editions};

const PASSWORD: &str = "a password of eight or more";

on_both_editions!(a_stolen_session_of_an_administrator_does_not_outlive_itself);

async fn a_stolen_session_of_an_administrator_does_not_outlive_itself(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let secret = set_up(&server, &server.admin_token, ADMIN_PASSWORD).await.0;
    let me = server.get("/api/account/info").await.body["id"].as_str().unwrap().to_owned();
    let own = format!("/api/users/{me}");
    let wrong = json!({"password": "wrong", "code": "000000"});
    for (method, path, body) in [
        (Method::POST, format!("{own}/reset-password"), json!({})),
        (Method::POST, format!("{own}/reset-password"), json!({"password": "the thief's own"})),
        (Method::POST, format!("{own}/password"), json!({"oldPassword": "wrong", "newPassword": PASSWORD})),
        (Method::DELETE, format!("{own}/totp"), Value::Null),
        (Method::DELETE, "/api/account/totp".to_owned(), wrong.clone()),
        (Method::POST, "/api/account/totp".to_owned(), json!({"password": "wrong"})),
    ] {
        let body = (!body.is_null()).then_some(body);
        let refused = server.request(method.clone(), &path, Some(&server.admin_token), body).await;
        assert_eq!(refused.status, 403, "{method} {path}: {refused:?}");
    }
    assert_eq!(server.get("/api/account/info").await.body["totpEnabled"], true);
    let login = json!({"username": "admin", "password": ADMIN_PASSWORD, "code": code(&secret, 1)});
    let login = server.request(Method::POST, "/api/login", None, Some(login)).await;
    assert_eq!(login.status, 200, "password and second factor are what they were: {login:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_administrator_still_helps_another_one() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let id = server.create_user("root", "admin", PASSWORD).await;
    let root = server.session("root", PASSWORD).await;
    set_up(&server, &root, PASSWORD).await;
    let reset: Answer = server.post(&format!("/api/users/{id}/reset-password"), json!({})).await;
    let password = reset.body["password"].as_str().unwrap();
    assert_eq!(server.delete(&format!("/api/users/{id}/totp")).await.status, 204);
    assert_eq!(server.login("root", password).await.status, 200);
    server.stop().await.unwrap();
}
