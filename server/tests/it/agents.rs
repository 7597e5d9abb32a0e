//! Administrators' operations on agents, and who may speak as an agent.

use pika_server::domain::id::AgentKey;
use pika_server::domain::latest::AgentLatest;
use pika_server::domain::row::{CpuNumbers, Rows, Stored};
use pika_server::store::{SampleWriter, WriteMethod};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{batch, now, sample};
use crate::support::server::Answer;
use crate::support::{AgentClient, TestDatabase, TestServer, eventually, on_both_editions, register_message};

on_both_editions!(
    administrators_name_tag_and_find_agents,
    a_deleted_agent_cannot_come_back_and_its_history_is_inaccessible,
    rows_in_flight_of_a_deleted_agent_affect_nobody,
    a_revoked_secret_is_useless_until_the_agent_is_enrolled_again,
    a_host_is_enrolled_again_as_itself_and_its_old_secret_is_dead,
    a_lost_answer_to_a_new_secret_locks_nobody_out,
    an_agent_disconnected_by_another_server_is_no_longer_acknowledged,
);

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

async fn put(server: &TestServer, id: &str, body: Value) -> Answer {
    let path = format!("/api/agents/{id}");
    server.request(Method::PUT, &path, Some(&server.admin_token), Some(body)).await
}

async fn delete(server: &TestServer, path: &str) -> u16 {
    server.request(Method::DELETE, path, Some(&server.admin_token), None).await.status
}

/// Returns the names in a list with this query.
async fn names(server: &TestServer, query: &str) -> Vec<String> {
    let list = server.get(&format!("/api/agents?{query}")).await.body;
    let items = list["items"].as_array().unwrap_or_else(|| panic!("{list}"));
    assert_eq!(list["total"], items.len());
    items.iter().map(|agent| agent["name"].as_str().unwrap().to_owned()).collect()
}

/// Returns the server's answer to a `register` with these credentials.
async fn register(server: &TestServer, token: Option<&str>, secret: Option<&str>) -> (AgentClient, Value) {
    let mut agent = AgentClient::connect(&server.address, None).await;
    let mut message = register_message("web-1", token);
    if let Some(secret) = secret {
        message["data"]["secret"] = json!(secret);
    }
    agent.send(&message).await;
    let answer = agent.receive().await.unwrap();
    (agent, answer)
}

async fn is_refused(server: &TestServer, secret: &str) {
    let (_, answer) = register(server, Some(secret), None).await;
    assert_eq!(
        (&answer["type"], &answer["data"]["code"]),
        (&json!("register_error"), &json!("unauthorized"))
    );
}

/// A secret in the form agents generate.
fn own_secret(digit: char) -> String {
    format!("pika_agent_{}A", digit.to_string().repeat(42))
}

async fn reenrollment_token(server: &TestServer, id: &str) -> String {
    let answer = server.post(&format!("/api/agents/{id}/enrollment"), json!({})).await;
    assert_eq!((answer.status, &answer.body["agentId"]), (201, &json!(id)), "{answer:?}");
    answer.body["token"].as_str().unwrap().to_owned()
}

