//! Alert rules, alerts and silences over the API.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::client::{now, sample};
use crate::support::server::config;
use crate::support::{TestDatabase, TestServer, on_both_editions};

const PASSWORD: &str = "a password of eight or more";

on_both_editions!(
    rules_are_created_changed_and_deleted,
    a_rule_can_be_tried,
    alerts_are_acknowledged_and_snoozed
);

/// A server that evaluates nothing by itself.
async fn quiet_server(database: &TestDatabase) -> TestServer {
    let mut config = config(&database.url);
    config.alerting.enabled = false;
    TestServer::start_with(config).await
}

fn busy(name: &str) -> Value {
    let levels = json!({"warning": {"threshold": 80, "recoveryThreshold": 70}});
    json!({"name": name, "conditions": [{"kind": "metric", "family": "cpu", "metric": "usagePercent", "function": "avg",
        "windowMs": 300_000, "operator": "above", "severities": levels}], "forMs": 60_000})
}

async fn rules_are_created_changed_and_deleted(database: TestDatabase) {
    let server = quiet_server(&database).await;
    let rules = server.get("/api/alert-rules").await.body;
    let builtin =
        rules["items"].as_array().unwrap().iter().find(|rule| rule["builtin"] == "disk-space").unwrap();
    assert_eq!(
        (&builtin["isUnchanged"], &builtin["series"]["fsTypesExclude"][0]),
        (&json!(true), &json!("tmpfs"))
    );
    let created = server.post("/api/alert-rules", busy("Busy")).await;
    assert_eq!(created.status, 201, "{created:?}");
    let path = created.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(server.get(&path).await.body, created.body);
    assert_eq!(
        created.body["conditions"],
        busy("Busy")["conditions"]
            .clone()
            .as_array()
            .map(|conditions| {
                // Numbers come back as they are stored.
                let mut conditions = json!(conditions);
                conditions[0]["severities"]["warning"] =
                    json!({"threshold": 80.0, "recoveryThreshold": 70.0});
                conditions
            })
            .unwrap()
    );
    assert_eq!(server.post("/api/alert-rules", busy("BUSY")).await.status, 409);
    let mut wrong = busy("x");
    wrong["conditions"][0]["windowMs"] = json!(1);
    let refused = server.post("/api/alert-rules", wrong).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.body["message"].as_str().unwrap().starts_with("conditions[0].windowMs"), "{refused:?}");
    let mut wrong = busy("x");
    wrong["conditions"][0]["kind"] = json!("weather");
    let refused = server.post("/api/alert-rules", wrong).await;
    assert!(
        refused.status == 422 && refused.body["message"].as_str().unwrap().contains("weather"),
        "{refused:?}"
    );
    let mut change = busy("Busier");
    change["version"] = json!(1);
    assert_eq!(server.put(&path, change.clone()).await.body["version"], 2);
    assert_eq!(server.put(&path, change).await.status, 409, "it was changed in the meantime");
    // Built-in rules can be changed, and reset.
    let builtin_path = format!("/api/alert-rules/{}", builtin["id"].as_str().unwrap());
    let changed = server.put(&builtin_path, busy("Disk space")).await.body;
    assert_eq!((&changed["isUnchanged"], &changed["builtin"]), (&json!(false), &json!("disk-space")));
    let reset = server.post(&format!("{builtin_path}/reset"), json!({})).await.body;
    assert_eq!((&reset["isUnchanged"], &reset["conditions"]), (&json!(true), &builtin["conditions"]));
    assert_eq!(server.delete(&builtin_path).await.status, 409);
    assert_eq!(server.post(&format!("{path}/reset"), json!({})).await.status, 409);
    let off = server.post(&format!("{path}/status"), json!({"enabled": false})).await;
    assert_eq!(off.body["enabled"], false);
    // A rule that would depend on itself through another.
    let mut other = busy("Other");
    other["dependsOn"] = json!([created.body["id"]]);
    let other = server.post("/api/alert-rules", other).await.body;
    let mut circle = busy("Busy");
    circle["dependsOn"] = json!([other["id"]]);
    assert_eq!(server.put(&path, circle).await.status, 422);
    assert_eq!(server.delete(&path).await.status, 204);
    assert_eq!(server.get(&path).await.status, 404);
    let audit = server.get("/api/audit?action=alert_rule.delete").await.body;
    assert_eq!(audit["items"][0]["objectName"], "Busier", "{audit}");
    let metrics = server.get("/api/alert-rules/metrics").await.body;
    let free = metrics["items"].as_array().unwrap().iter().find(|one| one["metric"] == "freeBytes").unwrap();
    assert_eq!(free["unit"], "bytes");
    server.stop().await.unwrap();
}

