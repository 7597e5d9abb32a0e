//! Every bucket of every tier equals a recomputation from the raw rows.

use std::collections::BTreeMap;

use pika_protocol::families;
use pika_server::domain::family::{Column, ColumnType, Family, Metric, MetricKind, Numbers, Table, Value};
use pika_server::domain::id::AgentKey;
use pika_server::domain::row::{CpuNumbers, LoadNumbers, NetworkNumbers, Rows, Stored};
use pika_server::domain::tier::{DAY_MS, HOUR_MS, MINUTE_MS, Tier, bucket_start};
use pika_server::domain::time_range::TimeRange;
use pika_server::store::{Edition, Maintained, SampleWriter, Store, WriteMethod};
use tokio_postgres::Client;

use crate::support::client::now;
use crate::support::database::call;
use crate::support::random::Random;
use crate::support::{TestDatabase, on_both_editions};

on_both_editions!(
    every_bucket_matches_the_raw_rows,
    rollups_outlive_raw_samples,
    a_chart_reaches_now_and_is_the_same_from_every_tier,
    percentiles_are_those_of_the_samples,
    absurd_amounts_stop_nobody,
    a_round_of_maintenance_summarizes_new_rows,
);

/// Rolls up everything that is due: by the maintenance of one edition and the policies of the other, in an order that
/// leaves no gap between their ranges. The store must not have rolled up before: then it refreshes at once what it
/// would put off otherwise.
pub(crate) async fn roll_up(store: &Store, client: &Client) {
    if store.database_info().await.unwrap().edition == Edition::Community {
        run_policies(client).await;
        maintain(store, now()).await;
        run_policies(client).await;
    } else {
        maintain(store, now()).await;
    }
}

async fn run_policies(client: &Client) {
    for tier in ["1m", "1h", "1d"] {
        run_jobs(client, "policy_refresh_continuous_aggregate", &format!("%\\_{tier}")).await;
    }
}

/// Runs rounds of maintenance until nothing is left to do.
pub(crate) async fn maintain(store: &Store, now: i64) -> Maintained {
    let mut all = Maintained::default();
    loop {
        let round = store.maintain(now).await.unwrap();
        if round.is_elsewhere {
            // Another server is at work.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        }
        let chunks_dropped = all.chunks_dropped + round.chunks_dropped;
        all = Maintained { chunks_dropped, ..round };
        if !all.has_more {
            return all;
        }
    }
}

/// Runs the policies of a kind, as TimescaleDB's scheduler would.
pub(crate) async fn run_jobs(client: &Client, procedure: &str, relations: &str) -> usize {
    let sql = "SELECT job_id FROM timescaledb_information.jobs AS jobs \
               LEFT JOIN timescaledb_information.continuous_aggregates AS aggregates \
                   ON (materialization_hypertable_schema, materialization_hypertable_name) \
                      = (jobs.hypertable_schema, jobs.hypertable_name) \
               WHERE proc_name = $1::text AND coalesce(view_name, jobs.hypertable_name)::text LIKE $2::text \
               ORDER BY job_id";
    let jobs = client.query(sql, &[&procedure, &relations]).await.unwrap();
    for job in &jobs {
        call(client, &format!("run_job({})", job.get::<_, i32>(0))).await;
    }
    jobs.len()
}

/// Random rows of three agents over a span, in all tables: irregular, with gaps, resets and absent values.
pub(crate) fn random_rows(random: &mut Random, start: i64, end: i64, count: u64) -> Rows {
    let mut rows = Rows::default();
    for _ in 0..count {
        let span = u64::try_from(end - start).unwrap();
        let ts = start + i64::try_from(random.below(span)).unwrap();
        let agent_key = 1 + i32::try_from(random.below(3)).unwrap();
        let table = usize::try_from(random.below(PUSH.len() as u64)).unwrap();
        PUSH[table](&mut rows, random, ts, agent_key);
    }
    rows
}

/// Returns one row of every table, the same for the same seed.
pub(crate) fn row_of_each_table(seed: u64, ts: i64, agent_key: i32) -> Rows {
    let (mut rows, mut random) = (Rows::default(), Random::seeded(seed));
    PUSH.iter().for_each(|push| push(&mut rows, &mut random, ts, agent_key));
    rows
}

/// Adds a random row to a table: time, agent.
type Push = fn(&mut Rows, &mut Random, i64, i32);

macro_rules! define_push {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        /// For each table.
        const PUSH: &[Push] =
            &[$(|rows, random, ts, agent_key| rows.$field.push(random_row(random, ts, agent_key))),+];
    };
}
families!(define_push);

