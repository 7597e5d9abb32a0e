//! What is stored can be read back, in both editions and with both ways of writing.

use std::time::Duration;

use pika_server::domain::agent::{AgentDescription, AgentFilter};
use pika_server::domain::audit::Action;
use pika_server::domain::family::{Family, Label, Series, SeriesNames, Table};
use pika_server::domain::id::{AgentId, AgentKey, ConnectionId, UserId};
use pika_server::domain::latest::AgentLatest;
use pika_server::domain::retention::Retention;
use pika_server::domain::row::{
    CpuNumbers, DiskNumbers, LoadNumbers, MemoryNumbers, NetworkNumbers, Rows, Stored,
};
use pika_server::domain::series::{ReportedSeries, SERIES_PER_AGENT_MAX, SeriesLabels};
use pika_server::domain::tier::{DAY_MS, Tier};
use pika_server::domain::time_range::{SampleRange, TimeRange};
use pika_server::domain::token::{NewToken, TokenHash};
use pika_server::store::{
    NewEnrollment, Registration, SampleWriter, Store, StoreConfig, WriteMethod, Written,
};
use pika_shared::token::TokenKind;

use crate::rollups::row_of_each_table;
use crate::support::client::now;
use crate::support::{TestDatabase, by_test, eventually, on_both_editions};

on_both_editions!(
    rows_come_back_as_buckets,
    rows_come_back_as_latest_values,
    latest_values_are_found_however_old_they_are,
    both_ways_of_writing_store_the_same,
    a_repeated_flush_stores_nothing_twice,
    an_enrollment_token_is_good_for_its_uses_and_its_time,
    series_keep_their_keys,
    series_that_share_a_table_keep_their_keys,
    a_series_without_samples_makes_room_for_another,
);

/// A new agent.
pub(crate) async fn enrolled(store: &Store) -> AgentKey {
    let token = new_enrollment(store, 1, now() + 60_000).await;
    store.enroll_agent(token, secret().hash, &registration()).await.unwrap().unwrap().agent().key
}

async fn new_enrollment(store: &Store, max_uses: i32, expires_at: i64) -> TokenHash {
    let token = NewToken::random(TokenKind::Enrollment).unwrap();
    let new = NewEnrollment { name: "test".to_owned(), token_hash: token.hash, max_uses, expires_at };
    store.insert_enrollment(&new, by_test(Action::EnrollmentCreated)).await.unwrap();
    token.hash
}

fn secret() -> NewToken {
    NewToken::random(TokenKind::AgentSecret).unwrap()
}

fn registration() -> Registration {
    Registration {
        description: AgentDescription {
            name: "web-1".to_owned(),
            hostname: "web-1".to_owned(),
            ip: String::new(),
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            version: "1".to_owned(),
            facts: pika_protocol::MachineFacts::default(),
        },
        remote_address: "127.0.0.1".to_owned(),
        connection_id: ConnectionId::random(),
        clock_offset_ms: 0,
        now: now(),
    }
}

fn cpu(agent: AgentKey, ts: i64, usage_percent: f32) -> Stored<CpuNumbers> {
    Stored::new(
        ts,
        agent.0,
        CpuNumbers {
            core_count: 2,
            usage_percent,
            user_percent: Some(1.5),
            system_percent: None,
            iowait_percent: None,
            steal_percent: None,
            ..CpuNumbers::default()
        },
    )
}

fn network(agent: AgentKey, interface_key: i32, ts: i64, received: Option<i64>) -> Stored<NetworkNumbers> {
    Stored::of_series(
        ts,
        agent.0,
        interface_key,
        NetworkNumbers {
            received_bytes_total: 1 << 40,
            sent_bytes_total: 7,
            received_bytes: received,
            sent_bytes: received.map(|bytes| 2 * bytes),
            interval_ms: received.map(|_| 5_000),
            receive_errors: None,
            send_errors: None,
            ..NetworkNumbers::default()
        },
    )
}

fn rows_of_all_families(agent: AgentKey, ts: i64) -> Rows {
    Rows {
        cpu: vec![cpu(agent, ts, 12.5)],
        memory: vec![Stored::new(
            ts,
            agent.0,
            MemoryNumbers {
                total_bytes: 1 << 40,
                used_bytes: 1 << 39,
                free_bytes: 5,
                available_bytes: Some(1 << 39),
                swap_total_bytes: None,
                swap_used_bytes: None,
                usage_percent: 50.0,
                ..MemoryNumbers::default()
            },
        )],
        disks: vec![Stored::of_series(
            ts,
            agent.0,
            1,
            DiskNumbers {
                total_bytes: 10,
                used_bytes: 4,
                free_bytes: 6,
                usage_percent: 40.0,
                inodes_usage_percent: Some(0.25),
                ..DiskNumbers::default()
            },
        )],
        networks: vec![network(agent, 1, ts, Some(1_000))],
        load: vec![Stored::new(
            ts,
            agent.0,
            LoadNumbers { load1: 0.5, load5: 0.25, load15: 0.125, ..LoadNumbers::default() },
        )],
        ..Rows::default()
    }
}