async fn administrators_name_tag_and_find_agents(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (agent, id, secret) = server.enroll("web-1").await;
    let (_other, ..) = server.enroll("DB-1").await;
    let labels = json!({"name": " Shop ", "tags": ["prod", " eu ", "prod"], "note": "two\nlines"});
    let changed = put(&server, &id, labels).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!((&changed.body["name"], &changed.body["reportedName"]), (&json!("Shop"), &json!("web-1")));
    assert_eq!(
        (&changed.body["tags"], &changed.body["note"]),
        (&json!(["prod", "eu"]), &json!("two\nlines"))
    );

    // The agent comes back with another name of its own.
    agent.close().await;
    let mut agent = AgentClient::connect(&server.address, Some(&secret)).await;
    agent.send(&register_message("web-one", None)).await;
    agent.receive_type("register_ack").await;
    let known = server.get(&format!("/api/agents/{id}")).await.body;
    assert_eq!((&known["name"], &known["reportedName"]), (&json!("Shop"), &json!("web-one")));

    assert_eq!(names(&server, "").await, ["DB-1", "Shop"]);
    for found in ["search=shop", "search=WEB-ON", "tag=prod", "tag=eu&search=Shop&status=1"] {
        assert_eq!(names(&server, found).await, ["Shop"], "{found}");
    }
    assert_eq!(names(&server, "search=db").await, ["DB-1"]);
    for missed in ["tag=PROD", "tag=pro", "search=%25", "search=Shopweb", "status=0"] {
        assert!(names(&server, missed).await.is_empty(), "{missed}");
    }
    assert_eq!(server.get("/api/agents?status=2").await.status, 422);
    assert_eq!(server.get("/api/agents?search=a%0Ab").await.status, 422);

    let reset = put(&server, &id, json!({"name": "", "tags": [], "note": ""})).await;
    assert_eq!((&reset.body["name"], &reset.body["tags"]), (&json!("web-one"), &json!([])));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn only_administrators_change_agents_and_only_with_valid_values() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (_agent, id, _) = server.enroll("web-1").await;
    let good = json!({"name": "x", "tags": [], "note": ""});
    for (body, status, field) in [
        (json!({"name": "x".repeat(256), "tags": [], "note": ""}), 422, "name"),
        (json!({"name": "", "tags": [""], "note": ""}), 422, "tags"),
        (json!({"name": "", "tags": [], "note": "x".repeat(10_001)}), 422, "note"),
        (json!({"name": "", "tags": []}), 400, "note"),
        (json!({"name": "", "tags": [], "note": "", "id": UNKNOWN}), 400, "id"),
    ] {
        let refused = put(&server, &id, body).await;
        assert_eq!(refused.status, status, "{refused:?}");
        assert!(refused.body["message"].as_str().unwrap().contains(field), "{refused:?}");
    }
    assert_eq!(put(&server, UNKNOWN, good.clone()).await.status, 404);
    assert_eq!(delete(&server, &format!("/api/agents/{UNKNOWN}")).await, 404);
    assert_eq!(delete(&server, &format!("/api/agents/{UNKNOWN}/secret")).await, 404);
    assert_eq!(server.post(&format!("/api/agents/{UNKNOWN}/enrollment"), json!({})).await.status, 404);
    let past = json!({"expiresAt": 1});
    assert_eq!(server.post(&format!("/api/agents/{id}/enrollment"), past).await.status, 422);

    database.connect().await.batch_execute("UPDATE users SET role = 'user'").await.unwrap();
    assert_eq!(put(&server, &id, good).await.status, 403);
    assert_eq!(delete(&server, &format!("/api/agents/{id}")).await, 403);
    assert_eq!(delete(&server, &format!("/api/agents/{id}/secret")).await, 403);
    assert_eq!(server.post(&format!("/api/agents/{id}/enrollment"), json!({})).await.status, 403);
    assert_eq!(server.get(&format!("/api/agents/{id}")).await.body["name"], "web-1");
    server.stop().await.unwrap();
}

async fn a_deleted_agent_cannot_come_back_and_its_history_is_inaccessible(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut deleted, id, secret) = server.enroll("web-1").await;
    let (mut other, other_id, _) = server.enroll("web-2").await;
    deleted.store(1, json!([sample(now())])).await;
    let token = reenrollment_token(&server, &id).await;
    // In flight while the agent is deleted.
    deleted.send(&batch(2, json!([sample(now() + 1)]))).await;
    other.send(&batch(2, json!([sample(now() + 1)]))).await;
    assert_eq!(delete(&server, &format!("/api/agents/{id}")).await, 204);
    let error = deleted.receive_type("error").await;
    assert_eq!(error["data"]["code"], "unauthorized");
    assert!(error["data"]["message"].as_str().unwrap().contains("deleted"), "{error}");
    assert_eq!(deleted.closed().await, Some(1008));

    is_refused(&server, &secret).await;
    is_refused(&server, &token).await;
    for path in ["", "/metrics?type=cpu", "/metrics/latest"] {
        assert_eq!(server.get(&format!("/api/agents/{id}{path}")).await.status, 404, "{path}");
    }
    assert_eq!(delete(&server, &format!("/api/agents/{id}")).await, 404);
    for table in ["disks", "network_interfaces", "agent_latest"] {
        let left = format!("SELECT count(*) FROM {table} WHERE agent_key NOT IN (SELECT key FROM agents)");
        assert_eq!(database.count(&left).await, 0, "{table}");
    }
    // Other agents are not affected.
    other.store(3, json!([sample(now() + 2)])).await;
    assert_eq!(names(&server, "").await, ["web-2"]);
    let latest = server.get(&format!("/api/agents/{other_id}/metrics/latest")).await;
    assert_eq!(latest.status, 200);
    server.stop().await.unwrap();
}

