//! Conversion between the editions of TimescaleDB: nothing is lost, whatever interrupts it, or it is refused with
//! advice.

use std::time::Duration;

use pika_server::domain::family::Table;
use pika_server::domain::tier::{DAY_MS, HOUR_MS, MINUTE_MS, bucket_start};
use pika_server::store::{Edition, MigrateError, Store, UnsupportedDatabase};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use crate::definition::with_wider_cores;
use crate::rollups::roll_up;
use crate::support::client::now;
use crate::support::database::{connect, store as open_store};
use crate::support::history::{
    REPLACEMENTS, assert_kept, assert_same_charts, key_of, migrate_killed_everywhere, read_charts,
    read_tiers, rollups, steps_of, store_history,
};
use crate::support::{Random, TestDatabase, on_both_editions};

on_both_editions!(nothing_keeps_timescaledb_from_being_updated);

/// Turns a Community database into what the Apache edition would have left: tables instead of aggregates, with their
/// rows.
async fn make_apache(client: &Client) {
    client.batch_execute("DROP SCHEMA grafana CASCADE").await.unwrap();
    for (relation, _) in rollups().into_iter().rev() {
        client
            .batch_execute(&format!(
                "CREATE TABLE {relation}_rows AS SELECT * FROM {relation}; DROP MATERIALIZED VIEW {relation}"
            ))
            .await
            .unwrap();
    }
    for (relation, tier) in rollups() {
        let key = key_of(&relation);
        let (chunk_ms, complete_until) =
            (tier.chunk_ms(), bucket_start(now() - tier.refresh_end_ms(), tier.bucket_ms()));
        client
            .batch_execute(&format!(
                "CREATE TABLE {relation} (LIKE {relation}_rows, PRIMARY KEY ({key})); \
                 SELECT create_hypertable('{relation}', by_range('bucket', BIGINT '{chunk_ms}'), \
                     create_default_indexes => false); \
                 INSERT INTO {relation} SELECT * FROM {relation}_rows; DROP TABLE {relation}_rows; \
                 INSERT INTO rollup_progress (tier, watermark_ms) VALUES ('{}', {complete_until}) \
                     ON CONFLICT DO NOTHING",
                tier.name()
            ))
            .await
            .unwrap();
    }
    // As the Apache edition leaves it.
    client.batch_execute("DELETE FROM rollup_builds").await.unwrap();
}

/// Stores a sample that is marked but was never rolled up, and that is outside every policy's window.
async fn store_marked_sample(client: &Client) -> i64 {
    let minute = bucket_start(now() - 50 * HOUR_MS, MINUTE_MS);
    client
        .batch_execute(&format!(
            "INSERT INTO load_metrics VALUES ({minute}, 8, 1, 1, 1); \
             INSERT INTO rollup_changes (tier, start_ms, end_ms, agent_keys) \
                 VALUES ('1m', {minute}, {minute} + 60000, '{{8}}')"
        ))
        .await
        .unwrap();
    minute
}

/// An Apache edition's database is opened with the Community library.
#[tokio::test]
async fn a_database_of_the_apache_edition_is_converted_whatever_interrupts_it() {
    let database = TestDatabase::on_community().await;
    let store = database.store();
    let client = database.connect().await;
    store_history(&store, &client).await;
    let (before, charts_before) = (read_tiers(&client).await, read_charts(&store).await);
    make_apache(&client).await;
    let marked_minute = store_marked_sample(&client).await;

    let mut n_kills = 0;
    let steps = migrate_killed_everywhere(&store, async |step| {
        n_kills += 1;
        // All data is available at any time, from whichever relation.
        if step == "replace" || n_kills % 5 == 0 {
            assert_kept(&before, &read_tiers(&client).await);
            assert_same_charts(&charts_before, &read_charts(&store).await);
        }
    })
    .await;
    assert!(40 < n_kills, "{steps:?}");
    let aggregates = "SELECT count(*) FROM timescaledb_information.continuous_aggregates";
    assert_eq!(database.count(aggregates).await, 40);
    assert_eq!(database.count(REPLACEMENTS).await, 0);
    // At once, before anything is rolled up.
    assert_kept(&before, &read_tiers(&client).await);
    assert_same_charts(&charts_before, &read_charts(&store).await);
    roll_up(&store, &client).await;
    assert_kept(&before, &read_tiers(&client).await);
    assert_same_charts(&charts_before, &read_charts(&store).await);
    for (tier, width) in [("1m", MINUTE_MS), ("1h", HOUR_MS), ("1d", DAY_MS)] {
        let bucket = bucket_start(marked_minute, width);
        let sql =
            format!("SELECT count(*) FROM load_metrics_{tier} WHERE agent_key = 8 AND bucket = {bucket}");
        let expected = i64::from(bucket + width < now() - DAY_MS || tier != "1d");
        assert_eq!(database.count(&sql).await, expected, "{tier}: what was still to be rolled up was");
    }
    assert_eq!(database.count("SELECT count(*) FROM rollup_changes").await, 0);
    assert!(steps_of(&store).await.is_empty());
}

