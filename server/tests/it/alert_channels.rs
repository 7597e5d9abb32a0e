//! Channels are created, changed, tested and previewed; their secrets are sealed and never disclosed.

use pika_server::config::Config;
use serde_json::{Value, json};

use crate::support::server::{Answer, config};
use crate::support::{LogCapture, Receiver, TestDatabase, TestServer, eventually, on_both_editions};

on_both_editions!(channels_are_stored_as_created);

/// Stands for every secret of these tests; it must not appear anywhere.
const CANARY: &str = "canary-0123456789";

/// The tests' key.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const OTHER_KEY: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// A server with a key that may reach receivers on loopback.
pub(crate) fn alerting(database: &TestDatabase) -> Config {
    let mut config = config(&database.url);
    config.alerting.secret_keys = vec![KEY.into()];
    config.alerting.allowed_networks = vec!["127.0.0.1/32".parse().unwrap()];
    config.alerting.request_timeout_ms = 5_000;
    // Only the tests cause messages.
    config.alerting.evaluation_interval_ms = 60_000;
    config.server.public_url = "https://pika.example".to_owned();
    config
}

pub(crate) fn webhook(url: &str) -> Value {
    json!({
        "name": "ops", "kind": "webhook",
        "secrets": {"url": url, "headers": format!("Authorization: Bearer {CANARY}"), "signingSecret": CANARY},
    })
}

pub(crate) async fn create(server: &TestServer, channel: Value) -> String {
    let made = server.post("/api/alert-channels", channel).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body["id"].as_str().unwrap().to_owned()
}

/// The request that would change nothing in a channel.
fn unchanged(channel: &Value) -> Value {
    let mut request = channel.clone();
    let fields = request.as_object_mut().unwrap();
    for name in ["id", "state", "failingSince", "lastOkAt", "lastError", "createdAt", "updatedAt"] {
        fields.remove(name);
    }
    fields.insert("secrets".to_owned(), json!({}));
    request
}

