//! A backup of settings restores what it was made of, into either edition.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pika_server::backup::{self, Cost, RestoreFileError, Restored, What, Written};
use pika_server::domain::family::Family;
use pika_server::domain::tier::DAY_MS;
use pika_server::secrets::{HEARTBEATS_OWNER, SecretKeys, channel_owner, totp_owner};
use pika_server::store::{KEPT, NOT_KEPT, Part, Store};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::release;
use crate::rollups::roll_up;
use crate::support::client::now;
use crate::support::history::{assert_kept, assert_same_charts, read_charts, read_tiers, store_history};
use crate::support::server::config;
use crate::support::{TestDatabase, TestServer, on_both_editions};

on_both_editions!(
    settings_are_restored_into_either_edition,
    history_is_restored_into_either_edition,
    a_backup_of_an_earlier_release_is_restored,
    every_table_is_kept_or_known_not_to_be,
);

pub(crate) const PASSPHRASE: &str = "a passphrase of the tests";
const USER: &str = "01920000-0000-7000-8000-000000000001";
const CHANNEL: &str = "01920000-0000-7000-8000-000000000002";

/// One row at least of every kept table; agents and enrollments refer to each other.
const ROWS: &str = "
INSERT INTO users (id, username, password_hash, role, created_at, updated_at, username_key)
    VALUES ('01920000-0000-7000-8000-000000000001', 'Ana', '$scrypt$', 'admin', 1, 2, 'ana');
INSERT INTO api_tokens (id, user_id, name, token_hash, scopes, created_at)
    SELECT gen_random_uuid(), id, 'token', '\\x01', '{read,\"a b\"}', 1 FROM users;
INSERT INTO recovery_codes (user_id, code_hash) SELECT user_id, '\\x0203' FROM totp;
INSERT INTO user_preferences SELECT id, '{\"theme\": \"dark\"}', 3 FROM users;
INSERT INTO enrollments (id, name, token_hash, max_uses, expires_at, created_at)
    VALUES ('01920000-0000-7000-8000-000000000003', 'first', '\\x04', 3, 9000000000000, 1);
INSERT INTO agents (id, name, hostname, ip, os, arch, version, secret_hash, enrollment_id, status, connection_id, last_seen_at,
        created_at, updated_at, tags)
    SELECT gen_random_uuid(), 'agent ' || n, 'h', '10.0.0.1', 'linux', 'x86_64', '1', sha256(n::text::bytea),
        '01920000-0000-7000-8000-000000000003', 1, gen_random_uuid(), 1700000000000, 1, 2, '{web,\"a, b\"}'
    FROM generate_series(1, 9) AS n;
DELETE FROM agents WHERE key = (SELECT max(key) FROM agents);
INSERT INTO enrollments (id, name, token_hash, max_uses, expires_at, created_at, agent_key)
    SELECT gen_random_uuid(), 'again', '\\x05', 1, 9000000000000, 1, min(key) FROM agents;
INSERT INTO disks (agent_key, mount_point, device, fs_type, created_at, named_at)
    SELECT key, '/', '/dev/sda', 'ext4', 1, 2 FROM agents;
INSERT INTO network_interfaces (agent_key, name, created_at, named_at) SELECT key, 'eth0', 1, 2 FROM agents;
INSERT INTO series (agent_key, kind, name, labels, created_at, named_at)
    SELECT key, 'sensor', 'one', '{\"unit\": \"°C\"}', 1, 2 FROM agents;
UPDATE retention_settings SET keep_ms = 864000000 WHERE tier = 'raw';
INSERT INTO alert_rules (id, name, enabled, definition, created_at, updated_at, updated_by)
    VALUES (gen_random_uuid(), 'a rule', true, '{\"threshold\": 0.1}', 1, 1, 'ana');
INSERT INTO alert_channels (id, name, kind, enabled, is_default, tells_outages, min_severity, tells_resolved, settings,
        group_wait_ms, group_interval_ms, min_interval_ms, per_hour_max, created_at, updated_at)
    VALUES (gen_random_uuid(), 'without secrets', 'webhook', true, false, false, 1, true, '{}', 1, 1, 1, 1, 1, 1);
