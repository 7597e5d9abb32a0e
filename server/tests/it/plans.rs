//! Hot queries read no chunk they do not need, however often they are executed.

use std::collections::BTreeSet;

use pika_server::domain::family::Family;
use pika_server::domain::tier::{DAY_MS, HOUR_MS, Tier};
use pika_server::store::statements;
use tokio_postgres::Client;

use crate::support::client::now;
use crate::support::{TestDatabase, on_both_editions};

on_both_editions!(
    a_chart_plans_only_the_chunks_of_its_range,
    the_latest_values_are_in_the_newest_chunks,
    a_page_of_samples_reads_no_later_chunk,
    a_window_of_an_alert_rule_plans_only_its_own_chunks,
    deliveries_of_an_alert_are_found_by_an_index
);

/// Ten days of one row per hour, in one chunk per day.
async fn ten_days(client: &Client) {
    let (start, hour) = (now() - 10 * DAY_MS, HOUR_MS);
    client
        .batch_execute(&format!(
            "INSERT INTO cpu_metrics (ts, agent_key, core_count, usage_percent) \
                 SELECT {start} + i * {hour}, 1, 1, 1 FROM generate_series(1, 240) AS i; \
             INSERT INTO load_metrics SELECT {start} + i * {hour}, 1, 1, 1, 1 FROM generate_series(1, 240) AS i"
        ))
        .await
        .unwrap();
    client.batch_execute("ANALYZE cpu_metrics").await.unwrap();
    assert!(
        10 <= chunks(&explain(client, "SELECT * FROM cpu_metrics").await).len(),
        "there are chunks to leave out"
    );
}

async fn explain(client: &Client, sql: &str) -> String {
    let lines = client.query(&format!("EXPLAIN (ANALYZE, COSTS off, TIMING off) {sql}"), &[]).await.unwrap();
    lines.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
}

/// Returns the chunks that a plan reads.
fn chunks(plan: &str) -> BTreeSet<String> {
    chunks_among(plan.lines().filter(|line| !line.contains("never executed")))
}

fn chunks_among<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    lines
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("_hyper_") && word.ends_with("_chunk"))
        .map(ToOwned::to_owned)
        .collect()
}

async fn a_chart_plans_only_the_chunks_of_its_range(database: TestDatabase) {
    let client = database.connect().await;
    ten_days(&client).await;
    // As the server sets it up.
    for option in statements::PLANNING_OPTIONS.split("-c ").filter(|option| !option.is_empty()) {
        client.batch_execute(&format!("SET {}", option.trim().replace('=', " TO "))).await.unwrap();
    }
    let end = (now() - 3 * DAY_MS) / HOUR_MS * HOUR_MS;
    let start = end - 2 * HOUR_MS;
    for tier in Tier::ALL {
        let n_bounds = 2 + Tier::ALL.iter().filter(|finer| **finer < tier).count();
        // Everything from raw: the worst case, in which no rollup is complete.
        let mut bounds = vec![start; n_bounds - 1];
        bounds.push(end);
        let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
        let name = format!("chart_{}", tier.name());
        let types = vec!["int8"; n_bounds].join(", ");
        let statement = statements::chart(Family::Cpu.declaration(), tier);
        client.batch_execute(&format!("PREPARE {name} (int4, int8, {types}) AS {statement}")).await.unwrap();
        let execute = format!("EXECUTE {name} (1, 86400000, {})", bounds.join(", "));
        for _ in 0..10 {
            client.batch_execute(&execute).await.unwrap();
        }
        let plan = explain(&client, &execute).await;
        assert!((1..=2).contains(&chunks(&plan).len()), "{tier:?}: {plan}");
        // Nor were others planned and excluded only at execution.
        assert!(!plan.contains("excluded during startup"), "{tier:?}: {plan}");
    }
}

async fn the_latest_values_are_in_the_newest_chunks(database: TestDatabase) {
    let client = database.connect().await;
    ten_days(&client).await;
    let since = now() - DAY_MS;
    for statement in statements::latest() {
        let plan = explain(&client, &statement.replace("$1", "1").replace("$2", &since.to_string())).await;
        // Whether executed or not: planning for a chunk takes longer than finding nothing in it.
        let planned = chunks_among(plan.lines());
        assert!(planned.len() <= 2, "plans for {} chunks: {statement}: {plan}", planned.len());
        assert!(!plan.contains("excluded during startup"), "{plan}");
    }
}

async fn a_page_of_samples_reads_no_later_chunk(database: TestDatabase) {
    let client = database.connect().await;
    ten_days(&client).await;
    let start = now() - 9 * DAY_MS;
    let statement = statements::samples(Family::Cpu)
        .replace("$1", "1")
        .replace("$2", &start.to_string())
        .replace("$3", &now().to_string())
        .replace("$4", "20");
    let plan = explain(&client, &statement).await;
    assert!((1..=2).contains(&chunks(&plan).len()), "{plan}");
}

async fn a_window_of_an_alert_rule_plans_only_its_own_chunks(database: TestDatabase) {
    let client = database.connect().await;
    ten_days(&client).await;
    // Raw, an hour and a day, starting with the CPU.
    for (statement, n_chunks) in statements::alert_windows(now()).iter().zip([2, 2, 4]) {
        let plan = explain(&client, statement).await;
        let planned = chunks_among(plan.lines());
        assert!(planned.len() <= n_chunks, "plans for {} chunks: {statement}: {plan}", planned.len());
        assert!(!plan.contains("excluded during startup"), "{plan}");
    }
}

async fn deliveries_of_an_alert_are_found_by_an_index(database: TestDatabase) {
    let client = database.connect().await;
    client
        .batch_execute(
            "INSERT INTO alert_channels (id, name, kind, enabled, is_default, tells_outages, min_severity, \
                 tells_resolved, settings, group_wait_ms, group_interval_ms, min_interval_ms, per_hour_max, \
                 created_at, updated_at) \
             VALUES (gen_random_uuid(), 'ops', 'webhook', true, true, false, 1, true, '{}', 0, 0, 0, 60, 0, 0); \
             INSERT INTO alert_outbox (channel_id, kind, items, key, status, created_at, next_attempt_at, expires_at) \
             SELECT id, 'alerts', jsonb_build_array(jsonb_build_object('alertId', gen_random_uuid())), \
                 gen_random_uuid(), 'sent', i, i, i FROM alert_channels, generate_series(1, 20000) AS i; \
             ANALYZE alert_outbox",
        )
        .await
        .unwrap();
    for option in statements::PLANNING_OPTIONS.split("-c ").filter(|option| !option.is_empty()) {
        client.batch_execute(&format!("SET {}", option.trim().replace('=', " TO "))).await.unwrap();
    }
    let is_count = |statement: &&String| {
        statement.starts_with("SELECT count(*) FROM alert_outbox o JOIN alert_channels")
    };
    let all = statements::all();
    let statement = all.iter().find(is_count).unwrap();
    client.batch_execute(&format!("PREPARE deliveries (uuid, text, text) AS {statement}")).await.unwrap();
    let plan =
        explain(&client, "EXECUTE deliveries (NULL, NULL, '00000000-0000-4000-8000-000000000001')").await;
    assert!(plan.contains("alert_outbox_items") && !plan.contains("Seq Scan on alert_outbox"), "{plan}");
}
