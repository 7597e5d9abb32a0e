//! Maintenance rolls up everything, drops nothing before it is rolled up, and rolls up one agent's late samples only
//! for that agent.

use std::sync::atomic::{AtomicBool, Ordering};

use pika_server::domain::family::{Family, Table};
use pika_server::domain::id::AgentKey;
use pika_server::domain::row::{LoadNumbers, Rows, Stored};
use pika_server::domain::tier::{DAY_MS, HOUR_MS, MINUTE_MS, Tier, bucket_start};
use pika_server::domain::time_range::TimeRange;
use pika_server::store::{Edition, SampleWriter, Store, WriteMethod};

use tokio_postgres::error::SqlState;

use crate::rollups::{check_tier, maintain, random_rows, run_jobs};
use crate::support::client::now;
use crate::support::history::hypertable;
use crate::support::random::Random;
use crate::support::{TestDatabase, eventually, on_both_editions};

on_both_editions!(
    spans_outside_the_policies_are_rolled_up_and_charted,
    nothing_is_dropped_before_it_is_rolled_up,
    chunks_that_cannot_be_rolled_up_are_kept,
    a_mark_rolls_up_what_it_names,
);

const REFRESH: &str = "policy_refresh_continuous_aggregate";

fn load(agent_key: i32, ts: i64) -> Stored<LoadNumbers> {
    Stored::new(ts, agent_key, LoadNumbers { load1: 1.5, load5: 1.0, load15: 0.5, ..LoadNumbers::default() })
}

async fn write(store: &Store, load: Vec<Stored<LoadNumbers>>) {
    let rows = Rows { load, ..Rows::default() };
    SampleWriter::new(store.clone(), WriteMethod::Copy).write(&rows).await.unwrap();
}

/// Returns how many samples of a span an agent's chart from a tier contains, by its average of one constant value and
/// its buckets.
async fn charted(store: &Store, tier: Tier, start: i64, end: i64) -> Vec<i64> {
    let range = TimeRange { start, end, interval_ms: tier.bucket_ms() };
    let buckets = store
        .chart_connection()
        .await
        .unwrap()
        .metric_buckets(AgentKey(1), Family::Load, tier, range)
        .await
        .unwrap();
    buckets.timestamps
}

async fn samples_in(database: &TestDatabase, relation: &str) -> i64 {
    database.count(&format!("SELECT coalesce(sum(n), 0)::int8 FROM {relation}")).await
}

async fn spans_outside_the_policies_are_rolled_up_and_charted(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    let now = now();
    // A weekend's samples that arrived while the jobs stood still; and some of now, from which the jobs continue.
    let start = bucket_start(now - 40 * HOUR_MS, HOUR_MS);
    let end = start + 6 * HOUR_MS;
    let weekend: Vec<Stored<LoadNumbers>> = (start..end).step_by(5 * 60_000).map(|ts| load(1, ts)).collect();
    let n_samples = i64::try_from(weekend.len()).unwrap();
    write(&store, weekend).await;
    write(&store, (10..60).map(|minute| load(1, now - minute * MINUTE_MS)).collect()).await;
    let tiers = [Tier::OneMinute, Tier::OneHour];
    let mut expected = Vec::new();
    for tier in tiers {
        let width = usize::try_from(tier.bucket_ms().max(5 * 60_000)).unwrap();
        expected.push((start..end).step_by(width).collect::<Vec<i64>>());
    }
    for is_maintained in [false, true, true] {
        run_jobs(&client, REFRESH, "load%").await;
        if is_maintained {
            maintain(&store, now).await;
        } else {
            // A server starts.
            store.migrate(now).await.unwrap();
        }
        for (tier, expected) in tiers.into_iter().zip(&expected) {
            let charted = charted(&store, tier, start, end).await;
            assert_eq!(&charted, expected, "{tier:?}, maintained: {is_maintained}");
        }
    }
    for relation in ["load_metrics_1m", "load_metrics_1h"] {
        let rolled = format!("SELECT sum(n)::int8 FROM {relation} WHERE bucket < {end}");
        assert_eq!(database.count(&rolled).await, n_samples, "{relation}");
    }
    let percentiles = "SELECT count(*) FROM load_histogram_1h";
    assert!(6 <= database.count(percentiles).await);
}

