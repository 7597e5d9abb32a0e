//! The schema that people read: what its functions answer is what the raw rows give, they read nothing that they need not,
//! and who reads it can do nothing else.

use std::collections::{BTreeMap, BTreeSet};

use pika_server::domain::family::{Metric, MetricKind, Table, Unit};
use pika_server::domain::tier::{DAY_MS, HOUR_MS, MINUTE_MS};
use pika_server::store::{SampleWriter, WriteMethod};
use serde_json::Value;
use tokio_postgres::Client;

use crate::rollups::{random_rows, roll_up};
use crate::support::client::now;
use crate::support::history::store_history;
use crate::support::{LogCapture, Random, TestDatabase, on_both_editions};

on_both_editions!(
    every_bucket_of_a_function_is_what_the_raw_rows_give,
    where_finer_samples_are_gone_the_next_tier_answers,
    a_function_plans_no_chunk_outside_its_bounds,
    the_schema_is_made_anew_only_when_it_differs,
);

/// Agents, disks and interfaces of the keys that random rows have.
async fn name_series(client: &Client) {
    client
        .batch_execute(
            "INSERT INTO agents (key, id, name, hostname, ip, os, arch, version, created_at, updated_at) \
                 OVERRIDING SYSTEM VALUE \
                 SELECT i, gen_random_uuid(), 'agent ' || i, 'host', '', 'linux', 'x86_64', '1', 0, 0 \
                 FROM generate_series(1, 3) AS i; \
             INSERT INTO disks (key, agent_key, mount_point, device, fs_type, created_at, named_at) \
                 OVERRIDING SYSTEM VALUE SELECT i, 1, '/' || i, '', '', 0, 0 FROM generate_series(1, 2) AS i; \
             INSERT INTO network_interfaces (key, agent_key, name, created_at, named_at) \
                 OVERRIDING SYSTEM VALUE SELECT i, 1, 'eth' || i, 0, 0 FROM generate_series(1, 2) AS i",
        )
        .await
        .unwrap();
}

/// History that is rolled up, and newer samples that are not.
pub(crate) async fn three_days(database: &TestDatabase, client: &Client) {
    let store = database.store();
    name_series(client).await;
    store_history(&store, client).await;
    let mut random = Random::announced();
    let mut writer = SampleWriter::new(store.clone(), WriteMethod::Copy);
    writer.write(&random_rows(&mut random, now() - 2 * HOUR_MS, now(), 200)).await.unwrap();
    roll_up(&database.store(), client).await;
    writer.write(&random_rows(&mut random, now() - MINUTE_MS, now(), 30)).await.unwrap();
}

fn snake_case(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, char| {
        if char.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(char.to_ascii_lowercase());
        text
    })
}

/// The metrics of raw rows, grouped: of one series, or of all.
fn expected_columns(metrics: &[Metric]) -> String {
    let column = |metric: &Metric| {
        let (name, column) = (snake_case(metric.name), metric.column);
        let (avg, each) = match metric.kind {
            MetricKind::Gauge { .. } => (format!("avg({column}::float8)"), format!("{column}::float8")),
            MetricKind::Ratio { over, scale } => (
                format!(
                    "sum({column}::float8) * {scale} / nullif(sum({over}) FILTER (WHERE {column} IS NOT NULL), 0)"
                ),
                format!("{column}::float8 * {scale} / nullif({over}, 0)"),
            ),
        };
        format!(", {avg} AS {name}_avg, min({each}) AS {name}_min, max({each}) AS {name}_max")
    };
    metrics.iter().map(column).collect()
}

async fn rows(client: &Client, sql: &str) -> BTreeMap<String, Value> {
    let sql = format!("SELECT key::text, to_jsonb(t) - 'key' FROM ({sql}) AS t");
    let rows = client.query(&sql.replace("to_jsonb(t) - 'key'", "(to_jsonb(t) - 'key')::text"), &[]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let n_rows = rows.len();
    let rows: BTreeMap<String, Value> =
        rows.iter().map(|row| (row.get(0), serde_json::from_str(row.get(1)).unwrap())).collect();
    assert_eq!(rows.len(), n_rows, "a bucket comes once: {sql}");
    rows
}

fn assert_same(expected: &BTreeMap<String, Value>, found: &BTreeMap<String, Value>, what: &str) {
    let keys = |rows: &BTreeMap<String, Value>| rows.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(expected), keys(found), "{what}");
    for (key, expected) in expected {
        for (column, expected) in expected.as_object().unwrap() {
            let found = &found[key][column];
            let is_same = match (expected.as_f64(), found.as_f64()) {
                // Only sums depend on the order of what is added.
                (Some(expected), Some(found)) if column.ends_with("_avg") || column.ends_with("_total") => {
                    (expected - found).abs() <= 1e-9 * expected.abs().max(1.0)
                }
                _ => expected == found,
            };
            assert!(is_same, "{what}: {key} {column}: {expected} is {found}");
        }
    }
}

