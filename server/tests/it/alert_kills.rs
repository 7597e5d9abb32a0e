//! Two servers share a database and are killed at random: every alert and its end are reported, each once, or again with the
//! same key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_postgres::Client;

use crate::alert_channels::{KEY, create, webhook};
use crate::support::client::now;
use crate::support::process::{ServerProcess, lasting_port};
use crate::support::server::{ADMIN_PASSWORD, config};
use crate::support::{Random, Receiver, TestDatabase, TestServer, eventually};

/// How often a server is killed. More take longer and find no more in a usual run.
const KILLS: usize = 5;
/// Alerts that fire at the same time.
const ALERTS: usize = 3;
/// A server is killed within this time after alerts have begun to fire, in milliseconds.
const KILLED_WITHIN_MS: u64 = 2_500;
/// A lease that has not been renewed, while messages wait, for this long is one of a server that was killed.
const LEASE_IS_DEAD_AFTER: Duration = Duration::from_secs(3);

const VARIABLES: [(&str, &str); 5] = [
    ("PIKA_ADMIN_PASSWORD", ADMIN_PASSWORD),
    ("PIKA_AUTH_SCRYPT_LOG_N", "4"),
    ("PIKA_ALERTING_SECRET_KEYS", KEY),
    ("PIKA_ALERTING_ALLOWED_NETWORKS", "127.0.0.1/32"),
    ("PIKA_ALERTING_EVALUATION_INTERVAL_MS", "1000"),
];

/// Adds a channel, leaves only the rule about identities enabled, which fires and ends at once, and adds agents.
async fn prepare(database: &TestDatabase, receiver: &Receiver) {
    let mut config = config(&database.url);
    config.alerting.enabled = false;
    config.alerting.secret_keys = vec![KEY.into()];
    config.alerting.allowed_networks = vec!["127.0.0.1/32".parse().unwrap()];
    let server = TestServer::start_with(config).await;
    let mut channel = webhook(&receiver.url("/hook"));
    for (field, value) in [("groupWaitMs", 0), ("groupIntervalMs", 0), ("perHourMax", 1_000)] {
        channel[field] = json!(value);
    }
    create(&server, channel).await;
    server.stop().await.unwrap();
    let sql = "UPDATE alert_rules SET enabled = builtin = 'identity-conflict', \
             definition = definition || '{\"forMs\": 0, \"recoverForMs\": 0, \"cooldownMs\": 0, \"repeatMs\": null}'; \
         INSERT INTO agents (id, name, hostname, ip, os, arch, version, secret_hash, created_at, updated_at) \
             SELECT gen_random_uuid(), 'agent-' || number, '', '', '', '', '', sha256(number::text::bytea), 0, 0 \
             FROM generate_series(0, 999) AS number";
    database.connect().await.batch_execute(sql).await.unwrap();
}

/// Makes the agents from `first` on have a conflict, and no others.
async fn conflict(client: &Client, first: usize, count: usize) {
    let sql = "UPDATE agents SET identity_conflict_at = \
         CASE WHEN split_part(name, '-', 2)::int8 BETWEEN $1 AND $2 THEN $3::int8 END \
         WHERE name LIKE 'agent-%'";
    let (first, count) = (i64::try_from(first).unwrap(), i64::try_from(count).unwrap());
    client.execute(sql, &[&first, &(first + count - 1), &now()]).await.unwrap();
}

/// Waits until so many alerts fire, of the agents with a conflict, and all messages have been sent. Ends the lease of a server that was killed, which
/// otherwise lasts for a minute and a half.
async fn settle(client: &Client, firing: usize) {
    let seen: std::cell::Cell<Option<((String, i64), Instant)>> = std::cell::Cell::new(None);
    eventually("everything is reported", || async {
        let sql = "SELECT (SELECT count(*) FROM alerts WHERE ended_at IS NULL), \
             (SELECT count(*) FROM alerts JOIN agents ON key = agent_key \
                 WHERE ended_at IS NULL AND identity_conflict_at IS NOT NULL), \
             (SELECT count(*) FROM alerts LEFT JOIN alert_told ON alert_id = alerts.id \
                 WHERE told IS DISTINCT FROM CASE WHEN ended_at IS NULL THEN 1 ELSE 2 END), \
             (SELECT count(*) FROM alert_outbox WHERE status IN ('waiting', 'sending')), \
             coalesce((SELECT leased_by::text FROM alert_channels), ''), \
             coalesce((SELECT leased_until FROM alert_channels), 0)";
        let row = client.query_one(sql, &[]).await.unwrap();
        let [n_firing, n_right, n_untold, n_waiting]: [i64; 4] = [0, 1, 2, 3].map(|column| row.get(column));
        let lease: (String, i64) = (row.get(4), row.get(5));
        let (known, since) =
            seen.take().filter(|(known, _)| *known == lease).unwrap_or((lease, Instant::now()));
        if 0 < n_waiting && now() < known.1 && LEASE_IS_DEAD_AFTER <= since.elapsed() {
            let end = "UPDATE alert_channels SET leased_until = 0 WHERE leased_by::text = $1";
            client.execute(end, &[&known.0]).await.unwrap();
        }
        seen.set(Some((known, since)));
        let is_right = n_firing == n_right && usize::try_from(n_firing) == Ok(firing);
        (is_right && n_untold == 0 && n_waiting == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn killed_servers_lose_nothing_and_repeat_nothing_under_another_key() {
    let database = TestDatabase::on_server().await;
    let receiver = Receiver::start().await;
    prepare(&database, &receiver).await;
    let client = database.connect().await;
    let mut random = Random::announced();
    let mut servers: Vec<(u16, ServerProcess)> = Vec::new();
    for _ in 0..2 {
        let port = lasting_port(&mut random);
        servers.push((port, ServerProcess::start_with(&database.url, port, &VARIABLES)));
    }
    settle(&client, 0).await;
    for kill in 0..KILLS {
        conflict(&client, kill * ALERTS, ALERTS).await;
        tokio::time::sleep(Duration::from_millis(random.below(KILLED_WITHIN_MS))).await;
        let killed = usize::try_from(random.below(2)).unwrap();
        let (port, server) = servers.remove(killed);
        server.kill().await;
        servers.push((port, ServerProcess::start_with(&database.url, port, &VARIABLES)));
        settle(&client, ALERTS).await;
    }
    conflict(&client, 0, 0).await;
    settle(&client, 0).await;
    for (_, server) in servers {
        server.kill().await;
    }

    let mut bodies: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    let received = receiver.received();
    for request in &received {
        let key = request.header("webhook-id").unwrap().to_owned();
        let alerts = request.json()["alerts"].as_array().unwrap().clone();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let alerts: BTreeSet<_> =
            alerts.iter().map(|alert| (text(&alert["id"]), text(&alert["status"]))).collect();
        let first = bodies.entry(key).or_insert_with(|| alerts.clone());
        assert_eq!(*first, alerts, "a repeated message is the same");
    }
    assert!(received.len() <= bodies.len() + KILLS, "at most one repetition a kill");
    let mut reports: BTreeMap<(String, String), usize> = BTreeMap::new();
    for report in bodies.into_values().flatten() {
        *reports.entry(report).or_default() += 1;
    }
    assert_eq!(reports.len(), 2 * KILLS * ALERTS, "each alert and its end: {reports:?}");
    assert!(reports.values().all(|count| *count == 1), "{reports:?}");
}