/// Expired rows that have never been rolled up, because the jobs that should have done it did not run.
async fn nothing_is_dropped_before_it_is_rolled_up(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    let now = now();
    let start = bucket_start(now - 50 * DAY_MS, DAY_MS);
    write(&store, (0..240).map(|i| load(1, start + i * 20 * MINUTE_MS)).collect()).await;
    run_jobs(&client, "policy_retention", "%").await;
    let maintained = maintain(&store, now).await;
    for relation in ["load_metrics_1m", "load_metrics_1h", "load_metrics_1d"] {
        assert_eq!(samples_in(&database, relation).await, 240, "{relation}");
    }
    assert_eq!(database.count("SELECT count(*) FROM load_histogram_1h").await, 80);
    assert_eq!(database.count("SELECT count(*) FROM load_metrics").await, 0, "{maintained:?}");
    assert_eq!(maintained.chunks_dropped, 4);
    assert!(maintained.held_back.is_empty(), "{maintained:?}");
    // Rollups outlive their source.
    maintain(&store, now).await;
    run_jobs(&client, REFRESH, "%").await;
    assert_eq!(samples_in(&database, "load_metrics_1m").await, 240);
}

async fn chunks_that_cannot_be_rolled_up_are_kept(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    let now = now();
    let start = bucket_start(now - 50 * DAY_MS, DAY_MS);
    write(&store, (0..240).map(|i| load(1, start + i * 20 * MINUTE_MS)).collect()).await;
    // Its logarithm, which the histograms are built from, does not exist.
    let set = |load1: &str| format!("UPDATE load_metrics SET load1 = {load1} WHERE ts = {start}");
    client.batch_execute(&set("-1")).await.unwrap();
    run_jobs(&client, "policy_retention", "%").await;
    if database.count("SELECT count(*) FROM rollup_changes").await == 0 {
        // One rollup does not block the others.
        let maintained = maintain(&store, now).await;
        let held_back = &maintained.held_back[0];
        assert_eq!((held_back.relation.as_str(), held_back.n_chunks), ("load_metrics", 4), "{maintained:?}");
        let failed: Vec<&str> =
            maintained.refresh_failures.iter().map(|failure| failure.relation.as_str()).collect();
        assert_eq!(failed, ["load_histogram_1h"]);
        assert_eq!(samples_in(&database, "load_metrics_1h").await, 240);
    } else {
        store.maintain(now).await.unwrap_err();
    }
    assert_eq!(database.count("SELECT count(*) FROM load_metrics").await, 240);
    client.batch_execute(&set("1.5")).await.unwrap();
    let maintained = maintain(&store, now).await;
    assert_eq!((maintained.chunks_dropped, maintained.held_back.len()), (4, 0), "{maintained:?}");
    assert_eq!(database.count("SELECT count(*) FROM load_metrics").await, 0);
    assert_eq!(database.count("SELECT count(*) FROM load_histogram_1h").await, 80);
}

