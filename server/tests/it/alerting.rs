//! Alerts, evaluated in simulated time against a real database: what fires, what does not, and exactly what channels
//! receive.

use pika_server::alerting::Evaluated;
use pika_server::domain::alert::condition::{
    Condition, Function, Levels, MetricCondition, Operator, Threshold,
};
use pika_server::domain::alert::rule::Definition;
use pika_server::domain::alert::scope::{Scope, ScopeKind};
use pika_server::domain::alert::severity::Severity;
use pika_server::domain::alert::silence::{Matcher, Silence, SilenceKind};
use pika_server::domain::audit::Action;
use pika_server::domain::id::AgentId;
use uuid::Uuid;

use crate::support::scene::{MINUTE_MS, Scene, TICK_MS, evaluator};
use crate::support::{TestDatabase, by_test, on_both_editions};

on_both_editions!(
    a_stopped_agent_is_reported_once_and_so_is_its_return,
    a_restart_of_the_server_sends_nothing,
    a_breach_fires_and_ends,
    ended_alerts_keep_their_thresholds,
    one_sample_is_no_breach,
    an_edited_rule_keeps_its_alerts_unless_it_evaluates_something_else,
    an_alert_ends_with_its_agent,
    a_backfill_fires_nothing,
    silenced_alerts_are_sent_afterwards,
    a_disk_that_is_gone_is_missed,
);

/// A processor that is busy for two minutes, on average over five.
fn busy(threshold: f64) -> Definition {
    Definition {
        for_ms: 2 * MINUTE_MS,
        recover_for_ms: 2 * MINUTE_MS,
        cooldown_ms: 0,
        ..Definition::of(Condition::Metric(MetricCondition {
            family: "cpu".to_owned(),
            metric: "usagePercent".to_owned(),
            function: Function::Avg,
            window_ms: 5 * MINUTE_MS,
            operator: Operator::Above,
            levels: Levels {
                warning: Some(Threshold { threshold, recovery_threshold: threshold - 10.0 }),
                ..Levels::default()
            },
        }))
    }
}

async fn a_stopped_agent_is_reported_once_and_so_is_its_return(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    scene.lose(0..1).await;
    scene.pass(MINUTE_MS).await;
    let pending = scene.store.pending_alerts().await.unwrap();
    assert_eq!(pending.len(), 1, "{pending:?}");
    assert_eq!((pending[0].rule_name.as_str(), pending[0].for_ms), ("Agent offline", 180_000));
    assert_eq!(scene.messages().await, [""; 0]);
    scene.pass(10 * MINUTE_MS).await;
    let fired = "firing Agent offline web-0";
    assert_eq!(scene.messages().await, [fired]);
    // It was offline for three minutes then, not three minutes after that was noticed.
    let held = "SELECT (fired_at - started_at)::text FROM alerts";
    assert!((180_000..200_000).contains(&scene.texts(held).await[0].parse::<i64>().unwrap()));
    scene.usage[0] = Some(10.0);
    scene.pass(10 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [fired, "resolved Agent offline web-0"]);
    let kinds = scene.texts("SELECT kind FROM alert_events WHERE alert_id IS NOT NULL ORDER BY id").await;
    assert_eq!(kinds, ["fired", "told", "resolved", "told"]);
}

async fn a_restart_of_the_server_sends_nothing(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    scene.skip(60 * MINUTE_MS);
    // The agents are offline when the server comes back, and return one after the other.
    let all = scene.usage.clone();
    scene.lose(0..4).await;
    scene.evaluator = evaluator(&scene.store, &scene.now);
    scene.pass(MINUTE_MS).await;
    scene.usage = all;
    scene.pass(30 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [""; 0]);
    assert_eq!(scene.texts("SELECT kind FROM alert_events").await, ["system.blind"]);
    // An agent that does not come back is reported.
    scene.skip(60 * MINUTE_MS);
    scene.lose(0..1).await;
    scene.pass(2 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [""; 0]);
    scene.pass(4 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, ["firing Agent offline web-0"]);
}