/// A rollup without a source, as after months without the server, is shown by charts at once, too.
#[tokio::test]
async fn charts_show_what_was_converted_even_where_nothing_can_be_refreshed() {
    let database = TestDatabase::on_community().await;
    let store = database.store();
    let client = database.connect().await;
    store_history(&store, &client).await;
    let raw = Table::ALL.map(|table| table.name).join(", ");
    client.batch_execute(&format!("TRUNCATE {raw}")).await.unwrap();
    make_apache(&client).await;
    let (before, charts_before) = (read_tiers(&client).await, read_charts(&store).await);
    assert!(charts_before.iter().any(|(_, avg, ..)| avg.is_some()), "{charts_before:?}");
    store.migrate(now()).await.unwrap();
    assert_kept(&before, &read_tiers(&client).await);
    assert_same_charts(&charts_before, &read_charts(&store).await);
    let watermark = "SELECT pika_rollup_watermark('load_metrics_1m', '1m')";
    assert!(now() < database.count(watermark).await);
}

/// Migrates while connections are killed at any moment, each a little later than the one before, until it succeeds.
async fn migrate_while_connections_die(store: &Store, client: &Client) -> u32 {
    let mut random = Random::announced();
    let mut n_kills = 0;
    let pids = "SELECT pid FROM pg_stat_activity \
                WHERE datname = current_database() AND backend_type = 'client backend' \
                  AND pid <> pg_backend_pid() AND application_name <> 'jobs'";
    loop {
        let migrating = store.migrate(now());
        tokio::pin!(migrating);
        let lifetime = Duration::from_millis(50 + random.below(u64::from(100 * (n_kills + 1))));
        tokio::select! {
            biased;
            result = &mut migrating => match result {
                Ok(_) => return n_kills,
                Err(error) => panic!("{error:?}"),
            },
            () = tokio::time::sleep(lifetime) => {}
        }
        for row in client.query(pids, &[]).await.unwrap() {
            client.execute("SELECT pg_terminate_backend($1)", &[&row.get::<_, i32>(0)]).await.unwrap();
        }
        n_kills += 1;
        match migrating.await {
            // It finished before it could be killed.
            Ok(_) => return n_kills,
            Err(error) => assert!(error.is_temporary(), "{error:?}"),
        }
    }
}

/// On a server, where statements really run concurrently: rollups are rebuilt, and in the Community edition converted,
/// while the connection doing it is killed repeatedly and the database's own jobs continue.
#[tokio::test]
async fn a_build_survives_the_death_of_its_connections() {
    let database = TestDatabase::on_server().await;
    let store = database.store();
    let client = database.connect().await;
    store_history(&store, &client).await;
    let (before, charts_before) = (read_tiers(&client).await, read_charts(&store).await);
    let is_community = store.database_info().await.unwrap().edition == Edition::Community;
    let mut n_kills = 0;
    if is_community {
        make_apache(&client).await;
        store_marked_sample(&client).await;
        n_kills += migrate_while_connections_die(&store, &client).await;
        assert_kept(&before, &read_tiers(&client).await);
        assert_same_charts(&charts_before, &read_charts(&store).await);
    }
    let stopped = CancellationToken::new();
    let other = database.connect().await;
    other.batch_execute("SET application_name = 'jobs'").await.unwrap();
    let jobs = tokio::spawn(run_jobs_until(stopped.clone(), other));
    n_kills +=
        migrate_while_connections_die(&store.clone().with_definition(with_wider_cores()), &client).await;
    stopped.cancel();
    jobs.await.unwrap();
    assert!(0 < n_kills);
    assert_kept(&before, &read_tiers(&client).await);
    assert_same_charts(&charts_before, &read_charts(&store).await);
    let sql = "SELECT count(*) FROM pg_attribute \
               WHERE attrelid = 'cpu_metrics_1d'::regclass AND attname = 'core_count_max' AND atttypid = 'int8'::regtype";
    assert_eq!(database.count(sql).await, 1);
}