fn cpu_row(agent_key: i32, ts: i64) -> Stored<CpuNumbers> {
    Stored::new(
        ts,
        agent_key,
        CpuNumbers {
            core_count: 1,
            usage_percent: 1.0,
            user_percent: None,
            system_percent: None,
            iowait_percent: None,
            steal_percent: None,
            ..CpuNumbers::default()
        },
    )
}

async fn rows_in_flight_of_a_deleted_agent_affect_nobody(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (_deleted, id, _) = server.enroll("web-1").await;
    let (_other, ..) = server.enroll("web-2").await;
    let key = database.count("SELECT key::int8 FROM agents WHERE name = 'web-1'").await;
    let other_key = database.count("SELECT key::int8 FROM agents WHERE name = 'web-2'").await;
    let (key, other_key) = (i32::try_from(key).unwrap(), i32::try_from(other_key).unwrap());
    assert_eq!(delete(&server, &format!("/api/agents/{id}")).await, 204);

    let store = database.store();
    let rows = Rows { cpu: vec![cpu_row(key, now()), cpu_row(other_key, now())], ..Rows::default() };
    let written = SampleWriter::new(store.clone(), WriteMethod::Insert).write(&rows).await.unwrap();
    assert_eq!(written.rows, 2);
    let latest = AgentLatest { ts: now(), ..AgentLatest::default() };
    store.write_latest(&[(key, latest), (other_key, latest)]).await.unwrap();
    assert_eq!(database.count("SELECT count(*) FROM agent_latest").await, 1);
    store.note_identity_conflict(AgentKey(key), &[], now()).await.unwrap();
    store.maintain(now()).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn deleting_an_agent_while_newest_values_are_written_does_not_affect_others() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (_deleted, ..) = server.enroll("web-1").await;
    let (_other, ..) = server.enroll("web-2").await;
    let mut client = database.connect().await;
    let keys: Vec<i32> = client
        .query("SELECT key FROM agents ORDER BY name", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let deleting = client.transaction().await.unwrap();
    deleting.execute("DELETE FROM agents WHERE key = $1", &[&keys[0]]).await.unwrap();
    let latest = AgentLatest { ts: now(), ..AgentLatest::default() };
    let (store, latest) = (database.store(), [(keys[0], latest), (keys[1], latest)]);
    let writing = tokio::spawn(async move { store.write_latest(&latest).await });
    eventually("the writer waits for the deletion", || async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
             AND datname = current_database() AND query LIKE '%agent_latest%'";
        (0 < database.count(waiting).await).then_some(())
    })
    .await;
    deleting.commit().await.unwrap();
    writing.await.unwrap().unwrap();
    let written = format!("SELECT count(*) FROM agent_latest WHERE agent_key = {}", keys[1]);
    assert_eq!(database.count(&written).await, 1);
    server.stop().await.unwrap();
}

async fn a_revoked_secret_is_useless_until_the_agent_is_enrolled_again(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut agent, id, secret) = server.enroll("web-1").await;
    agent.store(1, json!([sample(now())])).await;
    assert_eq!(delete(&server, &format!("/api/agents/{id}/secret")).await, 204);
    let error = agent.receive_type("error").await;
    assert_eq!(error["data"]["code"], "unauthorized");
    assert_eq!(agent.closed().await, Some(1008));
    is_refused(&server, &secret).await;
    // Nor does it help to send a new secret along.
    let (_, answer) = register(&server, Some(&secret), Some(&own_secret('b'))).await;
    assert_eq!(answer["type"], "register_error");
    let known = server.get(&format!("/api/agents/{id}")).await.body;
    assert_eq!((&known["revoked"], &known["status"]), (&json!(true), &json!(0)));
    assert_eq!(delete(&server, &format!("/api/agents/{id}/secret")).await, 204, "again, to no effect");

    let token = reenrollment_token(&server, &id).await;
    let (_agent, ack) = register(&server, Some(&token), None).await;
    assert_eq!(ack["data"]["agentId"], id.as_str(), "{ack}");
    is_refused(&server, &secret).await;
    let known = server.get(&format!("/api/agents/{id}")).await.body;
    assert_eq!((&known["revoked"], &known["status"]), (&json!(false), &json!(1)));
    let latest = server.get(&format!("/api/agents/{id}/metrics/latest")).await.body;
    assert!(latest["cpu"]["timestamp"].is_i64(), "its history stays: {latest}");
    server.stop().await.unwrap();
}

