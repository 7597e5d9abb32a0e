//! Retention changes atomically, and the Community edition's policies match their definition, whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use pika_server::domain::audit::Action;
use pika_server::domain::retention::Retention;
use pika_server::domain::tier::DAY_MS;
use pika_server::store::Edition;
use tokio_postgres::Client;

use crate::support::client::now;
use crate::support::database::store;
use crate::support::{Faults, Proxy, Random, TestDatabase, by_test, eventually, on_both_editions};

on_both_editions!(
    retention_changes_as_a_whole_or_not_at_all,
    a_round_of_maintenance_corrects_policies,
    a_policy_that_changes_keeps_its_job,
);

/// Number of connections that break on the way.
const N_TRIES: i64 = 30;

fn retention(raw_days: i64) -> Retention {
    Retention {
        raw_ms: Some(raw_days * DAY_MS),
        one_minute_ms: Some((100 + raw_days) * DAY_MS),
        one_hour_ms: Some((400 + raw_days) * DAY_MS),
        one_day_ms: (raw_days % 2 == 0).then_some((2_000 + raw_days) * DAY_MS),
    }
}

async fn is_community(database: &TestDatabase) -> bool {
    database.store().database_info().await.unwrap().edition == Edition::Community
}

async fn retention_changes_as_a_whole_or_not_at_all(database: TestDatabase) {
    database.store().set_retention(&retention(9), &by_test(Action::SettingsUpdated)).await.unwrap();
    let mut last_changed = 9;
    let mut random = Random::announced();
    let proxy = Proxy::start(&database.url).await;
    let through_proxy = store(&proxy.url(&database.url));
    let (mut n_changed, mut n_failed) = (0, 0);
    // None of them is the default.
    for raw_days in 40..40 + N_TRIES {
        proxy.begin_faults(Faults { random: random.fork(), bits_min: 8, bits_max: 14 });
        let result =
            through_proxy.set_retention(&retention(raw_days), &by_test(Action::SettingsUpdated)).await;
        proxy.end_faults();
        // What was sent before the break may still be running.
        let kept = eventually("the database has heard of the end of the connection", || async {
            let client = database.connect().await;
            let others = "SELECT count(*) FROM pg_stat_activity \
                          WHERE datname = current_database() AND application_name = 'pika-server' \
                            AND state <> 'idle' AND pid <> pg_backend_pid()";
            let is_over = client.query_one(others, &[]).await.unwrap().get::<_, i64>(0) == 0;
            let kept: i64 = client
                .query_one("SELECT keep_ms FROM retention_settings WHERE tier = 'raw'", &[])
                .await
                .unwrap()
                .get(0);
            is_over.then_some(kept)
        })
        .await;
        let has_changed = kept == raw_days * DAY_MS;
        assert!(has_changed || result.is_err(), "{raw_days}: said to be done, and is not");
        n_changed += i64::from(has_changed);
        n_failed += i64::from(result.is_err());
        let tiers = retention(if has_changed { raw_days } else { last_changed });
        assert_eq!(database.store().retention().await.unwrap(), tiers, "try {raw_days}");
        last_changed = kept / DAY_MS;
    }
    assert!(0 < n_failed && 0 < n_changed, "{n_failed} failed and {n_changed} of {N_TRIES} changed anything");
    let n_audited = database.count("SELECT count(*) FROM audit_log").await;
    assert_eq!(n_audited, 1 + n_changed, "what has changed is in the audit log, and only that");
}

/// Returns the windows of all refresh policies, by what they refresh.
async fn windows(client: &Client) -> BTreeMap<String, (i64, i64)> {
    // The jobs of an aggregate name it, or the hypertable behind it.
    let sql = "SELECT coalesce(view_name, jobs.hypertable_name)::text, \
                   (config ->> 'start_offset')::int8, (config ->> 'end_offset')::int8 \
               FROM timescaledb_information.jobs AS jobs \
               LEFT JOIN timescaledb_information.continuous_aggregates AS aggregates \
                   ON (materialization_hypertable_schema, materialization_hypertable_name) \
                      = (jobs.hypertable_schema, jobs.hypertable_name) \
               WHERE proc_name = 'policy_refresh_continuous_aggregate'";
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect()
}

async fn a_round_of_maintenance_corrects_policies(database: TestDatabase) {
    if !is_community(&database).await {
        // In this edition the server does everything itself.
        return;
    }
    let client = database.connect().await;
    let before = windows(&client).await;
    assert_eq!(before.len(), 40);
    client
        .batch_execute(
            "SELECT remove_continuous_aggregate_policy('cpu_metrics_1m'); \
             SELECT alter_job(job_id, config => jsonb_set(config, '{start_offset}', '99000000'), \
                    schedule_interval => INTERVAL '9 days') \
             FROM timescaledb_information.jobs WHERE proc_name = 'policy_refresh_continuous_aggregate' \
               AND (config ->> 'end_offset')::int8 = 120000; \
             SELECT add_retention_policy('cpu_metrics', drop_after => BIGINT '864000000')",
        )
        .await
        .unwrap();
    assert_ne!(windows(&client).await, before);
    database.store().maintain(now()).await.unwrap();
    assert_eq!(windows(&client).await, before);
    let odd = "SELECT count(*) FROM timescaledb_information.jobs WHERE schedule_interval = INTERVAL '9 days' \
                  OR proc_name = 'policy_retention' AND hypertable_name IS NOT NULL";
    assert_eq!(database.count(odd).await, 0);
}

async fn a_policy_that_changes_keeps_its_job(database: TestDatabase) {
    let jobs = async || -> BTreeSet<i32> {
        let sql = "SELECT job_id FROM timescaledb_information.jobs \
                   WHERE proc_name = 'policy_compression' AND hypertable_name IS NOT NULL";
        database.connect().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let before = jobs().await;
    assert_eq!(before.is_empty(), !is_community(&database).await);
    let change = "SELECT alter_job(job_id, config => jsonb_set(config, '{compress_after}', '864000000')) \
                  FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'";
    database.connect().await.batch_execute(change).await.unwrap();
    database.store().maintain(now()).await.unwrap();
    assert_eq!(jobs().await, before);
    let changed =
        "SELECT count(*) FROM timescaledb_information.jobs WHERE config ->> 'compress_after' = '864000000'";
    assert_eq!(database.count(changed).await, 0);
}
