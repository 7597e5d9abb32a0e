//! A database with history in every tier, and comparisons of it before and after a change.

use std::collections::BTreeMap;

use pika_server::domain::family::{Family, Table};
use pika_server::domain::id::AgentKey;
use pika_server::domain::tier::{DAY_MS, HOUR_MS, Tier, bucket_start};
use pika_server::domain::time_range::TimeRange;
use pika_server::store::{Edition, MigrateError, SampleWriter, Store, WriteMethod};
use serde_json::Value;
use tokio_postgres::Client;

use super::client::now;
use super::random::Random;
use crate::rollups::{random_rows, roll_up};

/// An agent with rollups that have outlived their source.
const OLD_AGENT: i32 = 7;
const OLD_DAYS: i64 = 80;

/// The rollups of the product, each after its source.
pub(crate) fn rollups() -> Vec<(String, Tier)> {
    let mut rollups = Vec::new();
    for table in Table::ALL {
        let tiers = Tier::rollups_of(table).iter();
        rollups.extend(tiers.map(|tier| (format!("{}_{}", table.name, tier.name()), *tier)));
        if table.histogram.is_some() {
            let tiers = [Tier::OneHour, Tier::OneDay];
            rollups
                .extend(tiers.map(|tier| (format!("{}_histogram_{}", table.subject(), tier.name()), tier)));
        }
    }
    rollups
}

/// Returns the columns of a rollup's primary key.
pub(crate) fn key_of(relation: &str) -> String {
    let is_of = |table: &&Table| {
        let rest = relation.strip_prefix(table.subject());
        rest.is_some_and(|rest| rest.starts_with("_metrics_") || rest.starts_with("_histogram_"))
    };
    let series = Table::ALL.into_iter().find(is_of).and_then(Table::series_column);
    series.map_or_else(|| "agent_key, bucket".to_owned(), |series| format!("agent_key, {series}, bucket"))
}

/// Returns whether a relation exists: a database of an earlier release may lack some.
pub(crate) async fn exists(client: &Client, relation: &str) -> bool {
    let row = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&relation]).await;
    row.unwrap().get(0)
}

/// Returns the hypertable that holds a rollup's rows.
pub(crate) async fn hypertable(client: &Client, relation: &str) -> String {
    let sql = "SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) \
               FROM timescaledb_information.continuous_aggregates WHERE view_name = $1::text";
    let row = client.query_opt(sql, &[&relation]).await.unwrap();
    row.map_or_else(|| relation.to_owned(), |row| row.get(0))
}

/// Refreshes the Community edition's aggregates from the day of a time on, as far as their policies would have by now.
pub(crate) async fn refresh(client: &Client, start: i64, now: i64) {
    for (relation, tier) in rollups() {
        if !exists(client, &relation).await {
            continue;
        }
        let start = bucket_start(start, DAY_MS);
        let end = bucket_start(now - tier.refresh_end_ms(), tier.bucket_ms());
        let sql = format!("CALL refresh_continuous_aggregate('{relation}', {start}::int8, {end}::int8)");
        client.batch_execute(&sql).await.unwrap();
    }
}

/// Stores samples of three days, rolls them up, and adds rollups older than any sample.
pub(crate) async fn store_history(store: &Store, client: &Client) {
    let mut random = Random::announced();
    let rows = random_rows(&mut random, now() - 3 * DAY_MS, now(), 600);
    SampleWriter::new(store.clone(), WriteMethod::Copy).write(&rows).await.unwrap();
    if store.database_info().await.unwrap().edition == Edition::Community {
        refresh(client, now() - 4 * DAY_MS, now()).await;
    } else {
        roll_up(store, client).await;
    }
    let old = bucket_start(now() - OLD_DAYS * DAY_MS, DAY_MS);
    for tier in Tier::ROLLUPS {
        let load = hypertable(client, &format!("load_metrics_{}", tier.name())).await;
        let cpu = hypertable(client, &format!("cpu_metrics_{}", tier.name())).await;
        let sql = format!(
            "INSERT INTO {load} (bucket, agent_key, n, load1_sum, load1_min, load1_max) \
                 VALUES ({old}, {OLD_AGENT}, 3, 6, 1, 3); \
             INSERT INTO {cpu} (bucket, agent_key, n, usage_percent_sum, core_count_sum, core_count_min, \
                 core_count_max, core_count_last) VALUES ({old}, {OLD_AGENT}, 2, 50, 8, 4, 4, 4)"
        );
        client.batch_execute(&sql).await.unwrap();
    }
}

/// The rows of every rollup, by relation and by bucket and series.
pub(crate) type Tiers = BTreeMap<String, BTreeMap<(i64, i64, i64), Value>>;