INSERT INTO alert_rule_channels SELECT alert_rules.id, alert_channels.id FROM alert_rules, alert_channels;
INSERT INTO alert_silences (id, kind, name, matcher, created_by, created_at, updated_at)
    VALUES (gen_random_uuid(), 'silence', 'night', '{}', 'ana', 1, 1);
INSERT INTO audit_log (at, actor_kind, actor_name, action, address, request_id, details)
    VALUES (1, 'user', 'Ana', 'login', '', '', '{}');
INSERT INTO sample_gaps SELECT key, 1, 2, 3, 'expired', 4 FROM agents;
INSERT INTO alerts (id, rule_name, rule_version, agent_key, severity, peak_severity, state, started_at, fired_at, ended_at, changed_at)
    SELECT gen_random_uuid(), 'a rule', 1, key, 2, 2, CASE WHEN key % 2 = 0 THEN 'resolved' ELSE 'firing' END, 1, 2,
        CASE WHEN key % 2 = 0 THEN 3 END, 3 FROM agents;
INSERT INTO alert_events (alert_id, at, kind) SELECT id, 2, 'fired' FROM alerts;
INSERT INTO sessions (token_hash, user_id, created_at, expires_at, id)
    SELECT '\\x06', id, 1, 9000000000000, gen_random_uuid() FROM users";

pub(crate) fn keys(byte: u8) -> SecretKeys {
    SecretKeys::parse(&[STANDARD.encode([byte; 32]).into()]).unwrap()
}

/// Fills the tables; secrets are sealed with the key of 1.
pub(crate) async fn fill(client: &Client) {
    let (first, rest) = ROWS.split_once("INSERT INTO recovery_codes").unwrap();
    client.batch_execute(first).await.unwrap();
    let user: uuid::Uuid = USER.parse().unwrap();
    let channel: uuid::Uuid = CHANNEL.parse().unwrap();
    let sealed = |secret: &str, owner: &str| keys(1).seal(secret.as_bytes(), owner).unwrap();
    let sql = "INSERT INTO totp (user_id, secret, created_at, confirmed_at) VALUES ($1, $2, 1, 2)";
    client.execute(sql, &[&user, &sealed("of the factor", &totp_owner(USER))]).await.unwrap();
    let sql = "INSERT INTO alert_channels (id, name, kind, enabled, is_default, tells_outages, min_severity, tells_resolved, \
                   settings, secrets, group_wait_ms, group_interval_ms, min_interval_ms, per_hour_max, created_at, updated_at, \
                   state) VALUES ($1, 'ops', 'webhook', true, true, true, 1, true, '{\"number\": 1.10}', $2, 1, 1, 1, 1, 1, 1, 'broken')";
    client.execute(sql, &[&channel, &sealed("of the channel", &channel_owner(CHANNEL))]).await.unwrap();
    let sql = "UPDATE alert_settings SET secrets = $1, time_zone = 'Europe/Berlin'";
    client.execute(sql, &[&sealed("of heartbeats", HEARTBEATS_OWNER)]).await.unwrap();
    client.batch_execute(&format!("INSERT INTO recovery_codes{rest}")).await.unwrap();
}

pub(crate) fn what(passphrase: Option<&str>, history_since: Option<i64>) -> What {
    let cost = Cost { log_n: 4, r: 8, p: 1 };
    What { audit: true, history_since, passphrase: passphrase.map(Into::into), cost }
}

/// Backs up what the key of 1 opens. Returns the folder, which is removed with it, and the file.
pub(crate) async fn back_up(store: &Store, what: &What) -> (TempDir, PathBuf, Written) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pika.backup");
    let file = std::fs::File::create(&path).unwrap();
    let written = backup::write(store, &keys(1), what, now(), file).await.unwrap();
    (directory, path, written)
}