async fn write(store: &Store, method: WriteMethod, rows: &Rows) -> Written {
    SampleWriter::new(store.clone(), method).write(rows).await.unwrap()
}

async fn rows_come_back_as_buckets(database: TestDatabase) {
    let store = database.store();
    let agent = enrolled(&store).await;
    let start = now() / 60_000 * 60_000;
    let rows = Rows {
        cpu: vec![
            cpu(agent, start, 10.0),
            cpu(agent, start + 5_000, 30.0),
            cpu(agent, start + 10_000, 50.0),
            // Another agent's samples, before and after, which must not appear.
            cpu(AgentKey(agent.0 + 1), start, 99.0),
            cpu(agent, start - 1, 99.0),
            cpu(agent, start + 60_000, 99.0),
        ],
        networks: vec![
            network(agent, 1, start, None),
            network(agent, 1, start + 5_000, Some(1_000)),
            network(agent, 1, start + 10_000, Some(4_000)),
        ],
        ..Rows::default()
    };
    write(&store, WriteMethod::Copy, &rows).await;
    let range = TimeRange { start, end: start + 60_000, interval_ms: 10_000 };

    let buckets = store
        .chart_connection()
        .await
        .unwrap()
        .metric_buckets(agent, Family::Cpu, Tier::Raw, range)
        .await
        .unwrap();
    assert_eq!(buckets.timestamps, [start, start + 10_000]);
    let usage = &buckets.series[0].metrics[0];
    assert_eq!(usage.avg, [Some(20.0), Some(50.0)]);
    assert_eq!(usage.min, [Some(10.0), Some(50.0)]);
    assert_eq!(usage.max, [Some(30.0), Some(50.0)]);
    let system = &buckets.series[0].metrics[2];
    assert_eq!(system.avg, [None, None], "nobody reported it");

    let range = TimeRange { interval_ms: 60_000, ..range };
    let buckets = store
        .chart_connection()
        .await
        .unwrap()
        .metric_buckets(agent, Family::Network, Tier::Raw, range)
        .await
        .unwrap();
    let received = &buckets.series[0].metrics[0];
    assert_eq!(received.avg, [Some(500.0)], "5,000 bytes in the 10 s that the deltas cover");
    assert_eq!((received.min[0], received.max[0]), (Some(200.0), Some(800.0)));

    let nothing = store
        .chart_connection()
        .await
        .unwrap()
        .metric_buckets(agent, Family::Load, Tier::Raw, range)
        .await
        .unwrap();
    assert_eq!((nothing.timestamps.len(), nothing.series.len()), (0, 0));
}

async fn rows_come_back_as_latest_values(database: TestDatabase) {
    let store = database.store();
    let agent = enrolled(&store).await;
    let keys =
        store.series_keys(agent, &reported(&[disk("/"), disk("/gone")], &["eth0"]), now()).await.unwrap();
    assert_eq!(store.latest_metrics(agent).await.unwrap(), pika_server::store::LatestMetrics::default());
    let ts = now();
    let mut rows = rows_of_all_families(agent, ts - 600_000);
    rows.disks[0].series_key = keys.disks["/gone"];
    rows.networks[0].series_key = keys.networks["eth0"];
    let mut newer = rows_of_all_families(agent, ts);
    newer.cpu[0].numbers.usage_percent = 77.0;
    newer.disks[0].series_key = keys.disks["/"];
    newer.networks[0].series_key = keys.networks["eth0"];
    rows.append(&mut newer);
    write(&store, WriteMethod::Copy, &rows).await;

    let latest = store.latest_metrics(agent).await.unwrap();
    assert_eq!((latest.cpu[0].ts, latest.cpu[0].numbers), (ts, cpu(agent, ts, 77.0).numbers));
    assert_eq!(latest.memory[0].numbers.total_bytes, 1 << 40);
    assert_eq!(latest.load[0].numbers.load15, 0.125);
    let disks: Vec<_> = latest.disks.iter().map(|row| (row.ts, row.labels.name())).collect();
    assert_eq!(disks, [(ts, "/")], "a disk that is no longer reported is gone");
    assert_eq!(latest.networks[0].labels.name(), "eth0");
}

