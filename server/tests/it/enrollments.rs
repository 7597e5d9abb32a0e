//! Enrollment tokens are limited in time and uses, end with the API token that created them, and are recorded in the
//! audit log atomically.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use pika_server::domain::tier::DAY_MS;
use pika_shared::Clock;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::now;
use crate::support::database::migrate_accounts_again;
use crate::support::server::{ADMIN_PASSWORD, config};
use crate::support::{AgentClient, TestDatabase, TestServer, eventually, on_both_editions, register_message};

const PASSWORD: &str = "a password of eight or more";

on_both_editions!(
    an_enrollment_knows_its_agents,
    an_enrollment_ends_with_the_api_token_that_made_it,
    an_enrollment_ends_when_its_api_token_expires,
    ended_enrollments_are_deleted,
    an_identity_change_that_cannot_be_recorded_is_not_made,
    enrollments_from_before_end_with_their_api_tokens,
);

/// Returns the type and the code of the answer to a `register` with these credentials.
async fn register(server: &TestServer, token: &str, secret: Option<&str>) -> (String, Value) {
    let mut agent = AgentClient::connect(&server.address, None).await;
    let mut message = register_message("web-1", Some(token));
    if let Some(secret) = secret {
        message["data"]["secret"] = json!(secret);
    }
    agent.send(&message).await;
    let answer = agent.receive().await.unwrap();
    (answer["type"].as_str().unwrap().to_owned(), answer["data"]["code"].clone())
}

async fn is_let_in(server: &TestServer, token: &str) -> bool {
    match register(server, token, None).await {
        (kind, _) if kind == "register_ack" => true,
        (kind, code) => {
            assert_eq!((kind.as_str(), &code), ("register_error", &json!("unauthorized")));
            false
        }
    }
}

