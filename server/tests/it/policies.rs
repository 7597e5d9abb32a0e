//! The Community edition's policies follow the settings, whatever happens on the way.

use std::collections::{BTreeMap, BTreeSet};

use pika_server::domain::audit::Action;
use pika_server::domain::retention::Retention;
use pika_server::domain::tier::{DAY_MS, Tier};
use pika_server::store::Edition;
use tokio_postgres::Client;

use crate::support::client::now;
use crate::support::database::store;
use crate::support::{Faults, Proxy, Random, TestDatabase, by_test, eventually, on_both_editions};

on_both_editions!(
    retention_and_policies_change_together_or_not_at_all,
    a_round_of_maintenance_puts_policies_right,
    a_policy_that_changes_keeps_its_job,
);

/// Connections that break on the way.
const N_TRIES: i64 = 30;

fn retention(raw_days: i64) -> Retention {
    Retention {
        raw_ms: Some(raw_days * DAY_MS),
        one_minute_ms: Some((100 + raw_days) * DAY_MS),
        one_hour_ms: Some((400 + raw_days) * DAY_MS),
        one_day_ms: (raw_days % 2 == 0).then_some((2_000 + raw_days) * DAY_MS),
    }
}

/// What the retention policies of a tier's relations drop after; one value where they agree.
async fn policies(client: &Client) -> BTreeMap<Tier, BTreeSet<Option<i64>>> {
    // The jobs of an aggregate name the hypertable behind it.
    let sql = "SELECT relation, (config ->> 'drop_after')::int8 \
               FROM (SELECT hypertable_name::text, hypertable_name::text \
                     FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public' UNION ALL \
                     SELECT view_name::text, materialization_hypertable_name::text \
                     FROM timescaledb_information.continuous_aggregates) AS relations (relation, hypertable) \
               LEFT JOIN timescaledb_information.jobs \
                   ON proc_name = 'policy_retention' AND hypertable_name::text IN (relation, hypertable)";
    let mut policies: BTreeMap<Tier, BTreeSet<Option<i64>>> = BTreeMap::new();
    for row in client.query(sql, &[]).await.unwrap() {
        let relation: String = row.get(0);
        let tier = Tier::ROLLUPS.into_iter().find(|tier| relation.ends_with(&format!("_{}", tier.name())));
        policies.entry(tier.unwrap_or(Tier::Raw)).or_default().insert(row.get(1));
    }
    policies
}

/// Compares the policies with the settings.
async fn check(client: &Client, context: &str) {
    let settings = client.query("SELECT tier, keep_ms FROM retention_settings", &[]).await.unwrap();
    let wanted: BTreeMap<Tier, BTreeSet<Option<i64>>> = settings
        .iter()
        .map(|row| (Tier::parse(row.get(0)).unwrap(), BTreeSet::from([row.get::<_, Option<i64>>(1)])))
        .collect();
    assert_eq!(policies(client).await, wanted, "{context}");
}

async fn is_community(database: &TestDatabase) -> bool {
    database.store().database_info().await.unwrap().edition == Edition::Community
}

async fn retention_and_policies_change_together_or_not_at_all(database: TestDatabase) {
    let is_community = is_community(&database).await;
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
        // What was lost on the way may still be at work.
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
        if is_community {
            let context = format!("try {raw_days}, which answered {result:?}");
            check(&database.connect().await, &context).await;
        }
    }
    assert!(0 < n_failed && 0 < n_changed, "{n_failed} failed and {n_changed} of {N_TRIES} changed anything");
    let n_audited = database.count("SELECT count(*) FROM audit_log").await;
    assert_eq!(n_audited, n_changed, "what has changed is in the audit log, and only that");
}

async fn a_round_of_maintenance_puts_policies_right(database: TestDatabase) {
    if !is_community(&database).await {
        // There the server drops by the settings themselves, in each round.
        return;
    }
    let client = database.connect().await;
    client
        .batch_execute(
            "SELECT remove_retention_policy('cpu_metrics'); \
             SELECT alter_job(job_id, config => jsonb_set(config, '{drop_after}', '999'), \
                    schedule_interval => INTERVAL '9 days') \
             FROM timescaledb_information.jobs \
             WHERE proc_name = 'policy_retention' AND hypertable_name = 'load_metrics'; \
             UPDATE retention_settings SET keep_ms = 7776000001 WHERE tier = '1m'",
        )
        .await
        .unwrap();
    database.store().maintain(now()).await.unwrap();
    check(&client, "after a round").await;
    let odd = "SELECT count(*) FROM timescaledb_information.jobs WHERE schedule_interval = INTERVAL '9 days'";
    assert_eq!(database.count(odd).await, 0);
}

async fn a_policy_that_changes_keeps_its_job(database: TestDatabase) {
    let store = database.store();
    let jobs = async || -> BTreeSet<i32> {
        let sql = "SELECT job_id FROM timescaledb_information.jobs \
                   WHERE proc_name = 'policy_retention' AND job_id NOT IN \
                   (SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_name IS NULL)";
        database.connect().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    let before = jobs().await;
    assert_eq!(before.is_empty(), !is_community(&database).await);
    store.set_retention(&retention(11), &by_test(Action::SettingsUpdated)).await.unwrap();
    assert_eq!(jobs().await, before);
}
