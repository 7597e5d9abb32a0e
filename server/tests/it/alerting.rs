//! Alerts, evaluated in simulated time against a real database: what fires, what does not, and exactly what channels
//! receive.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use pika_server::alerting::{Evaluated, Evaluator, EvaluatorOptions};
use pika_server::domain::alert::condition::{
    Condition, Function, Levels, MetricCondition, Operator, Threshold,
};
use pika_server::domain::alert::rule::{Definition, Rule};
use pika_server::domain::alert::scope::{Scope, ScopeKind};
use pika_server::domain::alert::severity::Severity;
use pika_server::domain::alert::silence::{Matcher, Silence, SilenceKind};
use pika_server::domain::audit::Action;
use pika_server::domain::id::AgentId;
use pika_server::store::{RuleText, Store};
use pika_server::telemetry::Instruments;
use pika_shared::Clock;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::client::now;
use crate::support::{TestDatabase, by_test, on_both_editions};

const TICK_MS: i64 = 15_000;
const MINUTE_MS: i64 = 60_000;
const OPTIONS: EvaluatorOptions = EvaluatorOptions { tick_ms: TICK_MS, settle_ms: 155_000 };

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

/// A fleet in simulated time.
struct Scene {
    _database: TestDatabase,
    client: Client,
    store: Store,
    now: Arc<AtomicI64>,
    evaluator: Evaluator,
    agents: Vec<(i32, Uuid)>,
    /// Which of the agents are there, and with which usage of their processors.
    usage: Vec<Option<f32>>,
}

fn clock(now: &Arc<AtomicI64>) -> Clock {
    let now = Arc::clone(now);
    Clock::new(move || now.load(Ordering::Relaxed))
}

fn evaluator(store: &Store, now: &Arc<AtomicI64>) -> Evaluator {
    Evaluator::new(store.clone(), clock(now), Arc::new(Instruments::new().unwrap()), OPTIONS)
}