async fn an_agent_disconnected_by_another_server_is_no_longer_acknowledged(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let other_server = TestServer::start(&database.url).await;
    for (what, code, reason) in [
        ("/secret", "unauthorized", "revoked"),
        ("", "unauthorized", "deleted"),
        ("/enrollment", "superseded", "took over"),
    ] {
        let (mut agent, id, _) = server.enroll("web-1").await;
        agent.store(1, json!([sample(now() - 5_000)])).await;
        let _connection = if what == "/enrollment" {
            let token = reenrollment_token(&other_server, &id).await;
            Some(register(&other_server, Some(&token), None).await)
        } else {
            assert_eq!(delete(&other_server, &format!("/api/agents/{id}{what}")).await, 204);
            None
        };
        agent.send(&batch(2, json!([sample(now())]))).await;
        let answer = agent.receive().await.unwrap();
        assert_eq!((&answer["type"], &answer["data"]["code"]), (&json!("error"), &json!(code)), "{answer}");
        assert!(answer["data"]["message"].as_str().unwrap().contains(reason), "{answer}");
        assert_eq!(agent.closed().await, Some(1008));
    }
    other_server.stop().await.unwrap();
    server.stop().await.unwrap();
}

async fn a_host_is_enrolled_again_as_itself_and_its_old_secret_is_dead(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (mut old, id, old_secret) = server.enroll("web-1").await;
    old.store(1, json!([sample(now())])).await;
    let ended = reenrollment_token(&server, &id).await;
    let token = reenrollment_token(&server, &id).await;
    is_refused(&server, &ended).await;
    let listed = server.get("/api/enrollments").await.body;
    let for_agent = |item: &&Value| item["agentId"] == id.as_str();
    assert_eq!(listed["items"].as_array().unwrap().iter().filter(for_agent).count(), 1, "{listed}");

    let secret = own_secret('c');
    let (mut new, ack) = register(&server, Some(&token), Some(&secret)).await;
    assert_eq!(ack["data"]["agentId"], id.as_str(), "{ack}");
    assert_eq!(old.receive_type("error").await["data"]["code"], "superseded");
    is_refused(&server, &old_secret).await;
    is_refused(&server, &token).await;
    new.store(1, json!([sample(now() + 1)])).await;
    // A registration whose answer was lost is repeated, and uses nothing up.
    let (_new, ack) = register(&server, Some(&token), Some(&secret)).await;
    assert_eq!(ack["data"]["agentId"], id.as_str(), "{ack}");
    assert_eq!(server.get("/api/agents").await.body["total"], 1);
    server.stop().await.unwrap();
}