async fn a_breach_fires_and_ends(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    scene.rule(busy(80.0)).await;
    scene.usage[1] = Some(95.0);
    scene.pass(4 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [""; 0], "it is not for long enough");
    scene.pass(5 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, ["firing busy web-1"]);
    let alert = &scene
        .texts(
            "SELECT concat_ws(' ', severity, threshold, recovery_threshold, unit, data_state, \
         round(peak_value::numeric)) FROM alerts",
        )
        .await[0];
    assert_eq!(alert, "2 80 70 percent fresh 95");
    // Without data it stays as it is; with data it ends.
    scene.usage[1] = None;
    scene.pass(5 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, ["firing busy web-1"]);
    let reason = scene.texts("SELECT data_state FROM alerts WHERE ended_at IS NULL").await;
    assert!(["stale", "low_coverage", "no_data"].contains(&reason[0].as_str()), "{reason:?}");
    scene.usage[1] = Some(20.0);
    scene.pass(9 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, ["firing busy web-1", "resolved busy web-1"]);
}

async fn ended_alerts_keep_their_thresholds(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    let tagged = Scope { kind: ScopeKind::Tags, tags: vec!["prod".to_owned()], ..Scope::default() };
    scene.rule(Definition { scope: tagged, ..busy(80.0) }).await;
    (scene.usage[1], scene.usage[2]) = (Some(95.0), Some(95.0));
    scene.pass(9 * MINUTE_MS).await;
    // One leaves the rule's scope, the other recovers.
    let sql = "UPDATE agents SET tags = '{}' WHERE key = $1";
    scene.client.execute(sql, &[&scene.agents[1].0]).await.unwrap();
    scene.usage[2] = Some(10.0);
    scene.pass(10 * MINUTE_MS).await;
    let sql =
        "SELECT concat_ws(' ', agent_name, end_reason, threshold, recovery_threshold) FROM alerts ORDER BY 1";
    assert_eq!(scene.texts(sql).await, ["web-1 out_of_scope 80 70", "web-2 recovered 80 70"]);
}

async fn one_sample_is_no_breach(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    scene.rule(Definition { for_ms: 0, ..busy(80.0) }).await;
    // No samples for a while, then one a minute, all too high.
    scene.usage[1] = None;
    scene.pass(6 * MINUTE_MS).await;
    for _ in 0..3 {
        scene.usage[1] = Some(99.0);
        scene.pass(TICK_MS).await;
        scene.usage[1] = None;
        scene.pass(4 * TICK_MS).await;
    }
    assert_eq!(scene.messages().await, [""; 0]);
    scene.usage[1] = Some(99.0);
    scene.pass(5 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, ["firing busy web-1"]);
}

/// PGlite has one session for all its clients, so a lock held by one does not exclude the others.
#[tokio::test]
async fn two_servers_send_once() {
    let database = TestDatabase::on_server().await;
    let mut scene = Scene::start(database, 4).await;
    let mut other = evaluator(&scene.store, &scene.now);
    scene.lose(2..3).await;
    for tick in 0..40 {
        scene.skip(TICK_MS);
        scene.report().await;
        if tick % 2 == 0 {
            let (one, two) = tokio::join!(scene.evaluator.tick(), other.tick());
            assert!([one.unwrap(), two.unwrap()].contains(&Evaluated::Done { is_complete: true }));
        } else {
            // Either may crash at any time.
            scene.evaluator = evaluator(&scene.store, &scene.now);
            other.tick().await.unwrap();
        }
    }
    assert_eq!(scene.messages().await, ["firing Agent offline web-2"]);
    assert_eq!(scene.texts("SELECT kind FROM alert_events ORDER BY id").await, ["fired", "told"]);
    // No server evaluates while another does: one of this release, or of one that takes advisory locks.
    for (lock, unlock) in [
        ("BEGIN; SELECT FROM server_locks WHERE name = 'alerting' FOR UPDATE", "COMMIT"),
        (
            "SELECT pg_advisory_lock(CAST(x'70696b610005' AS int8))",
            "SELECT pg_advisory_unlock(CAST(x'70696b610005' AS int8))",
        ),
    ] {
        scene.client.batch_execute(lock).await.unwrap();
        scene.skip(TICK_MS);
        assert_eq!(other.tick().await.unwrap(), Evaluated::Elsewhere, "{lock}");
        scene.client.batch_execute(unlock).await.unwrap();
        scene.skip(TICK_MS);
        assert_eq!(other.tick().await.unwrap(), Evaluated::Done { is_complete: true }, "{lock}");
    }
}

