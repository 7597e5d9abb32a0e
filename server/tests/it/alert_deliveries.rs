//! Pending messages are sent in order, retried if they were not accepted, and repeated with the same key if that is
//! unknown.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::alert_channels::{alerting, create, webhook};
use crate::support::client::now;
use crate::support::{Receiver, TestDatabase, TestServer, eventually, on_both_editions};

on_both_editions!(pending_messages_are_sent_and_recorded, rejected_messages_are_sent_again_as_one,);

/// Creates a rule and an alert of it as the evaluator would. Returns the alert's id.
async fn alert(database: &TestDatabase, agent: &str) -> Uuid {
    let id = Uuid::new_v4();
    let client = database.connect().await;
    // The next evaluation is a minute away, so only the test writes messages.
    let evaluated = "SELECT count(*) FROM alert_clock WHERE evaluated_at IS NOT NULL";
    eventually("the first evaluation is over", || async {
        (database.count(evaluated).await == 1).then_some(())
    })
    .await;
    let rule = "00000000-0000-4000-8000-000000000001";
    let definition = json!({"conditions": [{"kind": "metric", "family": "disk", "metric": "usagePercent",
        "function": "max", "windowMs": 300_000, "operator": "above"}]});
    client
        .batch_execute(&format!(
            "INSERT INTO alert_rules (id, name, enabled, definition, runbook, created_at, updated_at, updated_by) \
             VALUES ('{rule}', 'Disk space of the test', false, '{definition}', 'Clear the cache.', 0, 0, '') \
             ON CONFLICT DO NOTHING; \
             INSERT INTO alerts (id, rule_id, rule_name, rule_version, agent_id, agent_name, series_name, severity, \
                 peak_severity, state, started_at, fired_at, value, peak_value, peak_at, threshold, \
                 recovery_threshold, unit, changed_at) \
             VALUES ('{id}', '{rule}', 'Disk space', 1, '{rule}', '{agent}', '/', 3, 3, 'firing', {started}, {fired}, \
                 95.6, 96.1, {fired}, 95, 92, 'percent', 0)",
            started = now() - 600_000,
            fired = now() - 300_000,
        ))
        .await
        .unwrap();
    id
}

/// Enqueues a message about alerts as the evaluator would. Returns its key.
async fn enqueue(database: &TestDatabase, channel: &str, items: &[(Uuid, &str)]) -> Uuid {
    let key = Uuid::new_v4();
    let at = now();
    let items: Vec<Value> = items
        .iter()
        .map(|(alert, transition)| {
            json!({"alertId": alert, "transition": transition, "severity": "critical", "at": at, "value": 95.6})
        })
        .collect();
    let items = Value::from(items);
    let told = |alert: &Value, told: i32| {
        format!(
            "INSERT INTO alert_told (alert_id, channel_id, told, severity, told_at, outbox_id) \
             SELECT '{}', '{channel}', {told}, 3, {at}, id FROM alert_outbox WHERE key = '{key}' \
             ON CONFLICT (alert_id, channel_id) DO UPDATE SET told = excluded.told, outbox_id = excluded.outbox_id;",
            alert.as_str().unwrap()
        )
    };
    let told: String = items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| told(&item["alertId"], if item["transition"] == "resolved" { 2 } else { 1 }))
        .collect();
    let sql = format!(
        "BEGIN; INSERT INTO alert_outbox (channel_id, kind, items, key, created_at, next_attempt_at, expires_at) \
         VALUES ('{channel}', 'alerts', '{items}', '{key}', {at}, {at}, {expires}); {told} COMMIT",
        expires = at + 86_400_000,
    );
    database.connect().await.batch_execute(&sql).await.unwrap();
    key
}

/// Resolves the alert.
async fn resolve(database: &TestDatabase, alert: Uuid) {
    let sql = format!(
        "UPDATE alerts SET state = 'resolved', ended_at = {}, end_reason = 'recovered' WHERE id = '{alert}'",
        now()
    );
    database.connect().await.batch_execute(&sql).await.unwrap();
}