fn random_row<N: Numbers>(random: &mut Random, ts: i64, agent_key: i32) -> Stored<N> {
    let series_key = if N::TABLE.series.is_some() { 1 + i32::try_from(random.below(2)).unwrap() } else { 0 };
    // Amounts come with their divisor, or not at all.
    let has_amounts = random.below(4) != 0;
    let is = |column: &Column, of: fn(&Metric) -> Option<&'static str>| {
        N::TABLE.metrics.iter().any(|metric| of(metric) == Some(column.name))
    };
    let is_divisor = |column: &Column| is(column, divisor);
    let is_amount = |column: &Column| is(column, |metric| divisor(metric).map(|_| metric.column));
    let mut columns = N::TABLE.number_columns().iter();
    let numbers = N::from_values(|| {
        let column = columns.next()?;
        let may_be_there = has_amounts || !(is_divisor(column) || is_amount(column));
        let is_there = !column.is_optional || may_be_there && (is_divisor(column) || random.below(4) != 0);
        let int8 = if is_divisor(column) { 1 + random.below(60_000) } else { random.below(1 << 45) };
        #[expect(clippy::cast_precision_loss, reason = "noise")]
        let percent = random.below(100_000) as f32 / 1_000.0;
        Some(match column.column_type {
            ColumnType::Int4 => Value::Int4(is_there.then(|| 1 + i32::try_from(random.below(64)).unwrap())),
            ColumnType::Int8 => Value::Int8(is_there.then(|| i64::try_from(int8).unwrap())),
            ColumnType::Float4 => Value::Float4(is_there.then_some(percent)),
        })
    });
    Stored::of_series(ts, agent_key, series_key, numbers.unwrap())
}

fn divisor(metric: &Metric) -> Option<&'static str> {
    match metric.kind {
        MetricKind::Ratio { over, .. } => Some(over),
        MetricKind::Gauge { .. } => None,
    }
}

async fn every_bucket_matches_the_raw_rows(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    let mut random = Random::announced();
    let mut writer = SampleWriter::new(store.clone(), WriteMethod::Copy);
    // The hours of a day by which a sample may be late, in several batches with roll-ups in between.
    let end = now();
    let start = end - 23 * HOUR_MS;
    for arrival in 0..4 {
        let rows = random_rows(&mut random, start, end, 400);
        writer.write(&rows).await.unwrap();
        // Some arrives again, some comes from an agent that was away.
        let again = random_rows(&mut Random::seeded(random.below(u64::MAX)), start, start + HOUR_MS, 20);
        writer.write(&again).await.unwrap();
        writer.write(&again).await.unwrap();
        // A single sample, some around the time up to which rollups are complete, and live ones.
        writer.write(&random_rows(&mut random, start, end, 1)).await.unwrap();
        writer.write(&random_rows(&mut random, end - 2 * HOUR_MS, end, 30)).await.unwrap();
        let mut inserter = SampleWriter::new(store.clone(), WriteMethod::Insert);
        inserter.write(&random_rows(&mut random, end - 15 * MINUTE_MS, end, 30)).await.unwrap();
        inserter.write(&random_rows(&mut random, end - MINUTE_MS, end, 10)).await.unwrap();
        if arrival < 3 {
            roll_up(&database.store(), &client).await;
        }
    }
    roll_up(&database.store(), &client).await;
    let mut n_buckets = 0;
    for table in Table::ALL {
        for tier in Tier::rollups_of(table) {
            n_buckets += check_tier(&client, table, *tier).await;
        }
    }
    assert!(500 < n_buckets, "only {n_buckets} buckets to compare");
}

