//! Users are created, found, changed, disabled and deleted, and an administrator always remains.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::ADMIN_PASSWORD;
use crate::support::{TestDatabase, TestServer, on_both_editions};

const PASSWORD: &str = "a password of eight or more";

on_both_editions!(
    a_user_is_made_found_changed_and_deleted,
    users_are_searched_sorted_and_paged,
    the_last_administrator_stays,
);

async fn a_user_is_made_found_changed_and_deleted(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let body = json!({"username": " Ana ", "nickname": "Ana M.", "email": "ana@example.org", "phone": "+49 1",
        "avatar": "https://example.org/ana.png", "role": "user", "password": PASSWORD});
    let made = server.post("/api/users", body).await;
    assert_eq!((made.status, &made.body["password"]), (201, &Value::Null), "{made:?}");
    let ana = made.body["user"].clone();
    assert_eq!((&ana["username"], &ana["status"], &ana["role"]), (&json!("Ana"), &json!(1), &json!("user")));
    let path = format!("/api/users/{}", ana["id"].as_str().unwrap());
    assert_eq!(made.headers["location"], path.as_str());
    assert_eq!(server.get(&path).await.body, ana);

    let changed = server.put(&path, json!({"nickname": "Änni", "role": "admin"})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!((&changed.body["nickname"], &changed.body["role"]), (&json!("Änni"), &json!("admin")));
    assert_eq!(changed.body["email"], "ana@example.org", "what is left out stays");
    assert_eq!(server.get(&path).await.body, changed.body);

    assert_eq!(server.delete(&path).await.status, 204);
    for answer in [server.get(&path).await, server.delete(&path).await, server.put(&path, json!({})).await] {
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("not_found")));
    }
    server.stop().await.unwrap();
}

async fn users_are_searched_sorted_and_paged(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    for (username, email) in [("b_b", "x@example.org"), ("bxb", "100%@example.org"), ("C", "c@example.org")] {
        let body = json!({"username": username, "email": email});
        assert_eq!(server.post("/api/users", body).await.status, 201);
    }
    let names = |query: &'static str| {
        let server = &server;
        async move {
            let answer = server.get(&format!("/api/users?{query}")).await;
            assert_eq!(answer.status, 200, "{query}: {answer:?}");
            let items = answer.body["items"].as_array().unwrap();
            let names: Vec<_> =
                items.iter().map(|item| item["username"].as_str().unwrap().to_owned()).collect();
            (names.join(" "), answer.body["total"].as_i64().unwrap())
        }
    };
    assert_eq!(names("").await, ("admin b_b bxb C".to_owned(), 4));
    assert_eq!(names("sort=-username").await, ("C bxb b_b admin".to_owned(), 4));
    assert_eq!(names("sort=username&order=desc&pageSize=3&page=2").await, ("admin".to_owned(), 4));
    assert_eq!(names("sort=-createdAt&order=desc").await, ("admin b_b bxb C".to_owned(), 4));
    assert_eq!(names("page=9").await, (String::new(), 4));
    // Wildcards of LIKE are ordinary characters.
    assert_eq!(names("search=_").await, ("b_b".to_owned(), 1));
    assert_eq!(names("search=100%25%40").await, ("bxb".to_owned(), 1));
    assert_eq!(names("search=%25b").await, (String::new(), 0));
    assert_eq!(names("search=EXAMPLE.ORG&sort=username").await, ("b_b bxb C".to_owned(), 3));
    for bad in ["page=0", "pageSize=101", "pageSize=0", "order=up"] {
        assert_eq!(server.get(&format!("/api/users?{bad}")).await.status, 400, "{bad}");
    }
    for bad in ["sort=password", "sort=--email", "search=%00"] {
        assert_eq!(server.get(&format!("/api/users?{bad}")).await.status, 422, "{bad}");
    }
    server.stop().await.unwrap();
}

async fn the_last_administrator_stays(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let me = server.get("/api/account/info").await.body["id"].as_str().unwrap().to_owned();
    let path = format!("/api/users/{me}");
    // A disabled one does not count.
    let other = server.create_user("other", "admin", PASSWORD).await;
    let status = format!("/api/users/{other}/status");
    assert_eq!(server.post(&status, json!({"status": 0})).await.status, 200);
    let disable = json!({"status": 0});
    for refused in [
        server.delete(&path).await,
        server.put(&path, json!({"role": "user"})).await,
        server.post(&format!("{path}/status"), disable.clone()).await,
    ] {
        assert_eq!((refused.status, &refused.body["code"]), (409, &json!("conflict")), "{refused:?}");
        assert!(refused.body["message"].as_str().unwrap().contains("last enabled administrator"));
    }
    assert_eq!(server.get("/api/account/info").await.status, 200, "nothing has happened");
    assert_eq!(server.post(&status, json!({"status": 1})).await.status, 200);
    assert_eq!(server.post(&format!("{path}/status"), disable).await.status, 200);
    server.stop().await.unwrap();
}

