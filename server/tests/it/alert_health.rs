//! Rules about Pika itself: what is told when it is not well, and over which channels.

use pika_server::alerting::Evaluated;

use crate::support::database::store;
use crate::support::scene::{MINUTE_MS, Scene, TICK_MS, evaluator};
use crate::support::{Proxy, TestDatabase, on_both_editions};

on_both_editions!(
    maintenance_that_is_missing_is_told_of,
    jobs_that_fail_are_told_of,
    samples_that_are_not_stored_are_one_alert,
    a_channel_that_fails_is_told_of_over_the_others,
);

async fn maintenance_that_is_missing_is_told_of(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    scene.is_maintained = false;
    // Five minutes late, for five minutes.
    scene.pass(9 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [""; 0]);
    scene.pass(3 * MINUTE_MS).await;
    let fired = "firing Maintenance system:maintenance";
    assert_eq!(scene.messages().await, [fired]);
    scene.is_maintained = true;
    scene.pass(6 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [fired, "resolved Maintenance system:maintenance"]);
    // While Pika was stopped nobody was there to do it.
    scene.skip(60 * MINUTE_MS);
    scene.is_maintained = false;
    scene.pass(9 * MINUTE_MS).await;
    assert_eq!(scene.messages().await.len(), 2);
}

async fn jobs_that_fail_are_told_of(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    scene.client.batch_execute("UPDATE maintenance_state SET unhealthy_jobs = 2").await.unwrap();
    scene.pass(6 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, ["firing Database jobs system:databaseJobs"]);
}

async fn samples_that_are_not_stored_are_one_alert(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    // They stay connected, and nothing of them arrives.
    scene.usage = vec![None; 4];
    scene.pass(30 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, ["firing Ingest stalled system:ingestStalled"]);
}

async fn a_channel_that_fails_is_told_of_over_the_others(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    let sql = "INSERT INTO alert_channels (id, name, kind, enabled, is_default, tells_outages, min_severity, \
             tells_resolved, settings, group_wait_ms, group_interval_ms, min_interval_ms, per_hour_max, \
             created_at, updated_at) \
         SELECT gen_random_uuid(), 'pager', kind, enabled, is_default, tells_outages, min_severity, tells_resolved, \
             settings, group_wait_ms, group_interval_ms, min_interval_ms, per_hour_max, created_at, updated_at \
         FROM alert_channels; \
         UPDATE alert_channels SET state = 'failing' WHERE name = 'ops'";
    scene.client.batch_execute(sql).await.unwrap();
    scene.pass(6 * MINUTE_MS).await;
    let told = "SELECT alert_channels.name || ': ' || (items->0->>'transition') || ' ' || series_name \
         FROM alert_outbox JOIN alert_channels ON alert_channels.id = channel_id \
         JOIN alerts ON alerts.id = (items->0->>'alertId')::uuid ORDER BY alert_outbox.id";
    assert_eq!(scene.texts(told).await, ["pager: firing ops"]);
    // One that is disabled fails nobody.
    let sql = "UPDATE alert_channels SET enabled = false WHERE name = 'ops'";
    scene.client.batch_execute(sql).await.unwrap();
    scene.pass(MINUTE_MS).await;
    assert_eq!(scene.texts(told).await, ["pager: firing ops", "pager: resolved ops"]);
}

/// Evaluates while nobody gets to read a table, as if that took too long. Answers whether everything could be read.
async fn tick_without(scene: &mut Scene, table: &str) -> bool {
    let (blocker, canceller) = (scene.database.connect().await, scene.database.connect().await);
    blocker.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
    let sql = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let cancelled = async {
        loop {
            canceller.query(sql, &[]).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let evaluated = tokio::select! {
        evaluated = scene.evaluator.tick() => evaluated.unwrap(),
        () = cancelled => unreachable!(),
    };
    blocker.batch_execute("COMMIT").await.unwrap();
    evaluated == Evaluated::Done { is_complete: true }
}

/// A trend that takes too long holds up no other rule.
#[tokio::test]
async fn a_trend_that_cannot_be_read_in_time_is_no_failed_evaluation() {
    let mut scene = Scene::start(TestDatabase::on_server().await, 4).await;
    scene.skip(TICK_MS);
    assert!(tick_without(&mut scene, "disk_metrics_1h").await, "it is not due");
    scene.client.batch_execute("DELETE FROM alert_groups WHERE key = 'every 3600000 ms'").await.unwrap();
    scene.skip(TICK_MS);
    assert!(!tick_without(&mut scene, "disk_metrics_1h").await);
}

/// PGlite cancels nothing.
#[tokio::test]
async fn windows_that_cannot_be_read_in_time_are_told_of() {
    let mut scene = Scene::start(TestDatabase::on_server().await, 4).await;
    let mut n_incomplete = 0;
    for _ in 0..8 * MINUTE_MS / TICK_MS {
        scene.skip(TICK_MS);
        scene.report().await;
        scene.maintain().await;
        n_incomplete += i32::from(!tick_without(&mut scene, "memory_metrics").await);
    }
    // Memory is looked at each minute, and the time between counts, too.
    assert_eq!(n_incomplete, 8);
    let fired = "firing Evaluation too slow system:evaluationSlow";
    assert_eq!(scene.messages().await, [fired]);
    scene.pass(7 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [fired, "resolved Evaluation too slow system:evaluationSlow"]);
}

/// The database is away for so many ticks of an evaluator that reaches it through a proxy.
async fn lose_the_database(scene: &mut Scene, proxy: &Proxy, ticks: i64) {
    proxy.cut();
    for _ in 0..ticks {
        scene.skip(TICK_MS);
        scene.evaluator.tick().await.unwrap_err();
    }
    proxy.restore();
}

#[tokio::test]
async fn a_database_that_was_away_is_told_of_once_when_it_is_back() {
    let database = TestDatabase::on_server().await;
    let proxy = Proxy::start(&database.url).await;
    let through_proxy = store(&proxy.url(&database.url));
    let mut scene = Scene::start(database, 4).await;
    scene.evaluator = evaluator(&through_proxy, &scene.now);
    scene.client.batch_execute("UPDATE alert_channels SET tells_resolved = false").await.unwrap();
    scene.pass(MINUTE_MS).await;
    lose_the_database(&mut scene, &proxy, 3).await;
    scene.pass(5 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [""; 0], "it was not away for long");
    let before = scene.now();
    lose_the_database(&mut scene, &proxy, 40).await;
    scene.pass(5 * MINUTE_MS).await;
    let told = "resolved Database away system:databaseAway";
    assert_eq!(scene.messages().await, [told]);
    let alert = "SELECT concat_ws(' ', state, (items->0->>'unseen'), (ended_at - fired_at)::text) FROM alerts \
         JOIN alert_outbox ON true";
    assert_eq!(scene.texts(alert).await, [format!("resolved true {}", 40 * TICK_MS)]);
    let fired_at = "SELECT fired_at::text FROM alerts";
    assert_eq!(scene.texts(fired_at).await, [(before + TICK_MS - 3_000).to_string()]);
    // Another server had it all the time: it was this one's way to it.
    let mut other = evaluator(&scene.store, &scene.now);
    proxy.cut();
    for _ in 0..8 {
        scene.skip(TICK_MS);
        scene.report().await;
        scene.maintain().await;
        scene.evaluator.tick().await.unwrap_err();
        other.tick().await.unwrap();
    }
    proxy.restore();
    scene.pass(5 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [told]);
}