/// One agent's late sample is rolled up for that agent only, not for all others in that minute.
#[tokio::test]
async fn a_late_sample_rolls_up_only_its_agent() {
    let database = TestDatabase::on_server().await;
    let store = database.store();
    let client = database.connect().await;
    let (now, late) = (now(), bucket_start(now() - 20 * HOUR_MS, HOUR_MS));
    for agent_key in [1, 2] {
        write(&store, vec![load(agent_key, late), load(agent_key, now - MINUTE_MS)]).await;
    }
    maintain(&store, now).await;
    run_jobs(&client, REFRESH, "load%").await;
    // If the other agent were rolled up, this would become 1.
    let behind = hypertable(&client, "load_metrics_1m").await;
    let set = format!("UPDATE {behind} SET n = 99 WHERE agent_key = 2 AND bucket = {late}");
    assert_eq!(client.execute(&set, &[]).await.unwrap(), 1);
    write(&store, vec![load(1, late + 1), load(1, late + 10 * HOUR_MS)]).await;
    maintain(&store, now).await;
    run_jobs(&client, REFRESH, "load_metrics_1m").await;
    let n = |tier: &str, agent_key: i32| {
        format!(
            "SELECT sum(n)::int8 FROM load_metrics_{tier} WHERE agent_key = {agent_key} AND bucket = {late}"
        )
    };
    assert_eq!((database.count(&n("1m", 1)).await, database.count(&n("1h", 1)).await), (2, 2));
    assert_eq!(database.count(&n("1m", 2)).await, 99);
    let other = format!("SELECT sum(n)::int8 FROM load_metrics_1h WHERE bucket = {}", late + 10 * HOUR_MS);
    assert_eq!(database.count(&other).await, 1);
}

/// If the database cannot be told which agent is late, what late samples change is refreshed once an hour; charts show
/// them at once.
#[tokio::test]
async fn changes_by_late_samples_are_collected_for_an_hour() {
    let database = TestDatabase::on_community().await;
    let store = database.store();
    let client = database.connect().await;
    let (now, late) = (now(), bucket_start(now() - 20 * HOUR_MS, HOUR_MS));
    let rolled = format!("SELECT coalesce(sum(n), 0)::int8 FROM load_metrics_1m WHERE bucket = {late}");
    let range = TimeRange { start: late, end: late + MINUTE_MS, interval_ms: MINUTE_MS };
    for (minutes_later, load1, n_rolled) in
        [(0, 1.0, 1), (1, 2.0, 1), (59, 3.0, 1), (60, 4.0, 4), (61, 5.0, 4), (121, 6.0, 6)]
    {
        write(
            &store,
            vec![Stored {
                numbers: LoadNumbers { load1, ..LoadNumbers::default() },
                ..load(1, late + minutes_later)
            }],
        )
        .await;
        run_jobs(&client, REFRESH, "load%").await;
        maintain(&store, now + minutes_later * MINUTE_MS).await;
        assert_eq!(database.count(&rolled).await, n_rolled, "after {minutes_later} minutes");
        let chart = store
            .chart_connection()
            .await
            .unwrap()
            .metric_buckets(AgentKey(1), Family::Load, Tier::OneMinute, range)
            .await
            .unwrap();
        assert_eq!(chart.series[0].metrics[0].max, [Some(f64::from(load1))], "after {minutes_later} minutes");
    }
}

/// A refresh replaces rows in one transaction, and rolling up by marks waits for it: otherwise both would delete the
/// old rows and insert new ones, leaving them twice.
#[tokio::test]
async fn a_mark_waits_for_a_refresh_of_its_bucket() {
    let database = TestDatabase::on_server().await;
    let store = database.store();
    let client = database.connect().await;
    let (now, late) = (now(), bucket_start(now() - 20 * HOUR_MS, HOUR_MS));
    write(&store, vec![load(1, late), load(1, now - MINUTE_MS)]).await;
    maintain(&store, now).await;
    let behind = hypertable(&client, "load_metrics_1m").await;
    let mut other = database.connect().await;
    let refresh = other.transaction().await.unwrap();
    refresh
        .batch_execute(&format!(
            "CREATE TEMP TABLE new ON COMMIT DROP AS SELECT * FROM {behind} WHERE bucket = {late}; \
             DELETE FROM {behind} WHERE bucket = {late}; INSERT INTO {behind} SELECT * FROM new"
        ))
        .await
        .unwrap();
    write(&store, vec![load(1, late + 1)]).await;
    let roll_up = maintain(&store, now);
    let commit = async {
        eventually("the mark waits", || async {
            let waiting = "SELECT count(*) FROM pg_stat_activity \
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            (0 < database.count(waiting).await).then_some(())
        })
        .await;
        refresh.commit().await.unwrap();
    };
    tokio::join!(roll_up, commit);
    let sql = format!("SELECT array_agg(n) FROM {behind} WHERE bucket = {late}");
    let n: Vec<i64> = client.query_one(&sql, &[]).await.unwrap().get(0);
    assert_eq!(n, [2]);
}