/// One bucket of one series: for each metric count, sum, minimum, maximum, last; in the order of the columns.
type Bucket = BTreeMap<String, f64>;

/// Compares all complete buckets of a tier with a recomputation. Returns their number.
pub(crate) async fn check_tier(client: &Client, table: &Table, tier: Tier) -> usize {
    let relation = format!("{}_{}", table.name, tier.name());
    let series = table.series_column().unwrap_or("0");
    let raw = client
        .query(&format!("SELECT to_jsonb(t)::text FROM {} t ORDER BY ts", table.name), &[])
        .await
        .unwrap();
    let mut expected: BTreeMap<(i64, i64, i64), Bucket> = BTreeMap::new();
    for row in &raw {
        let row: serde_json::Value = serde_json::from_str(row.get(0)).unwrap();
        let key = (
            row["agent_key"].as_i64().unwrap(),
            row.get(series).and_then(serde_json::Value::as_i64).unwrap_or(0),
            bucket_start(row["ts"].as_i64().unwrap(), tier.bucket_ms()),
        );
        let bucket = expected.entry(key).or_default();
        *bucket.entry("n".to_owned()).or_default() += 1.0;
        for metric in table.metrics {
            let Some(value) = row[metric.column].as_f64() else { continue };
            let column = table.columns.iter().find(|column| column.name == metric.column).unwrap();
            // JSON contains the shortest decimals for the same 32 bits; the sum is over those bits.
            #[expect(clippy::cast_possible_truncation, reason = "it was 32 bits")]
            let value =
                if column.column_type == ColumnType::Float4 { f64::from(value as f32) } else { value };
            let mut set = |suffix: &str, value: f64, merge: fn(f64, f64) -> f64| {
                let name = format!("{}_{suffix}", metric.column);
                bucket.entry(name).and_modify(|known| *known = merge(*known, value)).or_insert(value);
            };
            set("sum", value, |known, value| known + value);
            match metric.kind {
                MetricKind::Gauge { is_optional, keeps_last } => {
                    set("min", value, f64::min);
                    set("max", value, f64::max);
                    if is_optional {
                        set("n", 1.0, |known, value| known + value);
                    }
                    if keeps_last {
                        set("last", value, |_, value| value);
                    }
                }
                MetricKind::Ratio { over, scale } => {
                    let divisor = row[over].as_f64().unwrap();
                    set(over, divisor, |known, value| known + value);
                    set("rate_min", value * scale / divisor, f64::min);
                    set("rate_max", value * scale / divisor, f64::max);
                }
            }
        }
    }
    let rolled = client.query(&format!("SELECT to_jsonb(t)::text FROM {relation} t"), &[]).await.unwrap();
    let mut n_compared = 0;
    for row in &rolled {
        let row: serde_json::Value = serde_json::from_str(row.get(0)).unwrap();
        let key = (
            row["agent_key"].as_i64().unwrap(),
            row.get(series).and_then(serde_json::Value::as_i64).unwrap_or(0),
            row["bucket"].as_i64().unwrap(),
        );
        let bucket = expected.remove(&key).unwrap_or_else(|| panic!("{relation} {key:?} has no raw rows"));
        for (name, value) in row.as_object().unwrap() {
            if ["bucket", "agent_key", series].contains(&name.as_str()) {
                continue;
            }
            let expected = bucket.get(name).copied();
            let zero_or_null = if name.ends_with("_n") { Some(0.0) } else { None };
            assert!(
                close(value.as_f64(), expected.or(zero_or_null))
                    || (is_float4(table, name) && shortest(value, expected)),
                "{relation} {key:?} {name}: {value}, but the raw rows give {expected:?}"
            );
        }
        n_compared += 1;
    }
    // What is missing must be too recent: its bucket, or one of the finer tier, is not complete.
    let complete_until = now() - tier.refresh_end_ms() - 2 * tier.bucket_ms();
    let missing: Vec<_> = expected.keys().filter(|(_, _, bucket)| *bucket < complete_until).collect();
    assert!(missing.is_empty(), "{relation} lacks {missing:?}");
    n_compared
}