/// Restores a file; secrets are sealed with the key of 2.
pub(crate) async fn restore(
    store: &Store,
    path: &Path,
    passphrase: &str,
) -> Result<Restored, RestoreFileError> {
    backup::restore(store, &keys(2), path, Some(&passphrase.into()), now()).await
}

/// The rows of every kept table, as a backup has them, in any order.
pub(crate) async fn contents(client: &Client) -> BTreeMap<&'static str, Vec<String>> {
    let mut contents = BTreeMap::new();
    for table in KEPT.iter().filter(|table| table.part != Part::History) {
        // What describes a moment, and what is sealed anew.
        let sql = format!(
            "SELECT (to_jsonb(t) - '{{status,connection_id,state,secret,secrets}}'::text[])::text FROM {} AS t ORDER BY 1",
            table.name
        );
        let rows = client.query(&sql, &[]).await.unwrap();
        contents.insert(table.name, rows.iter().map(|row| row.get(0)).collect());
    }
    contents
}

/// Checks that secrets can be read with another key.
async fn assert_secrets(client: &Client) {
    for (sql, owner, secret) in [
        ("SELECT secret FROM totp", totp_owner(USER), "of the factor"),
        ("SELECT secrets FROM alert_channels WHERE name = 'ops'", channel_owner(CHANNEL), "of the channel"),
        ("SELECT secrets FROM alert_settings", HEARTBEATS_OWNER.to_owned(), "of heartbeats"),
    ] {
        let sealed: Vec<u8> = client.query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(keys(2).open(&sealed, &owner).unwrap().expose_secret(), secret.as_bytes());
        assert!(keys(1).open(&sealed, &owner).is_err(), "{sql}");
    }
}

async fn settings_are_restored_into_either_edition(database: TestDatabase) {
    let client = database.connect().await;
    fill(&client).await;
    let before = contents(&client).await;
    assert!(before.values().all(|rows| !rows.is_empty()), "{before:?}");
    let (_directory, path, written) = back_up(&database.store(), &what(Some(PASSPHRASE), None)).await;
    assert_eq!((written.metric_rows, written.locked_secrets), (0, 0));
    let text = std::fs::read_to_string(&path).unwrap();
    for secret in ["of the factor", "of the channel", "of heartbeats"] {
        assert!(!text.contains(secret) && !text.contains(&STANDARD.encode(secret)), "{secret}");
    }
    for target in [TestDatabase::on_server_unmigrated().await, TestDatabase::on_community_unmigrated().await]
    {
        let store = target.store();
        let restored = restore(&store, &path, PASSPHRASE).await.unwrap();
        assert_eq!(restored.rows, written.rows);
        let client = target.connect().await;
        assert_eq!(contents(&client).await, before);
        assert_secrets(&client).await;
        assert!(store.is_schema_current().await.unwrap());
        // Nobody is connected, nobody is logged in, and a deleted agent's key is not given out again.
        for (sql, expected) in [
            ("SELECT count(*) FROM agents WHERE status = 1 OR connection_id IS NOT NULL", 0),
            ("SELECT count(*) FROM agent_presence WHERE online IS NULL AND at = 1700000000000", 8),
            ("SELECT count(*) FROM sessions", 0),
            ("SELECT count(*) FROM alert_channels WHERE state <> 'ok'", 0),
            ("SELECT nextval(pg_get_serial_sequence('agents', 'key'))", 10),
            ("SELECT count(*) FROM pg_constraint WHERE condeferrable", 0),
            ("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'agents_note%' AND tgenabled = 'O'", 2),
        ] {
            assert_eq!(target.count(sql).await, expected, "{sql}");
        }
        let server = TestServer::start_unready(config(&target.url)).await;
        server.ready().await;
        server.stop().await.unwrap();
    }
}

/// All rows of the raw tables.
async fn raw_rows(client: &Client) -> Vec<String> {
    let mut all = Vec::new();
    for family in Family::ALL {
        let sql = format!("SELECT to_jsonb(t)::text FROM {} AS t ORDER BY 1", family.table());
        let rows = client.query(&sql, &[]).await.unwrap();
        all.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    }
    all
}