async fn a_rule_can_be_tried(database: TestDatabase) {
    let server = quiet_server(&database).await;
    let (mut agent, id, _) = server.enroll("web-1").await;
    let (_silent, _, _) = server.enroll("web-2").await;
    let end = now();
    let samples: Vec<Value> = (0..20).map(|i| sample(end - 5_000 - i * 14_000)).collect();
    agent.store(1, json!(samples)).await;
    let mut rule = busy("x");
    rule["conditions"][0]["severities"]["warning"] = json!({"threshold": 0, "recoveryThreshold": -1});
    let tried = server.post("/api/alert-rules/test", rule).await;
    assert_eq!(tried.status, 200, "{tried:?}");
    let items = tried.body["items"].as_array().unwrap();
    assert_eq!((tried.body["total"].as_i64(), tried.body["holds"].as_i64()), (Some(2), Some(1)), "{tried:?}");
    assert_eq!((&items[0]["agentId"], &items[0]["outcome"]), (&json!(id), &json!("holds")));
    assert!(60 <= items[0]["coveragePercent"].as_i64().unwrap(), "{tried:?}");
    assert_eq!((&items[1]["outcome"], &items[1]["reason"]), (&json!("unknown"), &json!("no_data")));
    assert_eq!(tried.body["channelIds"], json!([]), "nobody would be notified");
    // What is derived of two metrics.
    let levels = json!({"warning": {"threshold": 70, "recoveryThreshold": 80}});
    let scarce = json!({"name": "x", "conditions": [{"kind": "metric", "family": "memory", "metric": "availablePercent",
        "function": "avg", "windowMs": 300_000, "operator": "below", "severities": levels}]});
    let tried = server.post("/api/alert-rules/test", scarce).await;
    assert_eq!(
        (&tried.body["items"][0]["value"], &tried.body["holds"]),
        (&json!(60.0), &json!(1)),
        "{tried:?}"
    );
    let levels = json!({"warning": {"threshold": 70, "recoveryThreshold": 60}});
    let sum = json!({"name": "x", "conditions": [{"kind": "metric", "family": "network", "metric": "errorsPerSecond",
        "function": "max", "windowMs": 300_000, "operator": "above", "severities": levels}]});
    let refused = server.post("/api/alert-rules/test", sum).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body["message"].as_str().unwrap().starts_with("conditions[0].function"), "{refused:?}");
    // It was away twice within the hour.
    for minutes in [20, 10] {
        let away = "INSERT INTO agent_presence (agent_key, at, online, reason) \
             SELECT key, $2::int8, false, 3 FROM agents WHERE id = $1::text::uuid \
             UNION ALL SELECT key, $2::int8 + 30000, true, 1 FROM agents WHERE id = $1::text::uuid";
        let at = end - minutes * 60_000;
        database.connect().await.execute(away, &[&id, &at]).await.unwrap();
    }
    let restarted = |times: i64| {
        let condition =
            json!({"kind": "restarted", "severity": "info", "times": times, "windowMs": 3_600_000});
        json!({"name": "x", "conditions": [condition]})
    };
    let tried = server.post("/api/alert-rules/test", restarted(2)).await;
    let first = &tried.body["items"][0];
    assert_eq!(
        (&first["agentId"], &first["outcome"], &first["value"]),
        (&json!(id), &json!("holds"), &json!(2.0))
    );
    assert_eq!(server.post("/api/alert-rules/test", restarted(3)).await.body["holds"], 0);
    assert_eq!(server.post("/api/alert-rules/test", restarted(0)).await.status, 422);
    let kept = database.count("SELECT count(*) FROM alert_states").await
        + database.count("SELECT count(*) FROM alerts").await;
    assert_eq!(kept, 0);
    server.stop().await.unwrap();
}

