//! A fleet in simulated time, whose alert rules are evaluated against a real database.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use pika_server::alerting::{Evaluated, Evaluator, EvaluatorOptions};
use pika_server::domain::alert::rule::{Definition, Rule};
use pika_server::domain::audit::Action;
use pika_server::store::{RuleText, Store};
use pika_server::telemetry::Instruments;
use pika_shared::Clock;
use tokio_postgres::Client;
use uuid::Uuid;

use super::client::now;
use super::{TestDatabase, by_test};

pub(crate) const TICK_MS: i64 = 15_000;
pub(crate) const MINUTE_MS: i64 = 60_000;
const OPTIONS: EvaluatorOptions = EvaluatorOptions { tick_ms: TICK_MS, settle_ms: 155_000 };

/// A fleet in simulated time.
pub(crate) struct Scene {
    pub(crate) database: TestDatabase,
    pub(crate) client: Client,
    pub(crate) store: Store,
    pub(crate) now: Arc<AtomicI64>,
    pub(crate) evaluator: Evaluator,
    pub(crate) agents: Vec<(i32, Uuid)>,
    /// Which of the agents are there, and with which usage of their processors.
    pub(crate) usage: Vec<Option<f32>>,
    /// Whether maintenance succeeds.
    pub(crate) is_maintained: bool,
}

fn clock(now: &Arc<AtomicI64>) -> Clock {
    let now = Arc::clone(now);
    Clock::new(move || now.load(Ordering::Relaxed))
}

pub(crate) fn evaluator(store: &Store, now: &Arc<AtomicI64>) -> Evaluator {
    Evaluator::new(store.clone(), clock(now), Arc::new(Instruments::new().unwrap()), OPTIONS)
}

impl Scene {
    /// A fleet that has been well for a while, with the rules that Pika comes with and one channel.
    pub(crate) async fn start(database: TestDatabase, n_agents: usize) -> Self {
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
            database,
            client,
            store,
            now,
            evaluator,
            agents: Vec::new(),
            usage: vec![Some(10.0); n_agents],
            is_maintained: true,
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

    pub(crate) fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Nobody looks for a while.
    pub(crate) fn skip(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    /// Agents report, and rules are evaluated, each tick.
    pub(crate) async fn pass(&mut self, ms: i64) {
        for _ in 0..ms / TICK_MS {
            self.skip(TICK_MS);
            self.report().await;
            if self.is_maintained {
                self.maintain().await;
            }
            assert_eq!(self.evaluator.tick().await.unwrap(), Evaluated::Done { is_complete: true });
        }
    }

    /// What a round of maintenance leaves behind.
    pub(crate) async fn maintain(&self) {
        let sql = "UPDATE maintenance_state SET succeeded_at = $1";
        self.client.execute(sql, &[&self.now()]).await.unwrap();
    }

    /// What agents report now that are there.
    pub(crate) async fn report(&self) {
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
    pub(crate) async fn lose(&mut self, agents: impl Iterator<Item = usize>) {
        for agent in agents {
            self.usage[agent] = None;
            let sql = "UPDATE agents SET status = 0, connection_id = NULL WHERE key = $1";
            self.client.execute(sql, &[&self.agents[agent].0]).await.unwrap();
        }
    }

    /// What the channel was told, one text a message.
    pub(crate) async fn messages(&self) -> Vec<String> {
        let sql = "SELECT string_agg(transition || ' ' || name || ' ' || about, ', ' ORDER BY about) FROM ( \
                 SELECT alert_outbox.id, item->>'transition' AS transition, rule_name AS name, \
                     coalesce(agent_name, target) AS about \
                 FROM alert_outbox CROSS JOIN jsonb_array_elements(items) AS item \
                 JOIN alerts ON alerts.id = (item->>'alertId')::uuid \
             ) AS told GROUP BY id ORDER BY id";
        self.client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        self.client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn rule(&self, definition: Definition) -> Rule {
        let text = rule_text("busy", definition);
        self.store.create_alert_rule(&text, by_test(Action::AlertRuleCreated)).await.unwrap()
    }

    pub(crate) async fn change(&self, rule: &Rule, definition: Definition) {
        let text = rule_text(&rule.name, definition);
        let event = by_test(Action::AlertRuleUpdated);
        self.store.change_alert_rule(rule.id, None, |_| text, event).await.unwrap();
    }

    pub(crate) async fn disk(&self, mount_point: &str) -> i32 {
        let sql = "INSERT INTO disks (agent_key, mount_point, device, fs_type, created_at, named_at) \
             VALUES ($1, $2, '', 'ext4', 0, 0) RETURNING key";
        self.client.query_one(sql, &[&self.agents[0].0, &mount_point]).await.unwrap().get(0)
    }

    /// As [`Scene::pass`], while these disks of the first agent report.
    pub(crate) async fn pass_with_disks(&mut self, ms: i64, disks: &[i32]) {
        let sql = "INSERT INTO disk_metrics (ts, agent_key, disk_key, total_bytes, used_bytes, free_bytes, usage_percent) \
             SELECT $3::int8 - 4000, $1, key, 100, 50, 50, 50 FROM unnest($2::int4[]) AS disks (key)";
        for _ in 0..ms / TICK_MS {
            let at = self.now() + TICK_MS;
            self.client.execute(sql, &[&self.agents[0].0, &disks, &at]).await.unwrap();
            self.pass(TICK_MS).await;
        }
    }
}

fn rule_text(name: &str, definition: Definition) -> RuleText {
    RuleText {
        name: name.to_owned(),
        enabled: true,
        definition,
        channel_ids: None,
        summary: String::new(),
        runbook: String::new(),
        runbook_url: None,
    }
}