async fn latest_values_are_found_however_old_they_are(database: TestDatabase) {
    let store = database.store();
    let agent = enrolled(&store).await;
    let keys = store.series_keys(agent, &reported(&[disk("/")], &["eth0"]), now()).await.unwrap();
    // Every family was last reported at another time; only the newest of all is known in advance.
    let ts = now();
    let ages_ms = [0, 1, 23 * 3_600_000, 5 * 86_400_000, 20 * 86_400_000];
    let mut rows = Rows::default();
    for (index, age_ms) in ages_ms.into_iter().enumerate() {
        let mut of_all = rows_of_all_families(agent, ts - age_ms);
        of_all.disks[0].series_key = keys.disks["/"];
        of_all.networks[0].series_key = keys.networks["eth0"];
        let of_one = match index {
            0 => Rows { load: of_all.load, ..Rows::default() },
            1 => Rows { cpu: of_all.cpu, ..Rows::default() },
            2 => Rows { disks: of_all.disks, ..Rows::default() },
            3 => Rows { networks: of_all.networks, ..Rows::default() },
            _ => Rows { memory: of_all.memory, ..Rows::default() },
        };
        rows.append(&mut { of_one });
    }
    write(&store, WriteMethod::Copy, &rows).await;
    // At first nothing is known in advance.
    for is_known in [false, true] {
        if is_known {
            let latest = AgentLatest { ts, ..AgentLatest::default() };
            store.write_latest(&[(agent.0, latest)]).await.unwrap();
        }
        let latest = store.latest_metrics(agent).await.unwrap();
        let found = [
            latest.load[0].ts,
            latest.cpu[0].ts,
            latest.disks[0].ts,
            latest.networks[0].ts,
            latest.memory[0].ts,
        ];
        assert_eq!(found.map(|found| ts - found), ages_ms, "known: {is_known}");
    }
}

async fn both_ways_of_writing_store_the_same(database: TestDatabase) {
    let store = database.store();
    let ts = now();
    for (key, method) in [(1, WriteMethod::Copy), (2, WriteMethod::Insert)] {
        let rows = row_of_each_table(1, ts, key);
        let n_rows = Table::ALL.len() as u64;
        assert_eq!(write(&store, method, &rows).await, Written { rows: n_rows, duplicates: 0 });
    }
    let client = database.connect().await;
    for table in Table::ALL.map(|table| table.name) {
        let sql = format!(
            "SELECT count(*), count(DISTINCT to_jsonb(t) - 'agent_key') FROM {table} t WHERE agent_key IN (1, 2)"
        );
        let row = client.query_one(&sql, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 1), "{table}");
    }
}

async fn a_repeated_flush_stores_nothing_twice(database: TestDatabase) {
    let store = database.store();
    let agent = AgentKey(1);
    let ts = now();
    let first = rows_of_all_families(agent, ts);
    let mut writer = SampleWriter::new(store.clone(), WriteMethod::Copy);
    assert_eq!(writer.write(&first).await.unwrap(), Written { rows: 5, duplicates: 0 });
    let mut both = rows_of_all_families(agent, ts);
    both.cpu[0].numbers.usage_percent = 99.0;
    both.append(&mut rows_of_all_families(agent, ts + 5_000));
    assert_eq!(writer.write(&both).await.unwrap(), Written { rows: 5, duplicates: 5 });
    assert_eq!(writer.write(&both).await.unwrap(), Written { rows: 0, duplicates: 10 });
    assert_eq!(database.count("SELECT count(*) FROM cpu_metrics").await, 2);
    let kept = format!("SELECT count(*) FROM cpu_metrics WHERE ts = {ts} AND usage_percent = 12.5");
    assert_eq!(database.count(&kept).await, 1, "what was acknowledged is not changed by a replay");
}

async fn an_enrollment_token_is_good_for_its_uses_and_its_time(database: TestDatabase) {
    let store = database.store();
    let twice = new_enrollment(&store, 2, now() + 60_000).await;
    let expired = new_enrollment(&store, 1, now() - 1).await;
    let enroll = async |token| store.enroll_agent(token, secret().hash, &registration()).await.unwrap();
    assert!(enroll(twice).await.is_some());
    assert!(enroll(twice).await.is_some());
    assert!(enroll(twice).await.is_none(), "used up");
    assert!(enroll(expired).await.is_none(), "expired");
    assert!(enroll(TokenHash([0; 32])).await.is_none(), "unknown");
    assert_eq!(store.agents(&AgentFilter::default()).await.unwrap().len(), 2);
}