/// Returns whether a rollup's column has the type of a 32-bit metric.
fn is_float4(table: &Table, name: &str) -> bool {
    let metric = ["_min", "_max", "_last"].iter().find_map(|suffix| name.strip_suffix(suffix));
    let column = table.columns.iter().find(|column| Some(column.name) == metric);
    column.is_some_and(|column| column.column_type == ColumnType::Float4)
}

/// 32-bit columns are printed as the shortest decimals with the same bits.
#[expect(clippy::cast_possible_truncation, clippy::float_cmp, reason = "it was 32 bits, and exactly those")]
fn shortest(value: &serde_json::Value, expected: Option<f64>) -> bool {
    matches!((value.as_f64(), expected), (Some(value), Some(expected)) if value as f32 == expected as f32)
}

fn close(value: Option<f64>, expected: Option<f64>) -> bool {
    match (value, expected) {
        (None, None) => true,
        (Some(value), Some(expected)) => (value - expected).abs() <= 1e-9 * expected.abs().max(1.0),
        _ => false,
    }
}

async fn rollups_outlive_raw_samples(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    let now = now();
    let start = bucket_start(now - 40 * DAY_MS, DAY_MS);
    // A sample per hour for forty days, stored as time went by.
    let loads: Vec<Stored<LoadNumbers>> = (0..40 * 24)
        .map(|hour| {
            Stored::new(
                start + hour * HOUR_MS,
                1,
                LoadNumbers { load1: 1.5, load5: 1.0, load15: 0.5, ..LoadNumbers::default() },
            )
        })
        .collect();
    SampleWriter::new(store.clone(), WriteMethod::Copy)
        .write(&Rows { load: loads, ..Rows::default() })
        .await
        .unwrap();
    maintain(&store, now).await;
    let days = format!("SELECT count(*) FROM load_metrics_1d WHERE bucket < {}", now - 31 * DAY_MS);
    let days_before = database.count(&days).await;
    assert!(8 <= days_before, "{days_before}");
    for _ in 0..2 {
        roll_up(&database.store(), &client).await;
        assert_eq!(database.count(&days).await, days_before);
        let hours = format!("SELECT count(*) FROM load_metrics_1h WHERE bucket < {}", now - 31 * DAY_MS);
        assert!(8 * 24 <= database.count(&hours).await);
        let raw = format!("SELECT count(*) FROM load_metrics WHERE ts < {}", now - 31 * DAY_MS - HOUR_MS);
        assert_eq!(database.count(&raw).await, 0, "raw samples have been dropped");
    }
}