async fn a_lost_answer_to_a_new_secret_locks_nobody_out(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (_agent, id, old) = server.enroll("web-1").await;
    let new = own_secret('d');
    for attempt in ["the first", "its answer was lost"] {
        let (mut agent, ack) = register(&server, Some(&old), Some(&new)).await;
        assert_eq!((&ack["data"]["agentId"], &ack["data"]["secret"]), (&json!(id), &json!(new)), "{attempt}");
        agent.store(1, json!([sample(now())])).await;
    }
    is_refused(&server, &old).await;
    let (_agent, ack) = register(&server, Some(&new), None).await;
    assert_eq!(ack["data"]["agentId"], id.as_str());
    for malformed in ["", "pika_agent_short", "pika_enroll_", &old.replace("pika_agent_", "")] {
        let (_, answer) = register(&server, Some(&new), Some(malformed)).await;
        assert_eq!(answer["data"]["code"], "invalid_field", "{malformed}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_agent_writes_its_own_samples_and_nobody_elses() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut writer, id, secret) = server.enroll("web-1").await;
    let (_victim, victim_id, _) = server.enroll("web-2").await;
    let victim_key = database.count("SELECT key::int8 FROM agents WHERE name = 'web-2'").await;
    // Every way to name another agent that a frame has room for.
    let mut forged = sample(now());
    let mut frame_data = json!({"agentId": victim_id, "agentKey": victim_key, "agent_key": victim_key});
    for name in ["agentId", "agentKey", "agent_key", "id", "key", "hostname"] {
        forged[name] = json!(victim_id);
        forged["cpu"][name] = json!(victim_key);
        forged["disks"][0][name] = json!(victim_key);
    }
    frame_data["samples"] = json!([forged]);
    let frame =
        json!({"type": "batch", "seq": 1, "agentId": victim_id, "timestamp": now(), "data": frame_data});
    writer.send(&frame).await;
    writer.receive_type("ack").await;
    // Nor does it help to claim another agent's name when registering.
    let mut claim = register_message("web-2", None);
    for name in ["agentId", "id", "key"] {
        claim["data"][name] = json!(victim_id);
    }
    let mut claiming = AgentClient::connect(&server.address, Some(&secret)).await;
    claiming.send(&claim).await;
    assert_eq!(claiming.receive_type("register_ack").await["data"]["agentId"], id.as_str());
    claiming.store(2, json!([sample(now() + 1)])).await;

    for table in ["cpu_metrics", "memory_metrics", "disk_metrics", "network_metrics", "load_metrics"] {
        let of = |agent: &str| {
            format!("SELECT count(*) FROM {table} JOIN agents ON key = agent_key WHERE id = '{agent}'")
        };
        assert!(0 < database.count(&of(&id)).await, "{table}");
        assert_eq!(database.count(&of(&victim_id)).await, 0, "{table}");
    }
    let disks = format!("SELECT count(*) FROM disks WHERE agent_key = {victim_key}");
    assert_eq!(database.count(&disks).await, 0);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn two_machines_with_one_identity_are_reported() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let (mut current, id, secret) = server.enroll("web-1").await;
    let conflict = async || server.get(&format!("/api/agents/{id}")).await.body["identityConflict"].clone();
    // An agent that merely reconnects, however often.
    for _ in 0..5 {
        current.hang_up().await;
        current = server.reconnect("web-1", &secret).await;
    }
    // Nor do dead connections count when they are replaced: they do not answer the close frame.
    for _ in 0..3 {
        let dead = std::mem::replace(&mut current, server.reconnect("web-1", &secret).await);
        drop(dead);
    }
    assert_eq!((conflict().await, server.instruments.identity_conflicts()), (Value::Null, 0));
    for _ in 0..3 {
        let mut alive = std::mem::replace(&mut current, server.reconnect("web-1", &secret).await);
        assert_eq!(alive.closed().await, Some(1008));
    }
    let reported = eventually("the conflict is reported", || async {
        let conflict = conflict().await;
        (!conflict.is_null()).then_some(conflict)
    })
    .await;
    assert_eq!(reported["addresses"], json!(["127.0.0.1"]));
    assert!((now() - 60_000..=now()).contains(&reported["detectedAt"].as_i64().unwrap()));
    assert!(1 <= server.instruments.identity_conflicts());

    let an_hour_ago = format!("UPDATE agents SET identity_conflict_at = {}", now() - 3_600_000);
    database.connect().await.batch_execute(&an_hour_ago).await.unwrap();
    assert_eq!(conflict().await, Value::Null, "it is over");
    let again = format!("UPDATE agents SET identity_conflict_at = {}", now());
    database.connect().await.batch_execute(&again).await.unwrap();
    let token = reenrollment_token(&server, &id).await;
    let (_agent, ack) = register(&server, Some(&token), None).await;
    assert_eq!(ack["type"], "register_ack");
    assert_eq!(conflict().await, Value::Null, "enrolled again, there is one machine");
    server.stop().await.unwrap();
}