async fn series_keep_their_keys(database: TestDatabase) {
    let store = database.store();
    let agent = enrolled(&store).await;
    let first = store.series_keys(agent, &reported(&[disk("/"), disk("/")], &["eth0"]), now()).await.unwrap();
    let moved = ["/", "/dev/vdb", ""];
    let again =
        store.series_keys(agent, &reported(&[moved, disk("/data")], &["eth0", "eth1"]), now()).await.unwrap();
    assert_eq!(first.disks["/"], again.disks["/"]);
    assert_eq!(first.networks["eth0"], again.networks["eth0"]);
    assert_eq!((again.disks.len(), again.networks.len()), (2, 2));
    assert_eq!(database.count("SELECT count(*) FROM disks WHERE device = '/dev/vdb'").await, 1);
    let other = enrolled(&store).await;
    let others = store.series_keys(other, &reported(&[disk("/")], &[]), now()).await.unwrap();
    assert_ne!(others.disks["/"], first.disks["/"], "another agent's disk is another series");
}

/// Kinds without their own naming table share one.
async fn series_that_share_a_table_keep_their_keys(database: TestDatabase) {
    const LABEL: Label =
        Label { name: "device", api_name: "device", column: "device", chars_min: 1, chars_max: 9, doc: "" };
    const SERIES: Series = Series {
        key_column: "trial_key",
        names: SeriesNames::Shared,
        labels: &[LABEL, Label { name: "model", ..LABEL }],
        per_sample_max: 9,
    };
    let store = database.store();
    let agent = enrolled(&store).await;
    let table = |name| Table { name, series: Some(SERIES), ..*Family::Cpu.declaration() };
    let (trial, other) = (table("trial_metrics"), table("other_metrics"));
    let keys = async |table: &Table, series: &[&[&str]]| {
        let reported: Vec<_> = series.iter().map(|texts| labels(texts)).collect();
        store.series_keys_of_table(agent, table, &reported, now()).await.unwrap()
    };
    let first = keys(&trial, &[&["sda", "old"], &["sda", "twice"], &["sdb", "it's"]]).await;
    let again = keys(&trial, &[&["sda", "new"], &["sdc"]]).await;
    assert_eq!((first.len(), again.len(), first["sda"]), (2, 2, again["sda"]));
    let of_another_kind = keys(&other, &[&["sda", "old"]]).await["sda"];
    assert_ne!(of_another_kind, first["sda"], "another kind is another series");
    let models =
        "SELECT count(*) FROM series WHERE kind = 'trial' AND labels ->> 'model' IN ('new', 'it''s', '')";
    assert_eq!(database.count(models).await, 3);
}

