//! Back-tests of alert rules over stored samples.

use serde_json::{Value, json};

use crate::rollups::roll_up;
use crate::support::client::{now, sample};
use crate::support::server::config;
use crate::support::{TestDatabase, TestServer, on_both_editions};

const MINUTE_MS: i64 = 60_000;
/// How many samples an agent sends at once.
const SAMPLES_MAX: usize = 100;

on_both_editions!(what_would_have_fired_is_found, what_cannot_be_replayed_is_said);

fn busy(function: &str, window_ms: i64) -> Value {
    let levels = json!({"warning": {"threshold": 80, "recoveryThreshold": 70}});
    json!({"name": "Busy", "conditions": [{"kind": "metric", "family": "cpu", "metric": "usagePercent",
        "function": function, "windowMs": window_ms, "operator": "above", "severities": levels}],
        "forMs": 120_000, "recoverForMs": 120_000})
}

async fn server(database: &TestDatabase) -> TestServer {
    let mut config = config(&database.url);
    config.alerting.enabled = false;
    TestServer::start_with(config).await
}

/// Two hours of an agent that was busy from 90 to 60 minutes ago, and a second agent that was not.
async fn what_would_have_fired_is_found(database: TestDatabase) {
    let server = server(&database).await;
    let end = now();
    let (mut agent, id, _) = server.enroll("web-1").await;
    let (mut calm, calm_id, _) = server.enroll("web-2").await;
    let age = |minutes: i64| end - minutes * MINUTE_MS;
    let at = |timestamp: i64, is_busy: bool| {
        let mut sample = sample(timestamp);
        sample["cpu"]["usagePercent"] = json!(if is_busy { 95 } else { 20 });
        sample
    };
    let times: Vec<i64> = (0..240).map(|i| age(121) + i * MINUTE_MS / 2).collect();
    for (agent, can_be_busy) in [(&mut agent, true), (&mut calm, false)] {
        let samples: Vec<Value> =
            times.iter().map(|time| at(*time, can_be_busy && (age(90)..age(60)).contains(time))).collect();
        for (sequence, samples) in (1..).zip(samples.chunks(SAMPLES_MAX)) {
            agent.store(sequence, json!(samples)).await;
        }
    }
    let span = json!({"start": age(120), "end": end});
    let ask = |rule: Value, agents: Value| json!({"rule": rule, "start": span["start"], "end": span["end"], "agentIds": agents});
    let path = "/api/alert-rules/backtest";
    let found = server.post(path, ask(busy("min", 300_000), json!([]))).await;
    assert_eq!(found.status, 200, "{found:?}");
    let found = found.body;
    assert_eq!(
        (&found["tier"], &found["agents"], &found["agentsDone"], &found["total"], &found["limits"]),
        (&json!("raw"), &json!(2), &json!(2), &json!(1), &json!([])),
        "{found}"
    );
    // The smallest value of five minutes is above the threshold five minutes later, and has to be so for two more.
    let alert = &found["items"][0];
    assert_eq!(
        (&alert["agentId"], &alert["severity"], &alert["value"]),
        (&json!(id), &json!("warning"), &json!(95.0))
    );
    let about = |field: &str, minutes: i64| {
        let distance = alert[field].as_i64().unwrap() - age(minutes);
        assert!(
            distance.abs() <= 2 * MINUTE_MS,
            "{field}: {distance} ms from {minutes} minutes ago: {found}"
        );
    };
    about("firedAt", 83);
    about("endedAt", 58);
    assert_eq!(found["withLonger"], json!([{"forMs": 240_000, "total": 1}, {"forMs": 480_000, "total": 1}]));
    roll_up(&database.store(), &database.connect().await).await;
    // A window that is read from minutes gives the same, with a hint.
    let found = server.post(path, ask(busy("avg", 1_200_000), json!([id]))).await.body;
    assert_eq!(
        (&found["tier"], &found["total"], &found["limits"]),
        (&json!("1m"), &json!(1), &json!(["minuteBuckets"])),
        "{found}"
    );
    let found = server.post(path, ask(busy("min", 300_000), json!([calm_id]))).await.body;
    assert_eq!((&found["agents"], &found["total"]), (&json!(1), &json!(0)), "{found}");
    assert_eq!(database.count("SELECT count(*) FROM alert_states").await, 0, "nothing is kept");
    server.stop().await.unwrap();
}

async fn what_cannot_be_replayed_is_said(database: TestDatabase) {
    let server = server(&database).await;
    let (_agent, _, _) = server.enroll("web-1").await;
    let end = now();
    let path = "/api/alert-rules/backtest";
    let ask = |condition: Value, start: i64| {
        let rule = json!({"name": "x", "conditions": [condition]});
        json!({"rule": rule, "start": start, "end": end})
    };
    let levels = json!({"warning": {"threshold": 1_000, "recoveryThreshold": 500}});
    let clock = json!({"kind": "clockOffset", "severities": levels});
    let found = server.post(path, ask(clock, end - MINUTE_MS)).await.body;
    assert_eq!((&found["limits"], &found["total"]), (&json!(["notReplayable"]), &json!(0)), "{found}");
    let offline = json!({"kind": "offline", "severity": "critical"});
    let found = server.post(path, ask(offline.clone(), end - 60 * MINUTE_MS)).await.body;
    assert_eq!((&found["limits"], &found["tier"]), (&json!(["presenceUnknown"]), &Value::Null), "{found}");
    // Every condition that can be replayed can be read.
    for condition in [
        json!({"kind": "noData", "severity": "warning", "staleMs": 300_000}),
        json!({"kind": "missingSeries", "severity": "warning", "family": "disk"}),
        json!({"kind": "gap", "severity": "info", "minSamples": 1}),
        json!({"kind": "restarted", "severity": "info", "times": 1, "windowMs": 3_600_000}),
        json!({"kind": "metric", "family": "load", "metric": "load15PerCore", "function": "max", "windowMs": 300_000,
            "operator": "above", "severities": {"warning": {"threshold": 4, "recoveryThreshold": 2}}}),
        json!({"kind": "fullWithin", "historyMs": 259_200_000, "severities": {"warning": {"threshold": 4, "recoveryThreshold": 8}}}),
    ] {
        let found = server.post(path, ask(condition.clone(), end - 90 * MINUTE_MS)).await;
        assert_eq!((found.status, &found.body["total"]), (200, &json!(0)), "{condition}: {found:?}");
    }
    for start in [end, end - 401 * 24 * 60 * MINUTE_MS, -1] {
        assert_eq!(server.post(path, ask(offline.clone(), start)).await.status, 422, "{start}");
    }
    server.stop().await.unwrap();
}