async fn every_bucket_of_a_function_is_what_the_raw_rows_give(database: TestDatabase) {
    let client = database.connect().await;
    three_days(&database, &client).await;
    let mut n_buckets = 0;
    for table in Table::ALL {
        for step in [20_000, MINUTE_MS, 7 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS, DAY_MS] {
            // From within a bucket to within another: both are whole.
            let (from, to) = (now() - 2 * DAY_MS - 12_345, now() - 1_234);
            let (start, end) = (from - from % step, to - to % step + step);
            let key = table.series_column().unwrap_or("0");
            let raw = format!("FROM {} WHERE {start} <= ts AND ts < {end}", table.name);
            let bucket = format!("time_bucket({step}::int8, ts)");
            let columns = expected_columns(table.metrics);
            let by_series =
                format!("SELECT array[{bucket}, agent_key, {key}] AS key{columns} {raw} GROUP BY {bucket}, agent_key, {key}")
                    .replace(&format!("{bucket}, agent_key, 0"), &format!("{bucket}, agent_key"));
            let by_series = if table.series.is_some() {
                by_series
            } else {
                by_series.replace("agent_key] AS key", "agent_key, 0] AS key")
            };
            let arguments = format!("(to_timestamp({from} / 1000.0), to_timestamp({to} / 1000.0), {step})");
            let function = format!("grafana.{}", table.subject());
            let found = rows(
                &client,
                &format!("SELECT array[time_ms, agent_key, {key}] AS key, * FROM {function}{arguments}"),
            )
            .await;
            let expected = rows(&client, &by_series).await;
            let what = format!("{function} at {step}");
            assert_same(&expected, &found, &what);
            n_buckets += found.len();

            let totals: String = table
                .metrics
                .iter()
                .filter(|metric| metric.unit != Unit::Percent)
                .map(|metric| format!(", sum({name}_avg) AS {name}_total", name = snake_case(metric.name)))
                .collect();
            let found =
                rows(&client, &format!("SELECT time_ms AS key, * FROM {function}_fleet{arguments}")).await;
            let all = format!("SELECT {bucket} AS key{columns} {raw} GROUP BY 1");
            assert_same(&rows(&client, &all).await, &found, &format!("{what}, fleet"));
            let counted = if table.series.is_some() { "series" } else { "agents" };
            let all = format!(
                "SELECT key[1] AS key, count(*) AS {counted}{totals} FROM ({by_series}) AS s GROUP BY 1"
            );
            assert_same(&rows(&client, &all).await, &found, &format!("{what}, fleet's totals"));
        }
    }
    assert!(1_500 < n_buckets, "only {n_buckets} buckets to compare");
}

async fn where_finer_samples_are_gone_the_next_tier_answers(database: TestDatabase) {
    let client = database.connect().await;
    three_days(&database, &client).await;
    client
        .batch_execute("UPDATE retention_settings SET keep_ms = 86400000 WHERE tier IN ('raw', '1m')")
        .await
        .unwrap();
    let spacing = async |from: i64| {
        let to = from + 6 * HOUR_MS;
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE time_ms % 3600000 = 0) \
             FROM grafana.cpu(to_timestamp({from} / 1000.0), to_timestamp({to} / 1000.0), 5000)"
        );
        let row = client.query_one(&sql, &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    let (n_buckets, n_hours) = spacing(now() - 20 * HOUR_MS).await;
    assert!(n_hours < n_buckets, "raw samples are kept: {n_hours} of {n_buckets}");
    let (n_buckets, n_hours) = spacing(now() - 40 * HOUR_MS).await;
    assert!(0 < n_buckets && n_hours == n_buckets, "only hours are kept: {n_hours} of {n_buckets}");
}

/// The plan's lines, and which chunks they read from.
async fn explain(client: &Client, sql: &str) -> (String, BTreeSet<String>) {
    let lines = client.query(&format!("EXPLAIN (COSTS off) {sql}"), &[]).await.unwrap();
    let plan = lines.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n");
    let chunks =
        plan.split_whitespace().filter(|word| word.starts_with("_hyper_") && word.ends_with("_chunk"));
    let chunks = chunks.map(ToOwned::to_owned).collect();
    (plan, chunks)
}

