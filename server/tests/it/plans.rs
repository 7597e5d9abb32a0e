//! Hot queries touch no chunk that they do not need, and keep to that however often they are executed.

use std::collections::BTreeSet;

use pika_server::domain::family::Family;
use pika_server::domain::tier::{DAY_MS, HOUR_MS, Tier};
use pika_server::store::statements;
use tokio_postgres::Client;

use crate::support::client::now;
use crate::support::{TestDatabase, on_both_editions};

on_both_editions!(a_chart_plans_only_the_chunks_of_its_range, the_latest_values_are_in_the_newest_chunk);

/// Ten days of one row an hour, a chunk a day.
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

/// The chunks of a plan that are read from.
fn chunks(plan: &str) -> BTreeSet<String> {
    plan.lines()
        .filter(|line| !line.contains("never executed"))
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
        // Nor has it planned for others and left them out only when it was executed.
        assert!(!plan.contains("excluded during startup"), "{tier:?}: {plan}");
    }
}

async fn the_latest_values_are_in_the_newest_chunk(database: TestDatabase) {
    let client = database.connect().await;
    ten_days(&client).await;
    for statement in statements::latest() {
        let plan = explain(&client, &statement.replace("$1", "1")).await;
        assert!(chunks(&plan).len() <= 1, "{statement}: {plan}");
    }
}