/// Waits until the message has this status, and returns it from the API.
async fn delivery(server: &TestServer, key: Uuid, status: &str) -> Value {
    eventually(&format!("the message is {status}"), || async {
        let answer = server.get("/api/alert-deliveries?pageSize=100").await.body;
        let items = answer["items"].as_array().unwrap().clone();
        items.into_iter().find(|item| item["id"] == key.to_string() && item["status"] == status)
    })
    .await
}

/// Makes all pending messages due.
async fn hurry(database: &TestDatabase) {
    let sql = "UPDATE alert_outbox SET next_attempt_at = 0 WHERE status = 'waiting'; \
         UPDATE alert_channels SET next_at = NULL";
    database.connect().await.batch_execute(sql).await.unwrap();
}

async fn pending_messages_are_sent_and_recorded(database: TestDatabase) {
    let server = TestServer::start_with(alerting(&database)).await;
    let receiver = Receiver::start().await;
    let channel = create(&server, webhook(&receiver.url("/hook"))).await;
    let alert_id = alert(&database, "web-7").await;
    let key = enqueue(&database, &channel, &[(alert_id, "firing")]).await;
    let request = &receiver.requests(1).await[0];
    assert_eq!(request.header("webhook-id"), Some(key.to_string().as_str()));
    let body = request.json();
    assert_eq!(body["groupTitle"], "[critical] web-7: / 95.6 % full");
    assert_eq!((&body["alerts"][0]["id"], &body["alerts"][0]["threshold"]), (&json!(alert_id), &json!(95.0)));
    assert!(body["text"].as_str().unwrap().contains("What to do: Clear the cache."), "{body}");

    let sent = delivery(&server, key, "sent").await;
    assert_eq!((&sent["channelName"], &sent["alertIds"]), (&json!("ops"), &json!([alert_id])));
    assert_eq!(
        (&sent["attempts"][0]["result"], &sent["attempts"][0]["httpStatus"]),
        (&json!("ok"), &json!(204))
    );
    let kept = server.get(&format!("/api/alert-channels/{channel}")).await.body;
    assert_eq!(kept["state"], "ok");
    assert!(kept["lastOkAt"].is_i64(), "{kept}");
    assert_eq!(database.count("SELECT count(*) FROM alert_events WHERE kind = 'told'").await, 1);
    for (query, count) in [
        (format!("alertId={alert_id}"), 1),
        (format!("alertId={}", Uuid::new_v4()), 0),
        (format!("channelId={channel}&status=sent"), 1),
        ("status=failed".to_owned(), 0),
    ] {
        let found = server.get(&format!("/api/alert-deliveries?{query}")).await.body;
        assert_eq!(found["total"], count, "{query}");
    }
    let retried = server.post(&format!("/api/alert-deliveries/{key}/retry"), Value::Null).await;
    assert_eq!(retried.status, 409, "{retried:?}");
    server.stop().await.unwrap();
}

