//! What machines are: reported when they register, kept by the server's clock, and refused where it cannot be.

use serde_json::{Value, json};

use crate::support::client::now;
use crate::support::{AgentClient, TestDatabase, TestServer, on_both_editions, register_message};

async fn register(server: &TestServer, secret: &str, ahead_ms: i64, facts: Option<Value>) -> Value {
    let mut message = register_message("web-1", Some(secret));
    message["timestamp"] = json!(now() + ahead_ms);
    if let Some(facts) = facts {
        message["data"]["facts"] = facts;
    }
    let mut agent = AgentClient::connect(&server.address, None).await;
    agent.send(&message).await;
    let answer = agent.receive().await.unwrap();
    agent.close().await;
    answer
}

async fn facts_are_kept_as_they_were_reported_last(database: TestDatabase) {
    let server = TestServer::start(&database.url).await;
    let (agent, id, secret) = server.enroll("web-1").await;
    agent.close().await;
    let path = format!("/api/agents/{id}");
    let kept = async || server.get(&path).await.body["facts"].clone();
    assert_eq!(kept().await["osName"], Value::Null, "an older agent says nothing");

    // A clock that is a minute ahead has seen the boot a minute later than it was.
    let (booted_at, ahead_ms) = (now() - 3_600_000, 60_000);
    let facts = json!({
        "osName": "Debian GNU/Linux 13", "kernel": "6.12", "cpuModel": "AMD", "cpuCount": 8,
        "memoryBytes": 17_179_869_184_i64, "bootedAt": booted_at + ahead_ms, "virtualization": "kvm",
        "of a later agent": true
    });
    assert_eq!(register(&server, &secret, ahead_ms, Some(facts)).await["type"], "register_ack");
    let reported = kept().await;
    assert_eq!(
        (&reported["osName"], &reported["cpuCount"], &reported["memoryBytes"], &reported["virtualization"]),
        (&json!("Debian GNU/Linux 13"), &json!(8), &json!(17_179_869_184_i64), &json!("kvm"))
    );
    let away_ms = reported["bootedAt"].as_i64().unwrap() - booted_at;
    assert!(away_ms.abs() < 5_000, "{away_ms} ms away");
    let listed = server.get("/api/agents").await.body;
    assert_eq!(listed["items"][0]["facts"], reported);

    // What hides in a text does not end the reports of an agent that was let in before.
    let hidden = json!({"osName": "De\u{202e}bian", "bootedAt": now() + 86_400_000});
    assert_eq!(register(&server, &secret, 0, Some(hidden)).await["type"], "register_ack");
    let reported = kept().await;
    assert_eq!((&reported["osName"], &reported["kernel"]), (&json!("Debian"), &Value::Null));
    assert_eq!(reported["bootedAt"], Value::Null, "nothing was booted tomorrow");

    for (field, value) in [
        ("osName", json!("x".repeat(256))),
        ("cpuCount", json!(0)),
        ("memoryBytes", json!(u64::MAX)),
        ("bootedAt", json!(-1)),
    ] {
        let refusal = register(&server, &secret, 0, Some(json!({field: value}))).await;
        assert_eq!(refusal["type"], "register_error", "{field}");
        assert!(refusal["data"]["message"].as_str().unwrap().contains(field), "{refusal}");
    }
    assert_eq!(kept().await["osName"], "Debian");
    server.stop().await.unwrap();
}

on_both_editions!(facts_are_kept_as_they_were_reported_last);