/// A role that owns the database is enough; only the extension must exist.
#[tokio::test]
async fn the_owner_of_the_database_may_do_all_of_it() {
    let database = TestDatabase::on_server_unmigrated().await;
    let superuser = database.connect().await;
    let name: String = superuser.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
    let role = format!("{name}_owner");
    superuser
        .batch_execute(&format!(
            "CREATE EXTENSION IF NOT EXISTS timescaledb; CREATE ROLE {role} LOGIN PASSWORD 'test'; \
             ALTER DATABASE {name} OWNER TO {role}; GRANT ALL ON SCHEMA public TO {role}"
        ))
        .await
        .unwrap();
    let (_, rest) = database.url.split_once('@').unwrap();
    let url = format!("postgres://{role}:test@{rest}");
    let (store, client) = (open_store(&url), connect(&url).await);
    store.migrate(now()).await.unwrap();
    store_history(&store, &client).await;
    let before = read_tiers(&client).await;
    if store.database_info().await.unwrap().edition == Edition::Community {
        make_apache(&client).await;
        store.migrate(now()).await.unwrap();
        assert_kept(&before, &read_tiers(&client).await);
    }
    store.with_definition(with_wider_cores()).migrate(now()).await.unwrap();
    assert_kept(&before, &read_tiers(&client).await);
    superuser
        .batch_execute(&format!(
            "REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}"
        ))
        .await
        .unwrap();
}

/// Runs every refresh policy over and over, as a busy scheduler would; losing against the build is part of it.
async fn run_jobs_until(stopped: CancellationToken, client: Client) {
    while !stopped.is_cancelled() {
        let sql = "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name LIKE 'policy_refresh%'";
        for job in client.query(sql, &[]).await.unwrap() {
            drop(client.batch_execute(&format!("CALL run_job({})", job.get::<_, i32>(0))).await);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A Community database under `timescaledb.license = apache`: its catalog contains aggregates that cannot be read.
#[tokio::test]
async fn aggregates_under_the_apache_licence_are_refused_with_advice() {
    let database = TestDatabase::on_server().await;
    let client = database.connect().await;
    if database.store().database_info().await.unwrap().edition == Edition::Community {
        // With the matching licence there is nothing to refuse.
        database.store().migrate(now()).await.unwrap();
        return;
    }
    client
        .batch_execute(
            "INSERT INTO _timescaledb_catalog.continuous_agg (mat_hypertable_id, raw_hypertable_id, user_view_schema, \
                 user_view_name, partial_view_schema, partial_view_name, direct_view_schema, direct_view_name) \
             SELECT mat.id, raw.id, 'public', 'cpu_metrics_1m', 'public', 'partial_view', 'public', 'direct_view' \
             FROM _timescaledb_catalog.hypertable AS mat, _timescaledb_catalog.hypertable AS raw \
             WHERE (mat.table_name, raw.table_name) = ('cpu_metrics_1m', 'cpu_metrics')",
        )
        .await
        .unwrap();
    let error = database.store().migrate(now()).await.unwrap_err();
    assert!(
        matches!(error, MigrateError::Unsupported(UnsupportedDatabase::MadeByCommunity { n_aggregates: 1 })),
        "{error:?}"
    );
    assert!(!error.is_temporary());
    assert!(error.to_string().contains("timescaledb.license = 'timescale'"), "{error}");
}

/// A dump being restored is left alone, and the error says who may end that.
#[tokio::test]
async fn a_database_being_restored_is_refused_with_advice() {
    let database = TestDatabase::on_server().await;
    let client = database.connect().await;
    client.batch_execute("SELECT timescaledb_pre_restore()").await.unwrap();
    let error = database.store().migrate(now()).await.unwrap_err();
    assert!(matches!(error, MigrateError::Unsupported(UnsupportedDatabase::Restoring)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("timescaledb_post_restore()") && text.contains("as a superuser"), "{text}");
    client.batch_execute("SELECT timescaledb_post_restore()").await.unwrap();
    database.store().migrate(now()).await.unwrap();
}

/// Updates of the extension recreate tables of its catalog, and fail if anything depends on those.
async fn nothing_keeps_timescaledb_from_being_updated(database: TestDatabase) {
    let client = database.connect().await;
    let sql = "SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend \
               JOIN pg_class AS class ON class.oid = refobjid AND refclassid = 'pg_class'::regclass \
               WHERE relnamespace IN ('_timescaledb_catalog'::regnamespace, 'timescaledb_information'::regnamespace) \
                 AND classid = 'pg_proc'::regclass \
                 AND objid IN (SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace)";
    let dependent: Vec<String> = client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(dependent.is_empty(), "{dependent:?}");
}