async fn rejected_messages_are_sent_again_as_one(database: TestDatabase) {
    let server = TestServer::start_with(alerting(&database)).await;
    let receiver = Receiver::start().await;
    let channel = create(&server, webhook(&receiver.url("/hook"))).await;
    let (first, second) = (alert(&database, "web-1").await, alert(&database, "web-2").await);
    receiver.reply("429 Too Many Requests\r\nretry-after: 600", "");
    let key = enqueue(&database, &channel, &[(first, "firing")]).await;
    let waiting = delivery(&server, key, "waiting").await;
    eventually("the attempt is recorded", || async {
        let answer = server.get("/api/alert-deliveries").await.body;
        (answer["items"][0]["attempts"][0]["result"] == "rate_limited").then_some(())
    })
    .await;
    let waiting = match waiting["attempts"][0]["result"].as_str() {
        Some(_) => waiting,
        None => delivery(&server, key, "waiting").await,
    };
    let wait_ms = waiting["nextAttemptAt"].as_i64().unwrap() - now();
    assert!((500_000..=600_000).contains(&wait_ms), "{waiting}");
    let kept = server.get(&format!("/api/alert-channels/{channel}")).await.body;
    assert_eq!((&kept["state"], &kept["lastError"]), (&json!("failing"), &json!("429")));

    // In the meantime it is resolved and another one fires: one message reports both.
    resolve(&database, first).await;
    enqueue(&database, &channel, &[(first, "resolved")]).await;
    let last = enqueue(&database, &channel, &[(second, "firing")]).await;
    hurry(&database).await;
    let request = receiver.requests(2).await[1].clone();
    assert_eq!(request.header("webhook-id"), Some(last.to_string().as_str()), "no receiver knows this key");
    let body = request.json();
    assert_eq!(body["groupTitle"], "1 firing, 1 resolved");
    let text = body["text"].as_str().unwrap();
    assert!(text.starts_with("[critical] web-2: / 95.6 % full ("), "{text}");
    let unseen = text.lines().nth(1).unwrap();
    assert!(unseen.starts_with("[resolved] web-1: Disk almost full (/), ") && unseen.contains('–'), "{text}");
    delivery(&server, key, "superseded").await;
    let sent = delivery(&server, last, "sent").await;
    assert_eq!(sent["attempts"][0]["number"], 2, "the second attempt of what waited");
    assert_eq!(server.get(&format!("/api/alert-channels/{channel}")).await.body["state"], "ok");
    assert_eq!(receiver.received().len(), 2);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_message_always_rejected_breaks_the_channel_and_is_given_up() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(alerting(&database)).await;
    let receiver = Receiver::start().await;
    let channel = create(&server, webhook(&receiver.url("/hook"))).await;
    let (burning, over) = (alert(&database, "web-1").await, alert(&database, "web-2").await);
    resolve(&database, over).await;
    // Both were reported before; 200 with an error in the body would be the same for kinds that have that.
    for _ in 0..3 {
        receiver.reply("410 Gone", "");
    }
    let key = enqueue(&database, &channel, &[(burning, "firing"), (over, "resolved")]).await;
    for attempts in 1..=3 {
        receiver.requests(attempts).await;
        eventually("the attempt is over", || async {
            let count = database.count("SELECT count(*) FROM alert_attempts WHERE result = 'rejected'").await;
            (count == i64::try_from(attempts).unwrap()).then_some(())
        })
        .await;
        let state = server.get(&format!("/api/alert-channels/{channel}")).await.body["state"].clone();
        assert_eq!(state, "broken");
        hurry(&database).await;
    }
    delivery(&server, key, "failed").await;
    // The firing one was not reported; as far as the channel knows, the resolved one still fires.
    assert_eq!(
        database.count(&format!("SELECT count(*) FROM alert_told WHERE alert_id = '{burning}'")).await,
        0
    );
    assert_eq!(
        database.count(&format!("SELECT told::int8 FROM alert_told WHERE alert_id = '{over}'")).await,
        1
    );
    let retried = server.post(&format!("/api/alert-deliveries/{key}/retry"), Value::Null).await;
    assert_eq!(retried.status, 204, "{retried:?}");
    delivery(&server, key, "sent").await;
    let metrics = server.instruments.render(&pika_server::telemetry::Snapshot::default()).unwrap();
    let metrics = String::from_utf8(metrics).unwrap();
    for line in [
        "pika_notification_attempts_total{kind=\"webhook\",result=\"rejected\"} 3",
        "pika_notification_attempts_total{kind=\"telegram\",result=\"ok\"} 0",
        "pika_notifications_total{kind=\"webhook\",result=\"failed\"} 1",
        "pika_notifications_total{kind=\"webhook\",result=\"sent\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_error_in_the_body_of_a_success_is_one() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(alerting(&database)).await;
    let receiver = Receiver::start().await;
    let wecom = json!({"name": "w", "kind": "wecom", "settings": {"server": receiver.url("")}, "secrets": {"key": "k"}});
    let channel = create(&server, wecom).await;
    receiver.reply("200 OK", r#"{"errcode": 45009, "errmsg": "freq out of limit"}"#);
    receiver.reply("200 OK", r#"{"errcode": 0, "errmsg": "ok"}"#);
    let alert_id = alert(&database, "web-1").await;
    let key = enqueue(&database, &channel, &[(alert_id, "firing")]).await;
    receiver.requests(1).await;
    eventually("the attempt is over", || async {
        let count = "SELECT count(*) FROM alert_attempts WHERE result = 'rate_limited'";
        (database.count(count).await == 1).then_some(())
    })
    .await;
    hurry(&database).await;
    let sent = delivery(&server, key, "sent").await;
    let error = sent["attempts"][0]["error"].as_str().unwrap();
    assert!(error.contains("code 45009: freq out of limit"), "{sent}");
    let requests = receiver.received();
    let lines: Vec<_> = requests.iter().map(|request| request.body.split("\\n\\n").next().unwrap()).collect();
    assert_eq!(lines[0], lines[1], "the same is said again");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn messages_that_may_have_arrived_are_repeated_with_the_same_key() {
    let database = TestDatabase::on_server().await;
    let receiver = Receiver::start().await;
    let mut config = alerting(&database);
    config.server.shutdown_timeout_ms = 0;
    let server = TestServer::start_with(config).await;
    let channel = create(&server, webhook(&receiver.url("/hook"))).await;
    let alert_id = alert(&database, "web-1").await;
    receiver.stay_silent();
    let key = enqueue(&database, &channel, &[(alert_id, "firing")]).await;
    receiver.requests(1).await;
    // The server stops between request and answer; later events must not change what may have been sent.
    server.stop().await.unwrap();
    let later = enqueue(&database, &channel, &[(alert(&database, "web-2").await, "firing")]).await;
    assert_eq!(database.count("SELECT count(*) FROM alert_outbox WHERE status = 'sending'").await, 1);
    database.connect().await.batch_execute("UPDATE alert_channels SET leased_until = 0").await.unwrap();

    let server = TestServer::start_with(alerting(&database)).await;
    let requests = receiver.requests(3).await;
    let keys: Vec<_> =
        requests.iter().map(|request| request.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(keys, [key, key, later].map(|key| key.to_string()));
    let alerts =
        |request: &crate::support::receiver::Received| request.json()["alerts"].as_array().unwrap().len();
    assert_eq!(requests.iter().map(alerts).collect::<Vec<_>>(), [1, 1, 1]);
    let sent = delivery(&server, key, "sent").await;
    assert_eq!(
        (&sent["attempts"][0]["result"], &sent["attempts"][1]["result"]),
        (&Value::Null, &json!("ok"))
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn expired_messages_are_given_up_and_a_successful_test_sends_the_others() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(alerting(&database)).await;
    let receiver = Receiver::start().await;
    let channel = create(&server, webhook(&receiver.url("/hook"))).await;
    let (old, waiting) = (alert(&database, "web-1").await, alert(&database, "web-2").await);
    for _ in 0..2 {
        receiver.reply("401 Unauthorized", "");
    }
    let key = enqueue(&database, &channel, &[(waiting, "firing")]).await;
    eventually("the channel is broken", || async {
        let kept = server.get(&format!("/api/alert-channels/{channel}")).await.body;
        (kept["state"] == "broken").then_some(())
    })
    .await;
    let expired = enqueue(&database, &channel, &[(old, "firing")]).await;
    let sql = format!("UPDATE alert_outbox SET expires_at = 1 WHERE key = '{expired}'");
    database.connect().await.batch_execute(&sql).await.unwrap();
    delivery(&server, expired, "expired").await;
    assert_eq!(database.count(&format!("SELECT count(*) FROM alert_told WHERE alert_id = '{old}'")).await, 0);

    let test = format!("/api/alert-channels/{channel}/test");
    assert_eq!(server.post(&test, Value::Null).await.body["result"], "auth");
    assert_eq!(server.post(&test, Value::Null).await.body["ok"], true);
    delivery(&server, key, "sent").await;
    server.stop().await.unwrap();
}