async fn an_edited_rule_keeps_its_alerts_unless_it_evaluates_something_else(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    let rule = scene.rule(busy(80.0)).await;
    scene.usage[1] = Some(95.0);
    scene.pass(9 * MINUTE_MS).await;
    let fired = "firing busy web-1";
    assert_eq!(scene.messages().await, [fired]);
    // Another threshold: the alert continues, and nothing is sent.
    scene.change(&rule, busy(90.0)).await;
    scene.pass(5 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [fired]);
    assert_eq!(scene.texts("SELECT threshold::text FROM alerts WHERE ended_at IS NULL").await, ["80"]);
    // Another window: the alert ends, and fires again once the new condition has held for long enough.
    let Condition::Metric(mut condition) = busy(80.0).conditions.remove(0) else { unreachable!() };
    condition.window_ms = 3 * MINUTE_MS;
    scene.change(&rule, Definition { conditions: vec![Condition::Metric(condition)], ..busy(80.0) }).await;
    scene.pass(MINUTE_MS).await;
    assert_eq!(scene.messages().await, [fired, "resolved busy web-1"]);
    assert_eq!(
        scene.texts("SELECT end_reason FROM alerts WHERE ended_at IS NOT NULL").await,
        ["rule_changed"]
    );
    scene.pass(3 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [fired, "resolved busy web-1", fired]);
}

async fn an_alert_ends_with_its_agent(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    scene.lose(3..4).await;
    scene.pass(5 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, ["firing Agent offline web-3"]);
    let (_, id) = scene.agents.pop().unwrap();
    scene.usage.pop();
    scene.store.delete_agent(AgentId(id), by_test(Action::AgentDeleted)).await.unwrap().unwrap();
    scene.pass(MINUTE_MS).await;
    assert_eq!(scene.messages().await, ["firing Agent offline web-3", "resolved Agent offline web-3"]);
    let ended = scene.texts("SELECT end_reason || ' ' || agent_name FROM alerts").await;
    assert_eq!(ended, ["agent_deleted web-3"]);
}

async fn a_backfill_fires_nothing(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    scene.rule(busy(80.0)).await;
    scene.pass(MINUTE_MS).await;
    let sql = "INSERT INTO cpu_metrics (ts, agent_key, core_count, usage_percent) \
         SELECT $2::int8 - 21600000 + i * 15000 + 7, $1, 1, 99 FROM generate_series(0, 1360) AS i";
    let end = scene.now() - 20 * MINUTE_MS;
    scene.client.execute(sql, &[&scene.agents[0].0, &end]).await.unwrap();
    scene.pass(10 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [""; 0]);
}

async fn silenced_alerts_are_sent_afterwards(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    let silence = Silence {
        id: Uuid::new_v4(),
        kind: SilenceKind::Silence,
        name: "move".to_owned(),
        comment: String::new(),
        matcher: Matcher {
            scope: Scope::default(),
            severities: vec![Severity::Critical],
            ..Matcher::default()
        },
        starts_at: None,
        ends_at: Some(scene.now() + 20 * MINUTE_MS),
        recurrence: None,
        min_severity_through: None,
        created_by: "test".to_owned(),
        created_at: scene.now(),
        updated_at: scene.now(),
        version: 1,
    };
    scene.store.create_alert_silence(&silence, by_test(Action::AlertSilenceCreated)).await.unwrap();
    // One comes and goes during the silence; the other is still offline when it ends.
    scene.lose(0..1).await;
    scene.pass(5 * MINUTE_MS).await;
    assert_eq!(scene.texts("SELECT withheld_by FROM alerts").await, ["silenced"]);
    scene.usage[0] = Some(10.0);
    scene.pass(5 * MINUTE_MS).await;
    scene.lose(1..2).await;
    scene.pass(9 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, [""; 0]);
    scene.pass(2 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, ["firing Agent offline web-1"]);
}