impl Scene {
    /// A fleet that has been well for a while, with the rules that Pika comes with and one channel.
    async fn start(database: TestDatabase, n_agents: usize) -> Self {
        let store = database.store();
        let client = database.connect().await;
        let now = Arc::new(AtomicI64::new(now()));
        store.keep_builtin_alert_rules(0).await.unwrap();
        client
            .batch_execute(
                "INSERT INTO alert_channels (id, name, kind, enabled, is_default, tells_outages, min_severity, \
                     tells_resolved, settings, group_wait_ms, group_interval_ms, min_interval_ms, per_hour_max, \
                     created_at, updated_at) \
                 VALUES (gen_random_uuid(), 'ops', 'webhook', true, true, false, 1, true, '{}', 0, 0, 0, 60, 0, 0)",
            )
            .await
            .unwrap();
        let evaluator = evaluator(&store, &now);
        let mut scene = Self {
            _database: database,
            client,
            store,
            now,
            evaluator,
            agents: Vec::new(),
            usage: vec![Some(10.0); n_agents],
        };
        for number in 0..n_agents {
            let sql = "INSERT INTO agents (id, name, hostname, ip, os, arch, version, secret_hash, status, \
                     connection_id, last_seen_at, created_at, updated_at, tags) \
                 VALUES (gen_random_uuid(), $1, '', '', '', '', '', decode(md5($1), 'hex'), 1, gen_random_uuid(), $2, $2, \
                     $2, '{prod}') RETURNING key, id";
            let name = format!("web-{number}");
            let row = scene.client.query_one(sql, &[&name, &scene.now()]).await.unwrap();
            scene.agents.push((row.get(0), row.get(1)));
        }
        scene.pass(15 * MINUTE_MS).await;
        assert_eq!(scene.messages().await, [""; 0], "all is well");
        scene
    }

    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Nobody looks for a while.
    fn skip(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    /// Agents report, and rules are evaluated, each tick.
    async fn pass(&mut self, ms: i64) {
        for _ in 0..ms / TICK_MS {
            self.skip(TICK_MS);
            self.report().await;
            assert_eq!(self.evaluator.tick().await.unwrap(), Evaluated::Done { is_complete: true });
        }
    }

    /// What agents report now that are there.
    async fn report(&self) {
        let sql = "WITH seen AS (UPDATE agents SET status = 1, last_seen_at = $3, \
                 connection_id = coalesce(connection_id, gen_random_uuid()) \
             WHERE key = ANY ($1) RETURNING key), \
             newest AS (INSERT INTO agent_latest (agent_key, ts) SELECT key, $3 - 1000 FROM seen \
                 ON CONFLICT (agent_key) DO UPDATE SET ts = excluded.ts) \
             INSERT INTO cpu_metrics (ts, agent_key, core_count, usage_percent) \
             SELECT $3 - 4000, key, 1, usage FROM unnest($1::int4[], $2::float4[]) AS new (key, usage)";
        let there =
            self.agents.iter().zip(&self.usage).filter_map(|((key, _), usage)| Some((*key, (*usage)?)));
        let (keys, usage): (Vec<i32>, Vec<f32>) = there.unzip();
        self.client.execute(sql, &[&keys, &usage, &self.now()]).await.unwrap();
    }

    /// Agents are gone, and that is noticed at once.
    async fn lose(&mut self, agents: impl Iterator<Item = usize>) {
        for agent in agents {
            self.usage[agent] = None;
            let sql = "UPDATE agents SET status = 0, connection_id = NULL WHERE key = $1";
            self.client.execute(sql, &[&self.agents[agent].0]).await.unwrap();
        }
    }

    /// What the channel was told, one text a message.
    async fn messages(&self) -> Vec<String> {
        let sql = "SELECT string_agg(transition || ' ' || name || ' ' || about, ', ' ORDER BY about) FROM ( \
                 SELECT alert_outbox.id, item->>'transition' AS transition, rule_name AS name, \
                     coalesce(agent_name, target) AS about \
                 FROM alert_outbox CROSS JOIN jsonb_array_elements(items) AS item \
                 JOIN alerts ON alerts.id = (item->>'alertId')::uuid \
             ) AS told GROUP BY id ORDER BY id";
        self.client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        self.client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    async fn rule(&self, definition: Definition) -> Rule {
        let text = RuleText {
            name: "busy".to_owned(),
            enabled: true,
            definition,
            channel_ids: None,
            summary: String::new(),
            runbook: String::new(),
            runbook_url: None,
        };
        self.store.create_alert_rule(&text, by_test(Action::AlertRuleCreated)).await.unwrap()
    }

    async fn change(&self, rule: &Rule, definition: Definition) {
        let text = RuleText {
            name: rule.name.clone(),
            enabled: true,
            definition,
            channel_ids: None,
            summary: String::new(),
            runbook: String::new(),
            runbook_url: None,
        };
        let event = by_test(Action::AlertRuleUpdated);
        self.store.change_alert_rule(rule.id, None, |_| text, event).await.unwrap();
    }
}

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
    // No server evaluates while another does.
    let lock = "SELECT pg_advisory_lock(CAST(x'70696b610005' AS int8))";
    scene.client.batch_execute(lock).await.unwrap();
    scene.skip(TICK_MS);
    assert_eq!(other.tick().await.unwrap(), Evaluated::Elsewhere);
    scene.client.batch_execute(&lock.replace("lock", "unlock")).await.unwrap();
    assert_eq!(other.tick().await.unwrap(), Evaluated::Done { is_complete: true });
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

impl Scene {
    async fn disk(&self, mount_point: &str) -> i32 {
        let sql = "INSERT INTO disks (agent_key, mount_point, device, fs_type, created_at, named_at) \
             VALUES ($1, $2, '', 'ext4', 0, 0) RETURNING key";
        self.client.query_one(sql, &[&self.agents[0].0, &mount_point]).await.unwrap().get(0)
    }

    /// As [`Scene::pass`], while these disks of the first agent report.
    async fn pass_with_disks(&mut self, ms: i64, disks: &[i32]) {
        let sql = "INSERT INTO disk_metrics (ts, agent_key, disk_key, total_bytes, used_bytes, free_bytes, usage_percent) \
             SELECT $3::int8 - 4000, $1, key, 100, 50, 50, 50 FROM unnest($2::int4[]) AS disks (key)";
        for _ in 0..ms / TICK_MS {
            let at = self.now() + TICK_MS;
            self.client.execute(sql, &[&self.agents[0].0, &disks, &at]).await.unwrap();
            self.pass(TICK_MS).await;
        }
    }
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
}