async fn a_chart_reaches_now_and_is_the_same_from_every_tier(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    let mut random = Random::announced();
    let end = bucket_start(now(), DAY_MS) + DAY_MS;
    let start = end - 2 * DAY_MS;
    let rows = random_rows(&mut random, now() - 20 * HOUR_MS, now(), 1_000);
    let mut writer = SampleWriter::new(store.clone(), WriteMethod::Copy);
    writer.write(&rows).await.unwrap();
    let range = TimeRange { start, end, interval_ms: DAY_MS };
    for is_rolled_up in [false, true] {
        if is_rolled_up {
            roll_up(&database.store(), &client).await;
        }
        for family in Family::ALL {
            let from_raw = store
                .chart_connection()
                .await
                .unwrap()
                .metric_buckets(AgentKey(1), family, Tier::Raw, range)
                .await
                .unwrap();
            assert!(!from_raw.timestamps.is_empty());
            for tier in Tier::ROLLUPS {
                let from_tier = store
                    .chart_connection()
                    .await
                    .unwrap()
                    .metric_buckets(AgentKey(1), family, tier, range)
                    .await
                    .unwrap();
                assert_eq!(from_tier.timestamps, from_raw.timestamps, "{family:?} {tier:?}");
                for (one, other) in from_tier.series.iter().zip(&from_raw.series) {
                    for (one, other) in one.metrics.iter().zip(&other.metrics) {
                        assert_eq!((&one.min, &one.max), (&other.min, &other.max), "{family:?} {tier:?}");
                        let mut pairs = one.avg.iter().zip(&other.avg);
                        let is_same = pairs.all(|(one, other)| close(*one, *other));
                        assert!(is_same, "{family:?} {tier:?}: {:?}, not {:?}", one.avg, other.avg);
                    }
                }
            }
        }
    }
}

async fn percentiles_are_those_of_the_samples(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    let hour = bucket_start(now() - 5 * HOUR_MS, HOUR_MS);
    let cpu = |i: i64| {
        Stored::new(
            hour + i * 10_000,
            1,
            CpuNumbers {
                core_count: 1,
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                usage_percent: i as f32 / 3.6,
                user_percent: None,
                system_percent: None,
                iowait_percent: None,
                steal_percent: None,
                ..CpuNumbers::default()
            },
        )
    };
    // 0 to 100 percent, evenly distributed over an hour.
    let rows = Rows { cpu: (0..360).map(cpu).collect(), ..Rows::default() };
    SampleWriter::new(store.clone(), WriteMethod::Copy).write(&rows).await.unwrap();
    let range = TimeRange { start: hour, end: hour + HOUR_MS, interval_ms: HOUR_MS };
    for is_rolled_up in [false, true] {
        if is_rolled_up {
            roll_up(&database.store(), &client).await;
        }
        let percentiles = store
            .chart_connection()
            .await
            .unwrap()
            .percentiles(AgentKey(1), Family::Cpu, Tier::OneHour, range)
            .await
            .unwrap();
        let p95 = percentiles[&hour];
        assert!((p95 - 95.0).abs() <= 1.0, "{p95}");
    }
    let finer = store
        .chart_connection()
        .await
        .unwrap()
        .percentiles(AgentKey(1), Family::Cpu, Tier::OneMinute, range)
        .await
        .unwrap();
    assert!(finer.is_empty());
}

/// One agent that reports absurd values must not stop the rollups of all others.
async fn absurd_amounts_stop_nobody(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    let minute = bucket_start(now() - 3 * HOUR_MS, MINUTE_MS);
    let network = |agent_key, offset_ms, bytes| {
        Stored::of_series(
            minute + offset_ms,
            agent_key,
            agent_key,
            NetworkNumbers {
                received_bytes_total: bytes,
                sent_bytes_total: bytes,
                received_bytes: Some(bytes),
                sent_bytes: Some(bytes),
                interval_ms: Some(1),
                receive_errors: None,
                send_errors: None,
                ..NetworkNumbers::default()
            },
        )
    };
    let networks = vec![network(1, 0, i64::MAX), network(1, 1, i64::MAX), network(2, 0, 5), network(2, 1, 6)];
    let rows = Rows { networks, ..Rows::default() };
    SampleWriter::new(store.clone(), WriteMethod::Copy).write(&rows).await.unwrap();
    roll_up(&database.store(), &client).await;
    for tier in ["1m", "1h"] {
        let sum = |agent: i32| {
            format!("SELECT received_bytes_sum FROM network_metrics_{tier} WHERE agent_key = {agent}")
        };
        assert_eq!(database.count(&sum(1)).await, i64::MAX);
        assert_eq!(database.count(&sum(2)).await, 11);
    }
}