async fn history_is_restored_into_either_edition(database: TestDatabase) {
    let (store, client) = (database.store(), database.connect().await);
    fill(&client).await;
    store_history(&store, &client).await;
    let (raw, tiers, charts) =
        (raw_rows(&client).await, read_tiers(&client).await, read_charts(&store).await);
    assert!(100 < raw.len(), "{}", raw.len());
    let (_directory, path, written) = back_up(&store, &what(Some(PASSPHRASE), Some(0))).await;
    assert!(u64::try_from(raw.len()).unwrap() < written.metric_rows);
    for target in [TestDatabase::on_server_unmigrated().await, TestDatabase::on_community_unmigrated().await]
    {
        let restored = restore(&target.store(), &path, PASSPHRASE).await.unwrap();
        assert_eq!((restored.rows, restored.metric_rows), (written.rows, written.metric_rows));
        let (store, client) = (target.store(), target.connect().await);
        assert_eq!(raw_rows(&client).await, raw);
        assert_kept(&tiers, &read_tiers(&client).await);
        assert_same_charts(&charts, &read_charts(&store).await);
        // What was still to be rolled up is.
        roll_up(&store, &client).await;
        assert_kept(&tiers, &read_tiers(&client).await);
        assert_same_charts(&charts, &read_charts(&store).await);
        let overdue = format!("SELECT count(*) FROM rollup_changes WHERE end_ms < {}", now() - 2 * DAY_MS);
        assert_eq!(target.count(&overdue).await, 0);
        assert_eq!(target.count("SELECT count(*) FROM alerts").await, 4, "open ones are found again");
        assert_eq!(target.count("SELECT count(*) FROM sample_gaps").await, 8);
    }
    // The newest day only.
    let since = now() - DAY_MS / 2;
    let (_directory, path, some) = back_up(&store, &what(None, Some(since))).await;
    assert!(0 < some.metric_rows && some.metric_rows < written.metric_rows);
    let target = TestDatabase::on_server_unmigrated().await;
    backup::restore(&target.store(), &keys(2), &path, None, now()).await.unwrap();
    assert_secrets(&target.connect().await).await;
}

async fn a_backup_of_an_earlier_release_is_restored(_migrated: TestDatabase) {
    let database = TestDatabase::on_server_unmigrated().await;
    let client = database.connect().await;
    release::load(&client).await;
    let raw = raw_rows_of(&client, "cpu_metrics").await;
    let (_directory, path, written) = back_up(&database.store(), &what(Some(PASSPHRASE), None)).await;
    assert!(2 < written.rows);
    let target = TestDatabase::on_server_unmigrated().await;
    let restored = restore(&target.store(), &path, PASSPHRASE).await.unwrap();
    assert!(restored.contents.schema == 8 && !restored.migrated.applied.is_empty(), "{restored:?}");
    assert!(!raw.is_empty());
    let server = TestServer::start_unready(config(&target.url)).await;
    server.ready().await;
    let login = json!({"username": "admin", "password": "admin password 1"});
    let answer = server.request(Method::POST, "/api/login", None, Some(login)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(target.count("SELECT count(*) FROM agents").await, 2);
    server.stop().await.unwrap();
}

async fn raw_rows_of(client: &Client, table: &str) -> Vec<String> {
    let rows = client.query(&format!("SELECT to_jsonb(t)::text FROM {table} AS t"), &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A new table is either kept or not on purpose.
async fn every_table_is_kept_or_known_not_to_be(database: TestDatabase) {
    let client = database.connect().await;
    let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') \
               AND NOT EXISTS (SELECT FROM timescaledb_information.hypertables WHERE hypertable_name = relname)";
    let mut found: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let mut known: Vec<&str> = KEPT.iter().map(|table| table.name).chain(NOT_KEPT.iter().copied()).collect();
    found.sort();
    known.sort_unstable();
    assert_eq!(found, known);
}