/// All administrators demote one another at the same time.
#[tokio::test]
async fn the_last_administrator_stays_also_when_all_are_removed_at_once() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    for round in 0..5 {
        let mut ids = vec![server.get("/api/account/info").await.body["id"].as_str().unwrap().to_owned()];
        for n in 0..3 {
            ids.push(server.create_user(&format!("admin-{round}-{n}"), "admin", PASSWORD).await);
        }
        let attacks = ids.iter().enumerate().map(|(n, id)| {
            let path = format!("/api/users/{id}");
            let server = &server;
            async move {
                match n % 3 {
                    0 => server.put(&path, json!({"role": "user"})).await.status,
                    1 => server.delete(&path).await.status,
                    _ => server.post(&format!("{path}/status"), json!({"status": 0})).await.status,
                }
            }
        });
        let statuses = futures_util::future::join_all(attacks).await;
        let admins = "SELECT count(*) FROM users WHERE role = 'admin' AND status = 1";
        // A demoted administrator can demote nobody, so more than one may be left.
        let n_removed = statuses.iter().filter(|status| **status < 300).count();
        let n_left = database.count(admins).await;
        assert_eq!(n_left, 4 - i64::try_from(n_removed).unwrap(), "{statuses:?}");
        assert!(1 <= n_left, "{statuses:?}");
        // Whoever is left, the first one is restored.
        let client = database.connect().await;
        let back = "UPDATE users SET role = 'user' WHERE username <> 'admin'; \
                    UPDATE users SET role = 'admin', status = 1 WHERE username = 'admin'";
        client.batch_execute(back).await.unwrap();
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn usernames_are_the_same_in_whatever_case() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let id = server.create_user("Ana", "user", PASSWORD).await;
    for taken in ["ANA", "ana", " Ana"] {
        let answer = server.post("/api/users", json!({"username": taken})).await;
        assert_eq!((answer.status, &answer.body["message"]), (409, &json!("the username is taken")));
    }
    let renamed = server.put(&format!("/api/users/{id}"), json!({"username": "ADMIN"})).await;
    assert_eq!(renamed.status, 409);
    for login in ["ANA", "ana", " Ana "] {
        assert_eq!(server.login(login, PASSWORD).await.body["user"]["username"], "Ana", "{login}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn invalid_fields_are_refused_by_name() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    for (field, value) in [
        ("username", " ".to_owned()),
        ("username", "x".repeat(65)),
        ("username", "ad\u{0}min".to_owned()),
        ("username", "ad\u{200b}min".to_owned()),
        ("email", "x".repeat(255)),
        ("phone", "1".repeat(33)),
        ("avatar", "x".repeat(2_049)),
        ("nickname", "a\nb".to_owned()),
        ("password", "1234567".to_owned()),
        ("password", "x".repeat(1_025)),
    ] {
        let mut body = json!({"username": "ana"});
        body[field] = json!(value);
        let answer = server.post("/api/users", body).await;
        let message = answer.body["message"].as_str().unwrap();
        assert!(answer.status == 422 && message.starts_with(field), "{field}: {answer:?}");
        assert!(field != "password" || !message.contains(&value), "{message}");
    }
    assert_eq!(server.login("ad\u{0}min", "x").await.status, 401);
    assert_eq!(database.count("SELECT count(*) FROM users").await, 1);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn people_change_their_own_contact_data_and_nothing_else() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let id = server.create_user("ana", "user", PASSWORD).await;
    let other = server.create_user("bob", "user", PASSWORD).await;
    let token = server.session("ana", PASSWORD).await;
    let put = |id: &str, body: Value| {
        let path = format!("/api/users/{id}");
        let (server, token) = (&server, &token);
        async move { server.request(Method::PUT, &path, Some(token), Some(body)).await.status }
    };
    let all = json!({"nickname": "A", "email": "a@b", "phone": "1", "avatar": "https://example.org/x"});
    assert_eq!(put(&id, all.clone()).await, 200);
    assert_eq!(put(&id, json!({"role": "admin"})).await, 403);
    assert_eq!(put(&id, json!({"username": "root"})).await, 403);
    assert_eq!(put(&other, all).await, 403);
    let get = |path: String| {
        let (server, token) = (&server, &token);
        async move { server.request(Method::GET, &path, Some(token), None).await.status }
    };
    assert_eq!(get(format!("/api/users/{id}")).await, 200);
    assert_eq!(get(format!("/api/users/{other}")).await, 403);
    assert_eq!(get("/api/users".to_owned()).await, 403);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let id = server.create_user("ana", "user", PASSWORD).await;
    let other = server.session("ana", PASSWORD).await;
    let token = server.session("ana", PASSWORD).await;
    let change = |old: &str, new: &str| {
        let body = json!({"oldPassword": old, "newPassword": new});
        let path = format!("/api/users/{id}/password");
        let (server, token) = (&server, &token);
        async move { server.request(Method::POST, &path, Some(token), Some(body)).await }
    };
    let wrong = change("wrong", "another password").await;
    assert_eq!((wrong.status, &wrong.body["code"]), (403, &json!("invalid_credentials")));
    assert_eq!(change(PASSWORD, "short").await.status, 422);
    assert_eq!(change(PASSWORD, "another password").await.status, 204);
    let info = |token: String| {
        let server = &server;
        async move { server.request(Method::GET, "/api/account/info", Some(&token), None).await.status }
    };
    assert_eq!((info(token.clone()).await, info(other).await), (200, 401));
    assert_eq!(server.login("ana", PASSWORD).await.status, 401);
    assert_eq!(server.login("ana", "another password").await.status, 200);
    let of_admin = json!({"oldPassword": "another password", "newPassword": "not yours to change"});
    let path = format!("/api/users/{id}/password");
    assert_eq!(server.post(&path, of_admin).await.status, 403, "not even an administrator");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_reset_password_ends_all_sessions_and_is_shown_once() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let made = server.post("/api/users", json!({"username": "ana"})).await;
    let first = made.body["password"].as_str().unwrap().to_owned();
    let id = made.body["user"]["id"].as_str().unwrap().to_owned();
    let token = server.session("ana", &first).await;
    let path = format!("/api/users/{id}/reset-password");
    let reset = server.post(&path, json!({})).await;
    let second = reset.body["password"].as_str().unwrap().to_owned();
    assert!(20 <= second.len() && first != second, "{reset:?}");
    let info = server.request(Method::GET, "/api/account/info", Some(&token), None).await;
    assert_eq!(info.status, 401);
    assert_eq!(server.login("ana", &first).await.status, 401);
    assert_eq!(server.login("ana", &second).await.status, 200);
    let given = server.post(&path, json!({"password": PASSWORD})).await;
    assert_eq!(given.body, json!({"password": null}), "what was given is not repeated");
    assert_eq!(server.login("ana", PASSWORD).await.status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_disabled_users_sessions_and_tokens_die_at_once_and_for_good() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let id = server.create_user("ana", "user", PASSWORD).await;
    let session = server.session("ana", PASSWORD).await;
    let token = server.api_token(&session, &["read"]).await;
    let statuses = || async {
        let mut statuses = Vec::new();
        for credential in [&session, &token] {
            let info = server.request(Method::GET, "/api/account/info", Some(credential), None).await;
            statuses.push(info.status);
        }
        statuses
    };
    assert_eq!(statuses().await, [200, 200]);
    let path = format!("/api/users/{id}/status");
    assert_eq!(server.post(&path, json!({"status": 0})).await.body["status"], 0);
    assert_eq!(statuses().await, [401, 401]);
    assert_eq!(server.login("ana", PASSWORD).await.status, 401);
    assert_eq!(server.post(&path, json!({"status": 1})).await.body["status"], 1);
    assert_eq!(statuses().await, [401, 401], "enabling brings none of them back");
    assert_eq!(server.login("ana", PASSWORD).await.status, 200);

    let session = server.session("ana", PASSWORD).await;
    assert_eq!(server.delete(&format!("/api/users/{id}")).await.status, 204);
    let info = server.request(Method::GET, "/api/account/info", Some(&session), None).await;
    assert_eq!(info.status, 401);
    assert_eq!(database.count("SELECT count(*) FROM api_tokens").await, 0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_first_administrators_password_must_be_valid() {
    let database = TestDatabase::on_server().await;
    let mut config = crate::support::server::config(&database.url);
    config.auth.admin_password = "short".into();
    let server = TestServer::start_unready(config).await;
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), server.ended()).await;
    let error = ended.expect("the server goes on with it").unwrap_err();
    let text = pika_shared::chain(&error).to_string();
    assert!(text.contains("at least 8 characters") && !text.contains("short"), "{text}");
    assert!(8 <= ADMIN_PASSWORD.len());
}