async fn alerts_are_acknowledged_and_snoozed(database: TestDatabase) {
    let server = quiet_server(&database).await;
    let client = database.connect().await;
    let rule = server.post("/api/alert-rules", busy("Busy")).await.body["id"].as_str().unwrap().to_owned();
    let (fires, ended) = (Uuid::now_v7(), Uuid::now_v7());
    let insert = "INSERT INTO alerts (id, rule_id, rule_name, rule_version, agent_name, severity, peak_severity, state, \
             started_at, fired_at, ended_at, changed_at) \
         VALUES ($1, $2, 'Busy', 1, 'web-1', 2, 2, $3, 1000, 2000, $4, 2000)";
    let rule: Uuid = rule.parse().unwrap();
    client.execute(insert, &[&fires, &rule, &"firing", &None::<i64>]).await.unwrap();
    client.execute(insert, &[&ended, &rule, &"resolved", &Some(now())]).await.unwrap();
    let total = |path: String| {
        let server = &server;
        async move { server.get(&format!("/api/alerts?{path}")).await.body["total"].as_i64() }
    };
    assert_eq!(total(String::new()).await, Some(2));
    assert_eq!(
        total(format!("state=firing&severity=warning&ruleId={rule}&acknowledged=false")).await,
        Some(1)
    );
    assert_eq!(total("search=WEB&from=1&to=2001&sort=worst".to_owned()).await, Some(2));
    assert_eq!(total("severity=critical".to_owned()).await, Some(0));
    assert_eq!(server.get("/api/alerts/summary").await.body["firing"]["warning"], 1);
    // Whoever may read may also handle alerts.
    server.create_user("ana", "user", PASSWORD).await;
    let ana = server.session("ana", PASSWORD).await;
    let ask = |method: Method, path: String, body: Option<Value>| {
        let (server, ana) = (&server, ana.clone());
        async move { server.request(method, &format!("/api/alerts/{path}"), Some(&ana), body).await }
    };
    let note = json!({"note": "on it"});
    let answer = ask(Method::PUT, format!("{fires}/acknowledgement"), Some(note.clone())).await;
    assert_eq!(
        (&answer.body["acknowledgedBy"], &answer.body["note"]),
        (&json!("ana"), &json!("on it")),
        "{answer:?}"
    );
    assert_eq!(ask(Method::PUT, format!("{ended}/acknowledgement"), Some(note)).await.status, 409);
    let until = now() + 60_000;
    let snoozed = ask(Method::PUT, format!("{fires}/snooze"), Some(json!({"until": until}))).await;
    assert_eq!(snoozed.body["snoozedUntil"], until);
    let too_long = json!({"until": now() + 31 * 86_400_000_i64});
    assert_eq!(ask(Method::PUT, format!("{fires}/snooze"), Some(too_long)).await.status, 422);
    let awake = ask(Method::DELETE, format!("{fires}/snooze"), None).await;
    assert_eq!(awake.body["snoozedUntil"], Value::Null);
    let free = ask(Method::DELETE, format!("{fires}/acknowledgement"), None).await;
    assert_eq!(free.body["acknowledgedAt"], Value::Null);
    assert_eq!(
        ask(Method::POST, format!("{fires}/notes"), Some(json!({"note": "hm"}))).await.body["note"],
        "hm"
    );
    let many = json!({"alertIds": [fires, ended]});
    let many = ask(Method::POST, "acknowledgements".to_owned(), Some(many)).await.body;
    assert_eq!(
        (&many["items"][0]["error"], many["items"][1]["error"].is_string()),
        (&Value::Null, true),
        "{many}"
    );
    let events = server.get(&format!("/api/alerts/{fires}/events")).await.body;
    let kinds: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["acknowledged", "noted", "unacknowledged", "snoozed", "snoozed", "acknowledged"]);
    let audit = server.get("/api/audit?actor=ana&action=alert.acknowledge").await.body;
    assert_eq!(audit["total"], 2, "{audit}");
    // Disabling a rule ends its alerts.
    server.post(&format!("/api/alert-rules/{rule}/status"), json!({"enabled": false})).await;
    let over = server.get(&format!("/api/alerts/{fires}")).await.body;
    assert_eq!((&over["state"], &over["endReason"]), (&json!("resolved"), &json!("rule_disabled")));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn silences_are_created_changed_and_previewed() {
    let database = TestDatabase::on_server().await;
    let server = quiet_server(&database).await;
    let (_agent, id, _) = server.enroll("web-1").await;
    let quiet = json!({"kind": "quiet", "name": "nights", "minSeverityThrough": "critical", "recurrence": {
        "timeZone": "Europe/Berlin", "weekdays": ["fri"], "times": [{"start": "22:00", "end": "07:00"}]}});
    let preview = server.post("/api/alert-silences/preview", quiet.clone()).await.body;
    assert_eq!(preview["windows"].as_array().unwrap().len(), 5, "{preview}");
    let window = &preview["windows"][2];
    let length = window["end"].as_i64().unwrap() - window["start"].as_i64().unwrap();
    assert!([8, 9, 10].map(|hours| hours * 3_600_000).contains(&length), "{preview}");
    assert_eq!((&preview["nAgents"], &preview["agents"][0]["id"]), (&json!(1), &json!(id)));
    let created = server.post("/api/alert-silences", quiet.clone()).await;
    assert_eq!(created.status, 201, "{created:?}");
    let path = created.headers["location"].to_str().unwrap().to_owned();
    let mut change = quiet.clone();
    change["version"] = json!(1);
    change["recurrence"]["weekdays"] = json!(["sat", "sun"]);
    let changed = server.put(&path, change.clone()).await.body;
    assert_eq!((&changed["version"], &changed["recurrence"]["weekdays"][0]), (&json!(2), &json!("sat")));
    assert_eq!(server.put(&path, change).await.status, 409);
    let mut wrong = quiet;
    wrong["recurrence"]["timeZone"] = json!("Mars/Olympus");
    let refused = server.post("/api/alert-silences", wrong).await;
    assert!(refused.body["message"].as_str().unwrap().starts_with("recurrence.timeZone"), "{refused:?}");
    let endless = json!({"kind": "silence", "name": "x"});
    assert_eq!(server.post("/api/alert-silences", endless).await.status, 422);
    assert_eq!(server.get("/api/alert-silences").await.body["total"], 1);
    assert_eq!(server.delete(&path).await.status, 204);
    let settings = server.get("/api/settings/alerting").await.body;
    assert_eq!(settings["fleetMin"], 3);
    let mut change = settings.clone();
    change["fleetPercent"] = json!(30);
    assert_eq!(server.put("/api/settings/alerting", change.clone()).await.body["fleetPercent"], 30);
    assert_eq!(server.put("/api/settings/alerting", change).await.status, 409);
    server.stop().await.unwrap();
}