/// Apache edition: a round that dies midway is fully redone by the next one.
#[tokio::test]
async fn a_round_that_fails_midway_is_redone() {
    let database = TestDatabase::on_server().await;
    let store = database.store();
    if store.database_info().await.unwrap().edition == Edition::Community {
        return check_that_policies_do_it(&database).await;
    }
    let client = database.connect().await;
    let mut random = Random::announced();
    let mut writer = SampleWriter::new(store.clone(), WriteMethod::Copy);
    // Each of these is needed only after others have been rolled up in the same transaction.
    for relation in ["load_metrics_1m", "network_metrics_1h", "load_histogram_1d", "disk_metrics_1d"] {
        writer.write(&random_rows(&mut random, now() - 23 * HOUR_MS, now(), 300)).await.unwrap();
        client.batch_execute(&format!("ALTER TABLE {relation} RENAME TO away")).await.unwrap();
        store.maintain(now()).await.unwrap_err();
        client.batch_execute(&format!("ALTER TABLE away RENAME TO {relation}")).await.unwrap();
    }
    store.maintain(now()).await.unwrap();
    for table in Table::ALL {
        for tier in Tier::rollups_of(table) {
            check_tier(&client, table, *tier).await;
        }
    }
}

/// Community edition: there is no single round, but jobs of the database, each in its own transactions.
async fn check_that_policies_do_it(database: &TestDatabase) {
    assert_eq!(database.store().maintain(now()).await.unwrap().changes_rolled_up, 0);
}

/// Returns a setting of a relation's policy.
async fn setting(client: &Client, relation: &str, procedure: &str, name: &str) -> Option<i64> {
    let sql = "SELECT (config->>$3::text)::int8 FROM timescaledb_information.jobs AS jobs \
               LEFT JOIN timescaledb_information.continuous_aggregates AS aggregates \
                   ON (materialization_hypertable_schema, materialization_hypertable_name) \
                      = (jobs.hypertable_schema, jobs.hypertable_name) \
               WHERE coalesce(view_name, jobs.hypertable_name)::text = $1::text AND proc_name = $2::text";
    let row = client.query_opt(sql, &[&relation, &procedure, &name]).await.unwrap();
    row.and_then(|row| row.get::<_, Option<i64>>(0))
}