/// Refreshes and marks concurrently affect the same buckets.
#[tokio::test]
async fn late_samples_and_refreshes_do_not_get_in_each_others_way() {
    const N_FLUSHES: usize = 40;
    let database = TestDatabase::on_server().await;
    let store = database.store();
    let mut random = Random::announced();
    let (start, end) = (now() - 23 * HOUR_MS, now());
    SampleWriter::new(store.clone(), WriteMethod::Copy)
        .write(&random_rows(&mut random, start, end, 300))
        .await
        .unwrap();
    maintain(&store, end).await;
    let is_community = store.database_info().await.unwrap().edition == Edition::Community;
    let client = database.connect().await;
    let done = AtomicBool::new(false);
    let write = async {
        let mut writer = SampleWriter::new(store.clone(), WriteMethod::Copy);
        for _ in 0..N_FLUSHES {
            let rows = random_rows(&mut random, start, end, 30);
            writer.write(&rows).await.unwrap();
            // And some that the database tracks itself.
            if is_community {
                let ts = rows.load.first().map_or(start, |row| row.ts + 1);
                let sql =
                    format!("INSERT INTO load_metrics VALUES ({ts}, 3, 1, 1, 1) ON CONFLICT DO NOTHING");
                client.batch_execute(&sql).await.unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    let roll_up = async {
        while !done.load(Ordering::Relaxed) {
            // Every round is a new server's: it catches up at once.
            maintain(&database.store(), end).await;
        }
    };
    let refreshing = database.connect().await;
    let refresh = async {
        while is_community && !done.load(Ordering::Relaxed) {
            for relation in ["load_metrics_1m", "load_metrics_1h", "load_histogram_1h"] {
                let (start, end) = (bucket_start(start, HOUR_MS), bucket_start(end, HOUR_MS) - HOUR_MS);
                let sql =
                    format!("CALL refresh_continuous_aggregate('{relation}', {start}::int8, {end}::int8)");
                if let Err(error) = refreshing.batch_execute(&sql).await {
                    assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE), "{error:?}");
                }
            }
        }
    };
    tokio::join!(write, roll_up, refresh);
    maintain(&database.store(), end).await;
    if is_community {
        run_jobs(&client, REFRESH, "%").await;
    }
    for table in Table::ALL {
        for tier in Tier::rollups_of(table) {
            check_tier(&client, table, *tier).await;
        }
    }
}

/// Marks are processed in either edition: those of an agent's own span, and those of all agents.
async fn a_mark_rolls_up_what_it_names(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    let mut random = Random::announced();
    let (start, end) = (now() - 23 * HOUR_MS, now());
    let mut writer = SampleWriter::new(store.clone(), WriteMethod::Copy);
    writer.write(&random_rows(&mut random, start, end, 400)).await.unwrap();
    for agents in ["NULL", "ARRAY[1, 2, 3]"] {
        writer.write(&random_rows(&mut random, start, end, 100)).await.unwrap();
        client
            .batch_execute(&format!(
                "INSERT INTO rollup_changes (tier, start_ms, end_ms, agent_keys) \
                 SELECT '1m', bucket, bucket + 3600000, {agents}::int4[] \
                 FROM generate_series({}, {end}, 1800000) AS bucket",
                bucket_start(start, HOUR_MS)
            ))
            .await
            .unwrap();
        assert!(0 < store.maintain(end).await.unwrap().changes_rolled_up);
        let left =
            format!("SELECT count(*) FROM rollup_changes WHERE tier = '1m' AND start_ms < {end} - 3600000");
        assert_eq!(database.count(&left).await, 0);
    }
    for table in Table::ALL {
        for tier in Tier::rollups_of(table) {
            check_tier(&client, table, *tier).await;
        }
    }
}