/// Reads every tier of the product's rollups.
pub(crate) async fn read_tiers(client: &Client) -> Tiers {
    let mut tiers = Tiers::new();
    for (relation, _) in rollups() {
        if !exists(client, &relation).await {
            continue;
        }
        let rows = client.query(&format!("SELECT to_jsonb(t)::text FROM {relation} t"), &[]).await.unwrap();
        let rows = rows.iter().map(|row| {
            let row: Value = serde_json::from_str(row.get(0)).unwrap();
            let number = |name: &str| row.get(name).and_then(Value::as_i64);
            let keys = Table::ALL.into_iter().filter_map(Table::series_column);
            let series = keys.filter_map(number).next().unwrap_or_default();
            ((number("bucket").unwrap(), number("agent_key").unwrap(), series), row)
        });
        tiers.insert(relation, rows.collect());
    }
    tiers
}

/// Checks that everything from before still exists with the same values. Columns may have been added, and buckets that
/// were incomplete before.
pub(crate) fn assert_kept(before: &Tiers, after: &Tiers) {
    for (relation, rows) in before {
        let after = &after[relation];
        assert!(!rows.is_empty(), "{relation} has no history to keep");
        for (key, row) in rows {
            let kept = after.get(key).unwrap_or_else(|| panic!("{relation} has lost {key:?}"));
            for (column, value) in row.as_object().unwrap() {
                // A metric may have been removed with its columns.
                let Some(kept) = kept.get(column) else { continue };
                assert!(is_same(value, kept), "{relation} {key:?} {column}: {kept}, before {value}");
            }
        }
    }
}

/// Returns whether two values are equal; sums of floating-point numbers depend slightly on the order.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * one.abs().max(1.0),
        _ => one == other,
    }
}

/// Times, averages, smallest and largest values.
pub(crate) type Charts = Vec<(i64, Option<f64>, Option<f64>, Option<f64>)>;

/// Reads charts of load and CPU from every rollup, over the whole history.
pub(crate) async fn read_charts(store: &Store) -> Charts {
    let mut values = Vec::new();
    let start = bucket_start(now() - (OLD_DAYS + 1) * DAY_MS, DAY_MS);
    // Up to where no new buckets are added meanwhile.
    let range = TimeRange { start, end: start + OLD_DAYS * DAY_MS, interval_ms: DAY_MS };
    for (family, agent_key) in
        [(Family::Load, OLD_AGENT), (Family::Load, 1), (Family::Cpu, OLD_AGENT), (Family::Cpu, 2)]
    {
        for tier in Tier::ROLLUPS {
            let chart = store
                .chart_connection()
                .await
                .unwrap()
                .metric_buckets(AgentKey(agent_key), family, tier, range)
                .await
                .unwrap();
            for metric in chart.series.iter().flat_map(|series| &series.metrics) {
                for (index, timestamp) in chart.timestamps.iter().enumerate() {
                    values.push((*timestamp, metric.avg[index], metric.min[index], metric.max[index]));
                }
            }
        }
    }
    values
}

/// Checks that charts are unchanged.
pub(crate) fn assert_same_charts(before: &Charts, after: &Charts) {
    let close = |one: Option<f64>, other: Option<f64>| match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * one.abs().max(1.0),
        (one, other) => one == other,
    };
    assert_eq!(before.len(), after.len(), "{before:?} {after:?}");
    for (one, other) in before.iter().zip(after) {
        assert!(
            one.0 == other.0 && close(one.1, other.1) && close(one.2, other.2) && close(one.3, other.3),
            "{other:?}, before {one:?}"
        );
    }
}

/// The number of replacements not renamed yet, and of replaced rollups not dropped yet.
pub(crate) const REPLACEMENTS: &str =
    "SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_next' OR relname LIKE '%\\_former'";

/// Makes a database match its definition. Returns the steps and pieces.
pub(crate) async fn steps_of(store: &Store) -> Vec<String> {
    let mut steps = Vec::new();
    store
        .migrate_while(now(), |step| {
            steps.push(step.to_owned());
            true
        })
        .await
        .unwrap();
    steps
}

/// Makes a database match its definition, killed after every step, and within a step's pieces after one, two more,
/// three more and so on. Returns the steps and pieces; `between` is called with the step after each kill.
pub(crate) async fn migrate_killed_everywhere(
    store: &Store,
    mut between: impl AsyncFnMut(&str),
) -> Vec<String> {
    let (mut done, mut n_pieces, mut n_pieces_max) = (Vec::new(), 0, 1);
    loop {
        let before = done.len();
        let result = store
            .migrate_while(now(), |step| {
                done.push(step.to_owned());
                if !step.ends_with("a piece") {
                    return false;
                }
                n_pieces += 1;
                if n_pieces < n_pieces_max {
                    return true;
                }
                (n_pieces, n_pieces_max) = (0, n_pieces_max + 1);
                false
            })
            .await;
        match result {
            Ok(_) => return done,
            Err(MigrateError::Interrupted) => assert!(before < done.len()),
            Err(error) => panic!("after {done:?}: {error:?}"),
        }
        assert!(done.len() < 2_000, "no progress: {done:?}");
        let last = done.last().unwrap();
        if !last.ends_with("a piece") {
            between(last).await;
        }
    }
}

/// Returns an hour that is complete in the tiers of minutes and hours.
pub(crate) fn past_hour() -> i64 {
    bucket_start(now() - 4 * HOUR_MS, HOUR_MS)
}