/// Creates an enrollment token with an API token.
async fn enrollment(server: &TestServer, api_token: &str, expires_at: i64) -> Value {
    let body = json!({"name": "test", "expiresAt": expires_at, "maxUses": 9});
    let made = server.request(Method::POST, "/api/enrollments", Some(api_token), Some(body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body
}

fn token(made: &Value) -> &str {
    made["token"].as_str().unwrap()
}

async fn an_enrollment_ends_with_the_api_token_that_made_it(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (_agent, agent_id, _) = server.enroll("known").await;
    let user_id = server.create_user("ana", "admin", PASSWORD).await;
    let session = server.session("ana", PASSWORD).await;
    let user = format!("/api/users/{user_id}");
    let own = server.enrollment_token(9).await;
    for end in ["token", "disable", "delete"] {
        let api_token = server.api_token(&session, &["agents:write"]).await;
        let made = enrollment(&server, &api_token, now() + DAY_MS).await;
        let path = format!("/api/agents/{agent_id}/enrollment");
        let again = server.request(Method::POST, &path, Some(&api_token), Some(json!({}))).await.body;
        assert!(is_let_in(&server, token(&made)).await, "{end}");
        let ended = match end {
            "token" => {
                let listed = server.request(Method::GET, "/api/tokens", Some(&session), None).await.body;
                let path = format!("/api/tokens/{}", listed["items"][0]["id"].as_str().unwrap());
                server.request(Method::DELETE, &path, Some(&session), None).await.status
            }
            "disable" => {
                let disabled = server.post(&format!("{user}/status"), json!({"status": 0})).await.status;
                server.post(&format!("{user}/status"), json!({"status": 1})).await;
                disabled
            }
            _ => server.delete(&user).await.status,
        };
        assert!(ended < 300, "{end}: {ended}");
        assert!(!is_let_in(&server, token(&made)).await, "{end}");
        assert!(!is_let_in(&server, token(&again)).await, "{end}");
        if end == "disable" {
            // For the last round.
            server.delete(&user).await;
            break;
        }
    }
    assert!(is_let_in(&server, &own).await, "those of others stay");
    let listed = server.get("/api/enrollments").await.body;
    assert!(listed["items"].as_array().unwrap().iter().all(|item| item["apiTokenId"].is_null()), "{listed}");
    server.stop().await.unwrap();
}

async fn an_enrollment_ends_when_its_api_token_expires(database: TestDatabase) {
    let time = Arc::new(AtomicI64::new(now()));
    let clock = {
        let time = Arc::clone(&time);
        Clock::new(move || time.load(Ordering::Relaxed))
    };
    let mut server = TestServer::start_unready_at(config(&database.url), clock).await;
    server.ready().await;
    server.admin_token = server.session("admin", ADMIN_PASSWORD).await;
    let (_agent, agent_id, _) = server.enroll("known").await;
    let expires_at = time.load(Ordering::Relaxed) + 3_600_000;
    let body = json!({"name": "x", "scopes": ["agents:write"], "expiresAt": expires_at});
    let api_token = server.post("/api/tokens", body).await.body["token"].as_str().unwrap().to_owned();
    let made = enrollment(&server, &api_token, expires_at + DAY_MS).await;
    let body = json!({"expiresAt": expires_at + DAY_MS});
    let path = format!("/api/agents/{agent_id}/enrollment");
    let again = server.request(Method::POST, &path, Some(&api_token), Some(body)).await.body;
    assert_eq!((&made["expiresAt"], &again["expiresAt"]), (&json!(expires_at), &json!(expires_at)));
    assert!(is_let_in(&server, token(&made)).await);
    time.store(expires_at, Ordering::Relaxed);
    assert!(!is_let_in(&server, token(&made)).await && !is_let_in(&server, token(&again)).await);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn time_and_uses_of_an_enrollment_are_capped() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (_agent, agent_id, _) = server.enroll("known").await;
    let soon = now() + 60_000;
    for (field, limit, expires_at, max_uses) in [
        ("expiresAt", "31536000000 ms", i64::MAX, 1),
        ("expiresAt", "31536000000 ms", now() + 366 * DAY_MS, 1),
        ("expiresAt", "future", now(), 1),
        ("maxUses", "1–100000", soon, 100_001),
        ("maxUses", "1–100000", soon, 0),
    ] {
        let body = json!({"name": "x", "expiresAt": expires_at, "maxUses": max_uses});
        let refused = server.post("/api/enrollments", body).await;
        let message = refused.body["message"].as_str().unwrap_or_default();
        assert!(
            refused.status == 422 && message.starts_with(field) && message.contains(limit),
            "{refused:?}"
        );
    }
    let again = json!({"expiresAt": i64::MAX});
    assert_eq!(server.post(&format!("/api/agents/{agent_id}/enrollment"), again).await.status, 422);
    let body = json!({"name": "x", "expiresAt": now() + 364 * DAY_MS, "maxUses": 100_000});
    assert_eq!(server.post("/api/enrollments", body).await.status, 201);
    server.stop().await.unwrap();
}

async fn ended_enrollments_are_deleted(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let live = server.enrollment_token(2).await;
    for hostname in ["web-1", "web-2"] {
        server.enroll(hostname).await;
    }
    let expired = "UPDATE enrollments SET expires_at = 0 WHERE uses = 1 AND created_at = \
         (SELECT min(created_at) FROM enrollments WHERE uses = 1)";
    database.connect().await.batch_execute(expired).await.unwrap();
    server.stop().await.unwrap();
    let server = TestServer::start(&database.url).await;
    eventually("what has ended is swept", || async {
        (database.count("SELECT count(*) FROM enrollments").await == 1).then_some(())
    })
    .await;
    assert!(is_let_in(&server, &live).await);
    assert_eq!(server.get("/api/agents").await.body["total"], 3, "the agents stay");
    server.stop().await.unwrap();
}

async fn an_identity_change_that_cannot_be_recorded_is_not_made(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (agent, agent_id, secret) = server.enroll("known").await;
    agent.close().await;
    let fresh = server.enrollment_token(1).await;
    let again = server.post(&format!("/api/agents/{agent_id}/enrollment"), json!({})).await.body;
    let own = format!("pika_agent_{}A", "e".repeat(42));
    let client = database.connect().await;
    client
        .batch_execute("ALTER TABLE audit_log ADD CONSTRAINT full_up CHECK (false) NOT VALID")
        .await
        .unwrap();
    for (token, secret) in [(&*fresh, None), (token(&again), None), (&*secret, Some(&*own))] {
        assert_eq!(register(&server, token, secret).await.0, "register_error");
    }
    client.batch_execute("ALTER TABLE audit_log DROP CONSTRAINT full_up").await.unwrap();
    assert_eq!(register(&server, &secret, None).await.0, "register_ack", "with the secret as it was");
    assert_eq!(server.get("/api/agents").await.body["total"], 1);
    for (token, secret) in [(&*secret, Some(&*own)), (&*fresh, None), (token(&again), None)] {
        assert_eq!(register(&server, token, secret).await.0, "register_ack");
    }
    let log = server.get(&format!("/api/audit?object={agent_id}")).await.body;
    let actions: Vec<_> = log["items"].as_array().unwrap().iter().map(|item| &item["action"]).collect();
    assert_eq!(actions, ["agent.enroll", "agent.rotate_secret", "agent.enroll"], "{log}");
    assert_eq!(log["items"][0]["details"]["isNew"], false);
    server.stop().await.unwrap();
}

async fn enrollments_from_before_end_with_their_api_tokens(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let mut made = Vec::new();
    for _ in 0..2 {
        let api_token = server.api_token(&server.admin_token, &["agents:write"]).await;
        made.push(enrollment(&server, &api_token, now() + DAY_MS).await);
    }
    let own = server.enrollment_token(9).await;
    // The second token ends, but what it created lives on, as it used to.
    let before = "UPDATE enrollments SET expires_at = 9223372036854775807; \
         DELETE FROM api_tokens WHERE created_at = (SELECT max(created_at) FROM api_tokens)";
    migrate_accounts_again(&database.connect().await, before).await;
    assert_eq!(database.count("SELECT count(*) FROM enrollments").await, 2);
    let far = format!("SELECT count(*) FROM enrollments WHERE {} < expires_at", now() + 366 * DAY_MS);
    assert_eq!(database.count(&far).await, 0);
    assert!(is_let_in(&server, &own).await && is_let_in(&server, token(&made[0])).await);
    assert!(!is_let_in(&server, token(&made[1])).await);
    database.connect().await.batch_execute("DELETE FROM api_tokens").await.unwrap();
    assert!(!is_let_in(&server, token(&made[0])).await && is_let_in(&server, &own).await);
    server.stop().await.unwrap();
}

async fn an_enrollment_knows_its_agents(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let body = json!({"name": "rack 7", "expiresAt": now() + 60_000, "maxUses": 2});
    let made = server.post("/api/enrollments", body).await.body;
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let (_other, other_id, _) = server.enroll("web-2").await;
    assert_eq!(register(&server, token, None).await.0, "register_ack");
    let enrollment = server.get(&format!("/api/enrollments/{id}")).await;
    assert_eq!(
        (enrollment.status, &enrollment.body["name"], &enrollment.body["uses"]),
        (200, &json!("rack 7"), &json!(1))
    );
    let listed = server.get("/api/enrollments").await.body["items"].as_array().unwrap().clone();
    assert!(listed.contains(&enrollment.body), "{listed:?}");
    let agents = server.get(&format!("/api/agents?enrollmentId={id}")).await.body;
    assert_eq!((&agents["total"], &agents["items"][0]["enrollmentId"]), (&json!(1), &json!(id)));
    assert_ne!(server.get(&format!("/api/agents/{other_id}")).await.body["enrollmentId"], json!(id));

    // Deleting it does not affect the agent.
    assert_eq!(server.delete(&format!("/api/enrollments/{id}")).await.status, 204);
    assert_eq!(server.get(&format!("/api/enrollments/{id}")).await.status, 404);
    let agent = agents["items"][0]["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/api/agents/{agent}")).await.body["enrollmentId"], Value::Null);
    server.stop().await.unwrap();
}