async fn a_series_without_samples_makes_room_for_another(database: TestDatabase) {
    let store = database.store();
    let agent = enrolled(&store).await;
    let start = now();
    let names: Vec<String> = (0..SERIES_PER_AGENT_MAX).map(|n| format!("veth{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let first = store.series_keys(agent, &reported(&[disk("/gone")], &names), start).await.unwrap();
    assert_eq!(first.networks.len(), names.len());
    let is_named = async |name: &'static str, now| {
        store.series_keys(agent, &reported(&[], &[name]), now).await.unwrap().networks.contains_key(name)
    };
    // Half of them are still reported three weeks later.
    let kept = &names[..names.len() / 2];
    store.series_keys(agent, &reported(&[], kept), start + 21 * DAY_MS).await.unwrap();
    assert!(!is_named("new", start + 30 * DAY_MS).await, "there may still be samples of the others");
    assert!(is_named("new", start + 34 * DAY_MS).await);
    let again = store.series_keys(agent, &reported(&[], &names), start + 34 * DAY_MS).await.unwrap();
    assert_eq!(again.networks.len(), names.len() - 1, "there is room for all but one of the old ones");
    let is_same = |(name, key): (&String, &i32)| first.networks[name] == *key;
    assert!(again.networks.iter().all(is_same), "whose days are kept, with their names");

    // Nothing is kept for ever any more.
    let retention = store.retention().await.unwrap();
    let retention = Retention { one_day_ms: Some(800 * DAY_MS), ..retention };
    store.set_retention(&retention, &by_test(Action::SettingsUpdated)).await.unwrap();
    assert_eq!(store.delete_expired_series(start + 800 * DAY_MS).await.unwrap(), 0);
    // Chunks of the daily tier hold 360 of them.
    let expired_at = start + (800 + 360 + 4) * DAY_MS;
    store.series_keys(agent, &reported(&[], &["new"]), expired_at).await.unwrap();
    let n_deleted = store.delete_expired_series(expired_at).await.unwrap();
    assert_eq!(n_deleted, 2, "the disk, and the interface for which there was no room");
    let later = expired_at + 34 * DAY_MS;
    assert_eq!(store.delete_expired_series(later).await.unwrap(), names.len() as u64 - 1);
    assert_eq!(database.count("SELECT count(*) FROM network_interfaces").await, 1);
    assert_eq!(database.count("SELECT count(*) FROM disks").await, 0);
}

/// The labels of a disk.
fn disk(mount_point: &str) -> [&str; 3] {
    [mount_point, "/dev/sda", ""]
}

/// Disks and interfaces as an agent reports them.
fn reported(disks: &[[&str; 3]], interfaces: &[&str]) -> ReportedSeries {
    ReportedSeries {
        disks: disks.iter().map(|disk| labels(disk)).collect(),
        networks: interfaces.iter().map(|name| labels(&[name])).collect(),
        ..ReportedSeries::default()
    }
}

fn labels(texts: &[&str]) -> SeriesLabels {
    SeriesLabels { texts: texts.iter().map(ToString::to_string).collect() }
}

/// A request for many points of an agent with many interfaces must not exhaust the server's memory.
#[tokio::test]
async fn too_large_an_answer_is_refused() {
    let database = TestDatabase::on_server().await;
    let store = database.store();
    let client = database.connect().await;
    let agent = enrolled(&store).await;
    let start = (now() - 3_600_000) / 1_000 * 1_000;
    // 400 interfaces, each in another second: few rows, but 400 times 800 values in the answer.
    let insert = format!(
        "INSERT INTO network_metrics (ts, agent_key, interface_key, received_bytes_total, sent_bytes_total) \
         SELECT {start} + i * 1000, {}, i % 400, 0, 0 FROM generate_series(0, 799) AS i",
        agent.0
    );
    client.batch_execute(&insert).await.unwrap();
    let range = TimeRange { start, end: start + 800_000, interval_ms: 1_000 };
    let refused = store
        .chart_connection()
        .await
        .unwrap()
        .metric_buckets(agent, Family::Network, Tier::Raw, range)
        .await;
    assert!(matches!(refused, Err(pika_server::store::Error::TooManyBuckets)), "{refused:?}");
    let range = TimeRange { interval_ms: 10_000, ..range };
    store
        .chart_connection()
        .await
        .unwrap()
        .metric_buckets(agent, Family::Network, Tier::Raw, range)
        .await
        .unwrap();
}

/// The error is not the end of the connection, which the failure causes.
#[tokio::test]
async fn failed_maintenance_reports_the_cause() {
    let database = TestDatabase::on_server().await;
    let store = database.store();
    let mut client = database.connect().await;
    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE retention_settings").await.unwrap();
    let terminate = eventually_terminated(&database);
    let (result, ()) = tokio::join!(store.maintain(now()), terminate);
    let message = pika_shared::chain(&result.unwrap_err()).to_string();
    assert!(message.contains("administrator"), "{message}");
}

/// Terminates the connection that waits for a lock.
async fn eventually_terminated(database: &TestDatabase) {
    let client = database.connect().await;
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name = 'pika-server' AND wait_event_type = 'Lock'";
    eventually("the server waits for the lock", || async {
        (!client.query(sql, &[]).await.unwrap().is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_chart_is_read_over_one_connection() {
    let database = TestDatabase::on_server().await;
    let options = StoreConfig {
        pool_size: 1,
        connect_timeout: Duration::from_secs(2),
        statement_timeout: Duration::from_secs(20),
        root_certificates: None,
    };
    let store = Store::new(&database.url, &options).unwrap();
    let agent = enrolled(&store).await;
    let retention = store.retention().await.unwrap();
    let chart = store.chart_connection().await.unwrap();
    assert!(store.user(UserId::random()).await.unwrap_err().is_temporary(), "it has the only connection");
    let found = chart.agent(AgentId::random()).await.unwrap();
    assert!(found.is_none());
    assert_eq!(chart.retention().await.unwrap(), retention);
    let range = TimeRange { start: 0, end: DAY_MS, interval_ms: DAY_MS };
    let buckets = chart.metric_buckets(agent, Family::Cpu, Tier::OneDay, range).await.unwrap();
    assert!(buckets.series.is_empty());
    assert!(chart.percentiles(agent, Family::Cpu, Tier::OneDay, range).await.unwrap().is_empty());
    let range = SampleRange { start: 0, end: DAY_MS, points: 10 };
    assert!(chart.samples(agent, Family::Disk, range).await.unwrap().next.is_none());
}