/// Half of the fleet is cut off: one message in all, and one for those that do not come back.
#[tokio::test]
async fn a_partition_is_one_alert() {
    let mut scene = Scene::start(TestDatabase::on_server().await, 20).await;
    scene.lose(0..10).await;
    scene.pass(8 * MINUTE_MS).await;
    // All of them share a tag, too.
    assert_eq!(scene.messages().await, ["firing Fleet outage fleet"]);
    let states =
        scene.texts("SELECT rule_name || ' ' || withheld_by FROM alerts WHERE withheld_by IS NOT NULL").await;
    assert_eq!(states.iter().filter(|state| *state == "Agent offline inhibited").count(), 10, "{states:?}");
    for agent in 3..10 {
        scene.usage[agent] = Some(10.0);
    }
    scene.pass(25 * MINUTE_MS).await;
    let messages = scene.messages().await;
    let end = messages.iter().position(|message| message.contains("resolved Fleet outage fleet"));
    assert!(end.is_some(), "{messages:?}");
    let dead: Vec<&String> =
        messages.iter().filter(|message| message.contains("firing Agent offline")).collect();
    let list = "firing Agent offline web-0, firing Agent offline web-1, firing Agent offline web-2";
    assert!(dead.len() == 1 && dead[0].contains(list), "{messages:?}");
    assert!(messages.len() <= 3, "{messages:?}");
}

async fn a_disk_that_is_gone_is_missed(database: TestDatabase) {
    let mut scene = Scene::start(database, 4).await;
    let disks = [scene.disk("/").await, scene.disk("/data").await];
    scene.pass_with_disks(10 * MINUTE_MS, &disks).await;
    scene.pass_with_disks(20 * MINUTE_MS, &disks[..1]).await;
    assert_eq!(scene.messages().await, [""; 0]);
    scene.pass_with_disks(20 * MINUTE_MS, &disks[..1]).await;
    assert_eq!(scene.messages().await, ["firing Disk missing web-0"]);
    assert_eq!(scene.texts("SELECT series_name FROM alerts").await, ["/data"]);
    scene.pass_with_disks(20 * MINUTE_MS, &disks).await;
    assert_eq!(scene.messages().await.len(), 2, "it is there again");
}

#[tokio::test]
async fn a_filling_disk_is_reported_in_time() {
    let mut scene = Scene::start(TestDatabase::on_server().await, 1).await;
    let (full, flat) = (scene.disk("/data").await, scene.disk("/").await);
    let hour = scene.now() / 3_600_000 * 3_600_000;
    // One loses a tenth of a GiB per hour and has 5 GiB left; the other has as much, and loses nothing.
    let sql = "INSERT INTO disk_metrics_1h (bucket, agent_key, disk_key, n, usage_percent_sum, free_bytes_last) \
         SELECT $2::int8 - i * 3600000, $1, $3, 1, 90, (5 + i * $4::float8) * 1073741824 FROM generate_series(1, 72) AS i";
    for (disk, fall) in [(full, 0.1), (flat, 0.0)] {
        scene.client.execute(sql, &[&scene.agents[0].0, &hour, &disk, &fall]).await.unwrap();
    }
    scene.pass(130 * MINUTE_MS).await;
    assert_eq!(scene.messages().await, ["firing Disk full soon web-0"]);
    let alert = scene
        .texts("SELECT concat_ws(' ', series_name, severity, round(value::numeric, 1), unit) FROM alerts")
        .await;
    assert_eq!(alert, ["/data 2 2.1 days"]);
    // 5.1 GiB at 2.4 GiB a day, from the end of the newest hour on.
    let full_at: i64 = scene.texts("SELECT details->>'fullAt' FROM alerts").await[0].parse().unwrap();
    assert_eq!((full_at - hour + MINUTE_MS / 2) / MINUTE_MS, 5_100 * 24 * 60 / 2_400, "{full_at} {hour}");
}