async fn channels_are_stored_as_created(database: TestDatabase) {
    let server = TestServer::start_with(alerting(&database)).await;
    let receiver = Receiver::start().await;
    let id = create(&server, webhook(&receiver.url("/hook"))).await;
    let path = format!("/api/alert-channels/{id}");
    let made = server.get(&path).await.body;
    assert_eq!(made["secrets"]["signingSecret"], json!({"set": true, "hint": "6789"}));
    assert_eq!(
        (&made["enabled"], &made["minSeverity"], &made["state"]),
        (&json!(true), &json!("info"), &json!("ok"))
    );
    assert_eq!((&made["groupWaitMs"], &made["perHourMax"]), (&json!(30_000), &json!(60)));
    assert_eq!(server.get("/api/alert-channels").await.body, json!({"items": [made.clone()], "total": 1}));

    // A change keeps omitted secrets.
    let mut change = unchanged(&made);
    change["name"] = json!("OPS 2");
    change["settings"] = json!({"method": "PUT"});
    change["timeZone"] = json!("Asia/Shanghai");
    change["language"] = json!("zh");
    let changed = server.put(&path, change.clone()).await;
    assert_eq!((changed.status, &changed.body["version"]), (200, &json!(2)), "{changed:?}");
    assert_eq!(changed.body["secrets"], made["secrets"]);
    assert_eq!(server.put(&path, change.clone()).await.status, 409, "it was changed in the meantime");
    change["version"] = json!(2);
    change["secrets"] = json!({"headers": null});
    let changed = server.put(&path, change.clone()).await.body;
    assert_eq!(changed["secrets"]["headers"], Value::Null, "{changed}");

    assert_eq!(
        server
            .post(
                "/api/alert-channels",
                json!({"name": "ops 2", "kind": "webhook", "secrets": {"url": receiver.url("/")}})
            )
            .await
            .status,
        409
    );
    let status = format!("{path}/status");
    assert_eq!(server.post(&status, json!({"enabled": false})).await.body["enabled"], false);
    assert_eq!(server.delete(&path).await.status, 204);
    assert_eq!(server.get(&path).await.status, 404);
    assert_eq!(database.count("SELECT count(*) FROM audit_log WHERE action LIKE 'alert_channel.%'").await, 5);
    let audit = server.get("/api/audit?action=alert_channel.update").await.body;
    let changed = &audit["items"][1]["details"]["changed"];
    assert_eq!(*changed, json!(["name", "language", "timeZone", "settings.method"]), "{audit}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn secrets_do_not_follow_a_channel_elsewhere() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(alerting(&database)).await;
    let (receiver, thief) = (Receiver::start().await, Receiver::start().await);
    let id = create(&server, webhook(&receiver.url("/hook"))).await;
    let path = format!("/api/alert-channels/{id}");
    let made = server.get(&path).await.body;
    let refused = |answer: &Answer| {
        answer.status == 422 && answer.body["message"].as_str().unwrap().contains("must be given again")
    };
    let mut change = unchanged(&made);
    change["secrets"] = json!({"url": thief.url("/hook")});
    assert!(refused(&server.put(&path, change.clone()).await));
    let test = json!({"channel": change, "id": id});
    assert!(refused(&server.post("/api/alert-channels/test", test).await));
    // They do follow it to another path on the same server.
    change["secrets"] = json!({"url": receiver.url("/other")});
    assert_eq!(server.put(&path, change).await.status, 200);

    // A server that is not a secret, and another kind.
    let gotify = json!({"name": "g", "kind": "gotify", "settings": {"server": receiver.url("")}, "secrets": {"token": CANARY}});
    let id = create(&server, gotify).await;
    let path = format!("/api/alert-channels/{id}");
    let mut change = unchanged(&server.get(&path).await.body);
    change["settings"] = json!({"server": thief.url("")});
    assert!(refused(&server.put(&path, change.clone()).await));
    change["settings"] = json!({"server": receiver.url("/gotify/")});
    change["kind"] = json!("ntfy");
    change["settings"] = json!({"server": receiver.url(""), "topic": "x"});
    assert!(refused(&server.put(&path, change).await));
    assert!(thief.received().is_empty() && receiver.received().is_empty());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn invalid_channels_are_refused_by_name() {
    let database = TestDatabase::on_server().await;
    let mut config = alerting(&database);
    config.alerting.allowed_networks.clear();
    let server = TestServer::start_with(config).await;
    let cases = [
        (json!({"name": "", "kind": "webhook", "secrets": {"url": "https://a.example/"}}), "name: "),
        (json!({"name": "x", "kind": "pigeon"}), "kind: must be one of webhook, smtp, "),
        (json!({"name": "x", "kind": "webhook"}), "secrets.url: must be set"),
        (
            json!({"name": "x", "kind": "webhook", "secrets": {"url": "hooks.example"}}),
            "secrets.url: is not a URL",
        ),
        (json!({"name": "x", "kind": "webhook", "secrets": {"url": 1}}), "secrets.url: must be text or null"),
        (
            json!({"name": "x", "kind": "webhook", "secrets": {"url": "https://127.0.0.1/"}}),
            "secrets.url: 127.0.0.1 is not on the public internet; if Pika shall reach it, add its network to \
             alerting.allowed_networks",
        ),
        (
            json!({"name": "x", "kind": "webhook", "secrets": {"url": "http://1.1.1.1/"}}),
            "secrets.url: 1.1.1.1 would be reached without encryption",
        ),
        (
            json!({"name": "x", "kind": "smtp", "settings": {"host": "10.0.0.1", "from": "a@b.example", "to": ["c@d.example"]}}),
            "settings.host: 10.0.0.1 is not on the public internet",
        ),
        (
            json!({"name": "x", "kind": "telegram", "settings": {"chatId": "1", "server": "https://[::1]"}, "secrets": {"botToken": "1:a"}}),
            "settings.server: ::1 is not on the public internet",
        ),
        (
            json!({"name": "x", "kind": "webhook", "timeZone": "Mars", "secrets": {"url": "https://1.1.1.1/"}}),
            "timeZone: ",
        ),
        (
            json!({"name": "x", "kind": "slack", "templates": {"body": "{}"}, "secrets": {"url": "https://1.1.1.1/"}}),
            "templates.body: cannot be set",
        ),
        (
            json!({"name": "x", "kind": "webhook", "templates": {"body": "{\"a\": {{ b }}}"}, "secrets": {"url": "https://1.1.1.1/"}}),
            "templates.body: line 1: ",
        ),
        (
            json!({"name": "x", "kind": "webhook", "templates": {"body": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}1"}, "secrets": {"url": "https://1.1.1.1/"}}),
            "templates.body: ",
        ),
    ];
    for (channel, message) in cases {
        let answer = server.post("/api/alert-channels", channel.clone()).await;
        assert_eq!(answer.status, 422, "{channel}: {answer:?}");
        assert!(answer.body["message"].as_str().unwrap().starts_with(message), "{channel}: {}", answer.body);
    }
    let url = json!({"url": "https://1.1.1.1/"});
    for (channel, status) in [
        (json!({"name": "x", "kind": "webhook", "secrets": url, "groupWaitMs": -1}), 400),
        (json!({"name": "x", "kind": "webhook", "secrets": url, "perHourMax": 0}), 400),
        (json!({"name": "x", "kind": "webhook", "secrets": url, "more": 1}), 400),
        (json!({"name": "x", "kind": "webhook", "secrets": url, "minSeverity": "fatal"}), 400),
    ] {
        assert_eq!(server.post("/api/alert-channels", channel.clone()).await.status, status, "{channel}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_test_sends_one_real_message_and_reports_the_answer() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(alerting(&database)).await;
    let receiver = Receiver::start().await;
    let channel = webhook(&receiver.url("/hook?token=x"));
    let tested = server.post("/api/alert-channels/test", json!({"channel": channel})).await;
    assert_eq!((tested.status, &tested.body["ok"]), (200, &json!(true)), "{tested:?}");
    let request = &receiver.requests(1).await[0];
    assert!(request.head.starts_with("POST /hook?token=x HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("authorization"), Some(format!("Bearer {CANARY}").as_str()));
    assert!(request.header("webhook-signature").unwrap().starts_with("v1,"));
    assert_eq!(request.json()["test"], true);
    assert_eq!(request.json()["groupTitle"], "[test] [info] Pika: test message");
    assert_eq!(database.count("SELECT count(*) FROM alert_channels").await, 0);

    // A stored channel is tested as it is; a redirect is not followed, and secrets repeated in an answer are masked.
    let id = create(&server, channel).await;
    receiver.reply("302 Found\r\nlocation: http://10.0.0.1/", "");
    let tested = server.post(&format!("/api/alert-channels/{id}/test"), Value::Null).await.body;
    assert_eq!((&tested["ok"], &tested["httpStatus"]), (&json!(false), &json!(302)));
    assert_eq!(tested["error"], "302: the URL has moved to 10.0.0.1");
    let slack = json!({"name": "s", "kind": "slack", "secrets": {"url": receiver.url(&format!("/services/{CANARY}"))}});
    receiver.reply("404 Not Found", &format!("no webhook /services/{CANARY}"));
    let tested = server.post("/api/alert-channels/test", json!({"channel": slack})).await;
    assert_eq!(tested.body["result"], "rejected", "{tested:?}");
    assert!(!tested.body.to_string().contains(CANARY), "{tested:?}");
    let refused = server.post(&format!("/api/alert-channels/{id}/test"), Value::Null).await;
    assert_eq!(refused.status, 429, "three a minute");
    assert_eq!(receiver.received().len(), 3);
    assert_eq!(database.count("SELECT count(*) FROM audit_log WHERE action = 'alert_channel.test'").await, 3);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_preview_sends_nothing() {
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(alerting(&database)).await;
    let kinds = server.get("/api/alert-channel-kinds").await.body;
    assert_eq!(kinds["total"], 17);
    let settings = json!({
        "telegram": {"chatId": "1"}, "ntfy": {"topic": "x"}, "gotify": {"server": "https://gotify.example"},
        "matrix": {"homeserver": "https://m.example", "roomId": "!a:m.example"},
        "smtp": {"host": "mail.example", "from": "a@b.example", "to": ["c@d.example"]},
    });
    for kind in kinds["items"].as_array().unwrap() {
        let name = kind["kind"].as_str().unwrap();
        let channel = json!({"name": "x", "kind": name, "language": "zh", "settings": settings.get(name)});
        for (sample, count) in
            [("firing", 1), ("group", if ["pagerduty", "jsm"].contains(&name) { 25 } else { 1 })]
        {
            let body = json!({"channel": channel, "sample": sample});
            let shown = server.post("/api/alert-channels/preview", body).await;
            assert_eq!(shown.status, 200, "{name}: {shown:?}");
            assert_eq!(shown.body["requests"].as_array().unwrap().len(), count, "{name}");
        }
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_key_no_channel_has_secrets() {
    let database = TestDatabase::on_server().await;
    let receiver = Receiver::start().await;
    let mut config = alerting(&database);
    config.alerting.secret_keys.clear();
    let server = TestServer::start_with(config).await;
    let refused = server.post("/api/alert-channels", webhook(&receiver.url("/"))).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body["message"].as_str().unwrap().contains("alerting.secret_keys"), "{refused:?}");
    let ntfy = json!({"name": "n", "kind": "ntfy", "settings": {"server": receiver.url(""), "topic": "x"}});
    create(&server, ntfy).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_key_seals_anew_and_a_lost_one_asks_for_the_secrets_again() {
    let database = TestDatabase::on_server().await;
    let receiver = Receiver::start().await;
    let mut config = alerting(&database);
    let server = TestServer::start_with(config.clone()).await;
    let id = create(&server, webhook(&receiver.url("/"))).await;
    server.stop().await.unwrap();
    let sealed = async || {
        let row =
            database.connect().await.query_one("SELECT secrets FROM alert_channels", &[]).await.unwrap();
        row.get::<_, Vec<u8>>(0)
    };
    let before = sealed().await;
    assert!(!before.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));

    config.alerting.secret_keys = vec![OTHER_KEY.into(), KEY.into()];
    TestServer::start_with(config.clone()).await.stop().await.unwrap();
    assert_ne!(sealed().await[..5], before[..5], "the key's id");
    config.alerting.secret_keys = vec![OTHER_KEY.into()];
    let server = TestServer::start_with(config.clone()).await;
    let test = format!("/api/alert-channels/{id}/test");
    assert_eq!(server.post(&test, Value::Null).await.body["ok"], true);
    server.stop().await.unwrap();

    config.alerting.secret_keys = vec![KEY.into()];
    let server = TestServer::start_with(config).await;
    let path = format!("/api/alert-channels/{id}");
    assert_eq!(server.post(&test, Value::Null).await.status, 422);
    let mut change = unchanged(&server.get(&path).await.body);
    assert_eq!(server.put(&path, change.clone()).await.status, 422);
    change["secrets"] = webhook(&receiver.url("/"))["secrets"].clone();
    assert_eq!(server.put(&path, change).await.status, 200);
    assert_eq!(server.post(&test, Value::Null).await.body["ok"], true);
    server.stop().await.unwrap();
}

/// Everything that can be read from the server, with every secret of a channel in use.
#[tokio::test]
async fn secrets_are_never_disclosed() {
    let log = LogCapture::start();
    let database = TestDatabase::on_server().await;
    let server = TestServer::start_with(alerting(&database)).await;
    let receiver = Receiver::start().await;
    let mut answers = Vec::new();
    for (kind, settings, secrets) in [
        ("webhook", json!({}), webhook(&receiver.url(&format!("/{CANARY}")))["secrets"].clone()),
        ("telegram", json!({"chatId": "1", "server": receiver.url("")}), json!({"botToken": CANARY})),
        ("slack", json!({}), json!({"url": receiver.url(&format!("/{CANARY}"))})),
        ("pushover", json!({"server": receiver.url("")}), json!({"token": CANARY, "userKey": CANARY})),
    ] {
        let channel = json!({"name": kind, "kind": kind, "settings": settings, "secrets": secrets});
        answers.push(server.post("/api/alert-channels", channel.clone()).await);
        let id = answers.last().unwrap().body["id"].as_str().unwrap().to_owned();
        // Accepted by none of these kinds.
        receiver.reply(
            "400 Bad Request",
            &format!("{{\"description\": \"{CANARY}\", \"errors\": [\"{CANARY}\"]}}"),
        );
        sqlx(&database, &format!("UPDATE alert_channels SET last_error = NULL WHERE id = '{id}'")).await;
        let preview = json!({"channel": channel});
        answers.push(server.post("/api/alert-channels/preview", preview).await);
        if kind != "pushover" {
            answers.push(server.post(&format!("/api/alert-channels/{id}/test"), Value::Null).await);
        }
        let mut change = unchanged(&server.get(&format!("/api/alert-channels/{id}")).await.body);
        change["name"] = json!(format!("{kind} 2"));
        answers.push(server.put(&format!("/api/alert-channels/{id}"), change).await);
        let wrong = json!({"name": kind, "kind": kind, "settings": {CANARY: 1}, "secrets": secrets});
        assert_eq!(server.post("/api/alert-channels", wrong).await.status, 422);
    }
    for path in ["/api/alert-channels", "/api/alert-deliveries", "/api/audit?pageSize=100"] {
        answers.push(server.get(path).await);
    }
    for answer in &answers {
        assert!(answer.status < 300, "{answer:?}");
        assert!(!answer.body.to_string().contains(CANARY), "{answer:?}");
    }
    assert_eq!(receiver.received().len(), 3);
    server.stop().await.unwrap();
    let log = log.text();
    assert!(log.contains("created a channel"), "{log}");
    // The statement's parameters and the request's body must not be logged either.
    assert!(!log.lines().any(|line| line.contains(CANARY) && line.contains("pika_server")), "{log}");
}

async fn sqlx(database: &TestDatabase, sql: &str) {
    database.connect().await.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn second_factors_are_sealed_at_the_next_start() {
    let database = TestDatabase::on_server().await;
    let mut config = alerting(&database);
    config.alerting.secret_keys.clear();
    let server = TestServer::start_with(config).await;
    let begun =
        server.post("/api/account/totp", json!({"password": crate::support::server::ADMIN_PASSWORD})).await;
    assert!(begun.status < 300, "{begun:?}");
    let length = "SELECT length(secret)::int8 FROM totp";
    assert_eq!(database.count(length).await, 20, "as it is, without a key");
    server.stop().await.unwrap();
    let server = TestServer::start_with(alerting(&database)).await;
    eventually("the secret is sealed", || async { (database.count(length).await == 65).then_some(()) }).await;
    // A wrong code is reported as such, so the secret can be read.
    let confirmed = server.post("/api/account/totp/confirm", json!({"code": "000000"})).await;
    assert_eq!(confirmed.status, 403, "{confirmed:?}");
    server.stop().await.unwrap();
}
