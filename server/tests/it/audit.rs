//! The audit log contains every change, written in the same transaction.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::now;
use crate::support::server::config;
use crate::support::{TestDatabase, TestServer, by_test, eventually, on_both_editions};
use pika_server::domain::audit::Action;

const PASSWORD: &str = "a password of eight or more";

on_both_editions!(who_did_what_is_recorded, entries_are_found_by_time_and_address);

async fn entries(server: &TestServer, query: &str) -> Vec<Value> {
    let answer = server.get(&format!("/api/audit?pageSize=100&{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["items"].as_array().unwrap().clone()
}

async fn who_did_what_is_recorded(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let id = server.create_user("ana", "user", PASSWORD).await;
    let user = format!("/api/users/{id}");
    let ana = server.session("ana", PASSWORD).await;
    server.login("ana", "wrong").await;
    server.login("nobody", "wrong").await;
    server.put(&user, json!({"nickname": "Ana", "role": "admin"})).await;
    let token = server.api_token(&ana, &["read", "agents:write"]).await;
    let body = json!({"name": "web servers", "expiresAt": now() + 60_000, "maxUses": 2});
    let made = server.request(Method::POST, "/api/enrollments", Some(&token), Some(body)).await;
    let enrollment = made.body["id"].as_str().unwrap().to_owned();
    server.delete(&format!("/api/enrollments/{enrollment}")).await;
    let retention = server.get("/api/settings/retention").await.body;
    assert_eq!(server.put("/api/settings/retention", retention).await.status, 200);
    let (_agent, agent_id, _) = server.enroll("web-1").await;
    server.delete(&format!("/api/agents/{agent_id}")).await;
    server.request(Method::POST, "/api/logout", Some(&ana), None).await;
    server.post(&format!("{user}/reset-password"), json!({})).await;
    server.post(&format!("{user}/status"), json!({"status": 0})).await;
    server.post(&format!("{user}/status"), json!({"status": 1})).await;
    server.delete(&user).await;

    let all = entries(&server, "").await;
    let actions: Vec<_> = all.iter().rev().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        [
            // The server has created the first administrator, who has logged in.
            "user.create",
            "user.login",
            "user.create",
            "user.login",
            "user.login_failed",
            "user.login_failed",
            "user.update",
            "api_token.create",
            "enrollment.create",
            "enrollment.delete",
            "settings.update",
            "enrollment.create",
            "agent.enroll",
            "agent.delete",
            "user.logout",
            "user.reset_password",
            "user.disable",
            "user.enable",
            "user.delete",
        ]
    );
    let one = |action: &str| all.iter().find(|entry| entry["action"] == action).unwrap().clone();
    let update = one("user.update");
    assert_eq!((&update["actorKind"], &update["actorName"]), (&json!("user"), &json!("admin")));
    assert_eq!(
        (&update["objectKind"], &update["objectId"], &update["objectName"]),
        (&json!("user"), &json!(id), &json!("ana"))
    );
    assert_eq!(update["details"], json!({"nickname": "changed", "role": "admin"}));
    assert_eq!(update["address"], "127.0.0.1");
    assert_eq!(update["requestId"].as_str().unwrap().len(), 36);
    let enrolled = one("agent.enroll");
    assert_eq!((&enrolled["actorKind"], &enrolled["objectId"]), (&json!("nobody"), &json!(agent_id)));
    let by_token = all
        .iter()
        .find(|entry| entry["objectId"] == json!(enrollment) && entry["action"] == "enrollment.create");
    let by_token = by_token.unwrap();
    assert_eq!((&by_token["actorKind"], &by_token["actorName"]), (&json!("api_token"), &json!("ana")));
    assert_eq!((&by_token["actorId"], &by_token["objectName"]), (&json!(id), &json!("web servers")));
    assert_eq!(by_token["apiTokenId"], one("api_token.create")["objectId"]);
    assert_eq!(one("user.login_failed")["objectName"], Value::Null, "a name that nobody has is not kept");

    let of_ana = entries(&server, "actor=ANA").await;
    assert!(of_ana.iter().all(|entry| entry["actorId"] == json!(id)), "{of_ana:?}");
    assert_eq!(of_ana.len(), entries(&server, &format!("actor={id}")).await.len());
    assert_eq!(entries(&server, "object=ana&action=user.login_failed").await.len(), 1);
    assert_eq!(entries(&server, &format!("object={enrollment}")).await.len(), 2);
    let page = server.get("/api/audit?page=2&pageSize=3").await.body;
    assert_eq!((&page["items"][0], &page["total"]), (&all[3], &json!(all.len())));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_change_that_cannot_be_recorded_is_not_made() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let id = server.create_user("ana", "user", PASSWORD).await;
    let client = database.connect().await;
    client.batch_execute("ALTER TABLE audit_log ADD CHECK (false) NOT VALID").await.unwrap();
    let user = format!("/api/users/{id}");
    for status in [
        server.post("/api/users", json!({"username": "bob"})).await.status,
        server.put(&user, json!({"role": "admin"})).await.status,
        server.delete(&user).await.status,
        server.post("/api/tokens", json!({"name": "x", "scopes": ["read"]})).await.status,
        server.post(&format!("{user}/reset-password"), json!({"password": "another password"})).await.status,
        server.login("ana", PASSWORD).await.status,
        server
            .post("/api/enrollments", json!({"name": "x", "expiresAt": now() + 60_000, "maxUses": 1}))
            .await
            .status,
    ] {
        assert_eq!(status, 500);
    }
    for (table, n) in [
        ("users WHERE username = 'bob'", 0),
        ("users WHERE role = 'admin'", 1),
        ("users", 2),
        ("api_tokens", 0),
        ("enrollments", 0),
    ] {
        assert_eq!(database.count(&format!("SELECT count(*) FROM {table}")).await, n, "{table}");
    }
    client.batch_execute("ALTER TABLE audit_log DROP CONSTRAINT audit_log_check").await.unwrap();
    assert_eq!(server.login("ana", PASSWORD).await.status, 200, "with the password as it was");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn old_entries_are_deleted() {
    let database = TestDatabase::on_server().await;
    let store = database.store();
    let mut config = config(&database.url);
    config.auth.audit_retention_ms = 86_400_000;
    let mut event = by_test(Action::Login);
    store.record(&event).await.unwrap();
    event.origin.at -= 2 * 86_400_000;
    store.record(&event).await.unwrap();
    let server = TestServer::start_with(config).await;
    eventually("the sweep", || async {
        (database.count(&format!("SELECT count(*) FROM audit_log WHERE at < {}", now() - 86_400_000)).await
            == 0)
            .then_some(())
    })
    .await;
    assert!(1 < database.count("SELECT count(*) FROM audit_log").await);
    server.stop().await.unwrap();
}

async fn entries_are_found_by_time_and_address(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    // Before anything the server has written itself.
    let hour = now() - 3_600_000;
    for (after, address) in [(1, "192.0.2.1"), (2, "192.0.2.2"), (3, "192.0.2.1")] {
        let mut event = by_test(Action::Login);
        event.origin.at = hour + after;
        address.clone_into(&mut event.origin.address);
        database.store().record(&event).await.unwrap();
    }
    let times = async |query: &str| -> Vec<i64> {
        entries(&server, query).await.iter().map(|entry| entry["at"].as_i64().unwrap() - hour).collect()
    };
    assert_eq!(times(&format!("from={}&to={}", hour + 1, hour + 3)).await, [2, 1]);
    assert_eq!(times(&format!("from={}&to={}", hour + 2, hour + 4)).await, [3, 2]);
    assert_eq!(times(&format!("to={}&address=192.0.2.1", hour + 4)).await, [3, 1]);
    let page = server.get(&format!("/api/audit?to={}&pageSize=1&page=2", hour + 4)).await.body;
    assert_eq!((&page["total"], &page["items"][0]["at"]), (&json!(3), &json!(hour + 2)));
    server.stop().await.unwrap();
}