/// Each policy exists with the right settings, and runs.
#[tokio::test]
async fn the_policies_match_their_definition_and_run() {
    let database = TestDatabase::on_community().await;
    let store = database.store();
    let client = database.connect().await;
    let setting =
        async |relation: &str, procedure: &str, name: &str| setting(&client, relation, procedure, name).await;
    let refresh = "policy_refresh_continuous_aggregate";
    let kept = |tier| match tier {
        Tier::Raw => Some(30 * DAY_MS),
        Tier::OneMinute => Some(90 * DAY_MS),
        Tier::OneHour => Some(400 * DAY_MS),
        Tier::OneDay => None,
    };
    let mut n_relations = 0;
    for table in Table::ALL {
        for tier in Tier::ALL.into_iter().filter(|tier| tier.is_of(table)) {
            let histogram = format!("{}_histogram_{}", table.subject(), tier.name());
            let relations = match (tier, table.histogram) {
                (Tier::Raw, _) => vec![table.name.to_owned()],
                (Tier::OneHour | Tier::OneDay, Some(_)) => {
                    vec![format!("{}_{}", table.name, tier.name()), histogram]
                }
                _ => vec![format!("{}_{}", table.name, tier.name())],
            };
            for relation in relations {
                n_relations += 1;
                assert_eq!(setting(&relation, "policy_retention", "drop_after").await, None, "{relation}");
                let compress_after =
                    setting(&relation, "policy_compression", "compress_after").await.unwrap();
                let late_limit_ms = DAY_MS;
                assert!(
                    late_limit_ms + HOUR_MS <= compress_after,
                    "{relation}: late rows would go into columns"
                );
                assert!(kept(tier).is_none_or(|keep_ms| compress_after < keep_ms), "{relation}");
                if tier != Tier::Raw {
                    let window = (
                        setting(&relation, refresh, "start_offset").await,
                        setting(&relation, refresh, "end_offset").await,
                    );
                    assert_eq!(
                        window,
                        (Some(tier.policy_reach_ms()), Some(tier.refresh_end_ms())),
                        "{relation}"
                    );
                    assert!(
                        tier.late_reach_ms().max(tier.policy_reach_ms()) < compress_after,
                        "{relation}: a refresh would go into columns"
                    );
                }
            }
        }
    }
    assert_eq!(n_relations, 54);

    let rows = random_rows(&mut Random::seeded(1), now() - 20 * HOUR_MS, now(), 200);
    let old = random_rows(&mut Random::seeded(2), now() - 60 * HOUR_MS, now() - 50 * HOUR_MS, 200);
    let mut writer = SampleWriter::new(store.clone(), WriteMethod::Copy);
    writer.write(&rows).await.unwrap();
    writer.write(&old).await.unwrap();
    assert_eq!(run_jobs(&client, refresh, "%").await, 40);
    assert_eq!(run_jobs(&client, "policy_compression", "%").await, 54);
    assert_eq!(run_jobs(&client, "policy_retention", "%").await, 0, "the server drops what is rolled up");
    let columns = "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'cpu_metrics' AND is_compressed";
    assert!(0 < database.count(columns).await);

    let sql = "SELECT array_agg(job_id ORDER BY job_id) FROM timescaledb_information.jobs";
    let before: Vec<i32> = client.query_one(sql, &[]).await.unwrap().get(0);
    store.migrate(now()).await.unwrap();
    let after: Vec<i32> = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(before, after, "nothing differs, so nothing is replaced");
}

/// Every column of a metric row is rolled up, or known not to be.
#[test]
fn every_metric_column_is_rolled_up() {
    let totals = ["received_bytes_total", "sent_bytes_total"];
    for table in Table::ALL {
        for column in table.number_columns() {
            let is_rolled_up = table.metrics.iter().any(|metric| match metric.kind {
                MetricKind::Ratio { over, .. } => [metric.column, over].contains(&column.name),
                MetricKind::Gauge { .. } => metric.column == column.name,
            });
            assert!(is_rolled_up || totals.contains(&column.name), "{}.{}", table.name, column.name);
        }
    }
}

/// How a refresh of the newest minutes finds its rows. If this is left to autovacuum, PostgreSQL fills its log with
/// requests it has no room for.
async fn a_round_of_maintenance_summarizes_new_rows(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    // Some hundred pages per day.
    let sql = format!(
        "INSERT INTO load_metrics SELECT ts, agent_key, 1, 1, 1 \
         FROM generate_series({}, {}, 2000) AS ts, generate_series(1, 2) AS agent_key",
        now() - 6 * HOUR_MS,
        now()
    );
    client.batch_execute(&sql).await.unwrap();
    let indexes = "SELECT indexrelid::regclass::text AS index, reloptions FROM pg_index \
                   JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam \
                   WHERE amname = 'brin'";
    let own = format!("SELECT count(*) FROM ({indexes}) AS i WHERE reloptions && ARRAY['autosummarize=on']");
    assert_eq!(database.count(&own).await, 0);
    let unsummarised = async || -> i64 {
        let sql = format!(
            "SELECT coalesce(sum(brin_summarize_new_values(index::regclass)), 0)::int8 FROM ({indexes}) AS i \
             WHERE index LIKE '%chunk%load\\_metrics\\_ts'"
        );
        database.count(&sql).await
    };
    store.maintain(now()).await.unwrap();
    assert_eq!(unsummarised().await, 0);
    client.batch_execute(&sql.replace("(1, 2)", "(3, 4)")).await.unwrap();
    assert!(0 < unsummarised().await, "there was something to do");
}