async fn a_function_plans_no_chunk_outside_its_bounds(database: TestDatabase) {
    let client = database.connect().await;
    name_series(&client).await;
    let start = now() - 20 * DAY_MS;
    client
        .batch_execute(&format!(
            "INSERT INTO cpu_metrics (ts, agent_key, core_count, usage_percent) \
             SELECT {start} + i * 3600000::int8, 1, 1, 1 FROM generate_series(1, 480) AS i"
        ))
        .await
        .unwrap();
    let (_, all) = explain(&client, "SELECT * FROM cpu_metrics").await;
    assert!(20 <= all.len());
    let iso = |at: i64| {
        format!("to_char(to_timestamp({at} / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    };
    let literal = async |at: i64| {
        let row = client.query_one(&format!("SELECT {}", iso(at)), &[]).await.unwrap();
        format!("'{}'", row.get::<_, String>(0))
    };
    // The end of a week that is not over hides nothing, nor does what is not rolled up.
    let end_of_week = now() + 6 * DAY_MS;
    let (from, to) = (literal(now() - 5 * HOUR_MS).await, literal(end_of_week).await);
    let sql = format!("SELECT sum(agents)::int8 FROM grafana.cpu_fleet({from}, {to}, 3600000)");
    assert!(4 <= database.count(&sql).await, "the tail is answered by raw samples");
    let sql = format!("SELECT * FROM grafana.cpu({}, {to}, 3600000)", literal(now() - 15 * DAY_MS).await);
    assert!(15 <= explain(&client, &sql).await.1.intersection(&all).count());
    roll_up(&database.store(), &client).await;
    for (from, to, step, n_raw_max) in [
        (now() - 6 * HOUR_MS, now(), 15_000, 2),
        (now() - 10 * DAY_MS, now() - 10 * DAY_MS + HOUR_MS, 5_000, 2),
        (now() - 15 * DAY_MS, now(), HOUR_MS, 2),
        (now() - 15 * DAY_MS, end_of_week, HOUR_MS, 2),
        (now() - 400 * DAY_MS, now(), DAY_MS, 2),
    ] {
        let (from, to) = (literal(from).await, literal(to).await);
        for function in ["cpu", "cpu_fleet"] {
            let sql = format!("SELECT * FROM grafana.{function}({from}, {to}, {step})");
            let (plan, chunks) = explain(&client, &sql).await;
            assert!(!plan.contains("Function Scan"), "{sql}: {plan}");
            assert!(!plan.contains("excluded during startup"), "planned for nothing: {sql}: {plan}");
            let n_raw = chunks.intersection(&all).count();
            assert!(n_raw <= n_raw_max, "{sql} plans {n_raw} chunks: {plan}");
            // Rollups are not planned for what they have no part in.
            let is_raw_alone = 0 < n_raw && chunks.len() == n_raw;
            assert!(is_raw_alone || MINUTE_MS <= step, "{sql}: {plan}");
        }
        // What is asked of an agent reaches the indexes of every tier.
        let sql = format!("SELECT * FROM grafana.cpu({from}, {to}, {step}) WHERE agent_key IN (1, 2)");
        let (plan, _) = explain(&client, &sql).await;
        assert!(plan.contains("agent_key = ANY"), "{sql}: {plan}");
        let view = format!(
            "SELECT * FROM grafana.cpu_raw WHERE time_ms BETWEEN grafana.ms({from}) AND grafana.ms({from})"
        );
        let (plan, chunks) = explain(&client, &view).await;
        assert!(chunks.len() <= 1 && !plan.contains("excluded during startup"), "{view}: {plan}");
    }
}

async fn the_schema_is_made_anew_only_when_it_differs(database: TestDatabase) {
    let client = database.connect().await;
    let made = "SELECT oid::int8 FROM pg_namespace WHERE nspname = 'grafana'";
    let first = database.count(made).await;
    database.store().migrate(now()).await.unwrap();
    assert_eq!(database.count(made).await, first);
    // Another release of the same age has made it.
    let comment = "COMMENT ON SCHEMA grafana IS 'SQL for people, made by Pika 0.0.1 abc'";
    client.batch_execute(comment).await.unwrap();
    // Somebody's own view goes with it, but not without a word.
    client.batch_execute("CREATE VIEW public.own AS SELECT agent FROM grafana.latest").await.unwrap();
    let log = LogCapture::start();
    database.store().migrate(now()).await.unwrap();
    assert!(log.text().contains("view own"), "{}", log.text());
    let second = database.count(made).await;
    assert_ne!(second, first);
    // A newer one has, and runs beside this one.
    client.batch_execute(&comment.replace("0.0.1", "99.0.0")).await.unwrap();
    database.store().migrate(now()).await.unwrap();
    assert_eq!(database.count(made).await, second);
    client.batch_execute("DROP SCHEMA grafana CASCADE").await.unwrap();
    database.store().migrate(now()).await.unwrap();
    client.batch_execute("SELECT * FROM grafana.latest, grafana.freshness, grafana.disks").await.unwrap();
}
