//! Rollups follow their definition when metrics and families are added, removed or changed in a database with history.

use pika_server::domain::family::{
    Column, ColumnType, Family, FinestRollup, Metric, MetricKind, Table, Unit,
};
use pika_server::domain::tier::{HOUR_MS, MINUTE_MS, Tier};
use pika_server::store::{Definition, Edition, statements};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::rollups::roll_up;
use crate::support::client::now;
use crate::support::history::{
    REPLACEMENTS, assert_kept, assert_same_charts, migrate_killed_everywhere, past_hour, read_charts,
    read_tiers, rollups, steps_of, store_history,
};
use crate::support::{TestDatabase, eventually, on_both_editions};

on_both_editions!(
    a_metric_and_a_family_are_added_and_removed,
    a_retired_metric_leaves_the_rollups,
    a_column_of_another_type_is_rebuilt,
    earlier_rows_are_rolled_up_whatever_interrupts_it,
    a_matching_database_is_left_alone,
);

/// What the product might measure next: two more CPU metrics and another family.
fn trial_definition() -> Definition {
    definition_with(trial_cpu(), &[trial_table()])
}

/// The product's definition with another CPU table, and more tables.
fn definition_with(cpu: Table, more: &[Table]) -> Definition {
    let tables = Table::ALL.map(|table| if table.name == cpu.name { cpu } else { *table });
    Definition::new([tables.as_slice(), more].concat())
}

fn trial_cpu() -> Table {
    Table {
        columns: with(Family::Cpu.columns(), &[column("trial_percent"), column("trial_level")]),
        metrics: with(
            Family::Cpu.metrics(),
            &[gauge("trialPercent", "trial_percent", true), gauge("trialLevel", "trial_level", false)],
        ),
        ..*Family::Cpu.declaration()
    }
}

fn trial_table() -> Table {
    const COLUMNS: &[Column] = &[
        Column { name: "ts", column_type: ColumnType::Int8, is_optional: false },
        Column { name: "agent_key", column_type: ColumnType::Int4, is_optional: false },
        column("warmth"),
    ];
    const METRICS: &[Metric] = &[gauge("warmth", "warmth", false)];
    Table {
        name: "trial_metrics",
        doc: "",
        fields: &[],
        series: None,
        columns: COLUMNS,
        families: &[],
        metrics: METRICS,
        histogram: None,
        finest_rollup: FinestRollup::Minute,
        retired: &[],
    }
}

const fn column(name: &'static str) -> Column {
    Column { name, column_type: ColumnType::Float4, is_optional: true }
}

const fn gauge(name: &'static str, column: &'static str, is_optional: bool) -> Metric {
    let kind = MetricKind::Gauge { is_optional, keeps_last: true };
    Metric { name, column, unit: Unit::Percent, kind }
}

/// Returns a list with more at its end, leaked for the life of the process.
fn with<T: Copy>(list: &[T], more: &[T]) -> &'static [T] {
    Box::leak([list, more].concat().into_boxed_slice())
}

/// Does in advance what the server does for the trial.
async fn migrate_raw_tables(client: &Client) {
    client
        .batch_execute(
            "ALTER TABLE cpu_metrics ADD COLUMN trial_percent float4, ADD COLUMN trial_level float4; \
             CREATE TABLE trial_metrics (ts int8 NOT NULL, agent_key int4 NOT NULL, warmth float4 NOT NULL, \
                 PRIMARY KEY (agent_key, ts)); \
             SELECT create_hypertable('trial_metrics', by_range('ts', BIGINT '86400000'), \
                 create_default_indexes => false); \
             SELECT set_integer_now_func('trial_metrics', 'pika_now_ms')",
        )
        .await
        .unwrap();
}

/// Stores samples with the trial's values over an hour, as a server that knows the trial would.
async fn store_trial_samples(client: &Client, hour: i64) {
    let end = hour + HOUR_MS;
    client
        .batch_execute(&format!(
            "INSERT INTO cpu_metrics (ts, agent_key, core_count, usage_percent, trial_percent, trial_level) \
                 SELECT ts, 90, 1, 10, 20, 30 FROM generate_series({hour}, {end} - 1, 10000) AS ts; \
             INSERT INTO trial_metrics SELECT ts, 90, 25 FROM generate_series({hour}, {end} - 1, 10000) AS ts; \
             INSERT INTO rollup_changes (tier, start_ms, end_ms) VALUES ('1m', {hour}, {end})"
        ))
        .await
        .unwrap();
}

/// Returns the columns of a relation that begin with a word.
async fn columns(client: &Client, relation: &str, word: &str) -> Vec<String> {
    let sql = "SELECT attname::text FROM pg_attribute \
               WHERE attrelid = $1::text::regclass AND 0 < attnum AND NOT attisdropped AND starts_with(attname, $2) \
               ORDER BY 1";
    client.query(sql, &[&relation, &word]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Returns the average of a metric in a one-hour chart read from a tier.
async fn average(client: &Client, table: &Table, tier: Tier, metric: usize, hour: i64) -> Option<f64> {
    let n_finer = Tier::ALL.into_iter().filter(|finer| *finer < tier).count();
    let bounds = [hour].into_iter().chain(std::iter::repeat_n(hour + HOUR_MS, 1 + n_finer));
    let mut parameters: Vec<Box<dyn ToSql + Sync>> = vec![Box::new(90_i32), Box::new(HOUR_MS)];
    parameters.extend(bounds.map(|bound| Box::new(bound) as Box<dyn ToSql + Sync>));
    let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(AsRef::as_ref).collect();
    let rows = client.query(&statements::chart(table, tier), &parameters).await.unwrap();
    assert_eq!(rows.len(), 1, "{tier:?}");
    rows[0].get(2 + 3 * metric)
}

async fn a_metric_and_a_family_are_added_and_removed(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    store_history(&store, &client).await;
    let (before, charts_before) = (read_tiers(&client).await, read_charts(&store).await);

    let trial = database.store().with_definition(trial_definition());
    let steps = migrate_killed_everywhere(&trial, async |_| {
        assert_kept(&before, &read_tiers(&client).await);
        assert_same_charts(&charts_before, &read_charts(&store).await);
    })
    .await;
    assert!(!steps.is_empty());
    assert_kept(&before, &read_tiers(&client).await);
    for tier in Tier::ROLLUPS {
        let cpu = format!("cpu_metrics_{}", tier.name());
        assert_eq!(columns(&client, &cpu, "trial_percent").await.len(), 5, "{cpu}");
        let filled =
            format!("SELECT count(*) FROM {cpu} WHERE 0 < trial_percent_n OR trial_level_sum IS NOT NULL");
        assert_eq!(database.count(&filled).await, 0, "{cpu}");
    }

    // Half an hour without, then an hour with the new metrics: charts count only samples that have them.
    let hour = past_hour();
    client
        .batch_execute(&format!(
            "INSERT INTO cpu_metrics (ts, agent_key, core_count, usage_percent) \
             SELECT ts, 90, 1, 70 FROM generate_series({hour} - {HOUR_MS}, {hour} - 1, 10000) AS ts"
        ))
        .await
        .unwrap();
    store_trial_samples(&client, hour).await;
    roll_up(&trial, &client).await;
    for tier in [Tier::Raw, Tier::OneMinute, Tier::OneHour] {
        for (metric, expected) in [(0, 10.0), (6, 20.0), (7, 30.0)] {
            assert_eq!(average(&client, &trial_cpu(), tier, metric, hour).await, Some(expected), "{tier:?}");
        }
        assert_eq!(average(&client, &trial_table(), tier, 0, hour).await, Some(25.0), "{tier:?}");
    }

    // Back to a server without the trial: nothing of it is lost, and nothing is in the way.
    store.migrate(now()).await.unwrap();
    store_trial_samples(&client, hour - HOUR_MS * 2).await;
    roll_up(&store, &client).await;
    assert_kept(&before, &read_tiers(&client).await);
    let kept = format!("SELECT trial_percent_n FROM cpu_metrics_1h WHERE agent_key = 90 AND bucket = {hour}");
    assert_eq!(database.count(&kept).await, 360);
    let family = "SELECT count(*) FROM trial_metrics_1h WHERE agent_key = 90 AND n = 360";
    assert!(1 <= database.count(family).await);
}

async fn a_retired_metric_leaves_the_rollups(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    store_history(&store, &client).await;
    let before = read_tiers(&client).await;
    let metrics: Vec<Metric> = Family::Cpu
        .metrics()
        .iter()
        .copied()
        .filter(|metric| metric.column != "steal_percent" && metric.column != "user_percent")
        .collect();
    // One is no longer measured, the other is to be dropped.
    let cpu =
        Table { metrics: with(&metrics, &[]), retired: &["steal_percent"], ..*Family::Cpu.declaration() };
    let tables = Table::ALL
        .into_iter()
        .filter(|table| table.name != Family::Memory.table())
        .map(|table| if table.name == cpu.name { cpu } else { *table });
    let fewer = database.store().with_definition(Definition::new(tables.collect::<Vec<_>>()));
    let steps = migrate_killed_everywhere(&fewer, async |_| {
        assert_kept(&before, &read_tiers(&client).await);
    })
    .await;
    assert!(!steps.is_empty());
    let after = read_tiers(&client).await;
    assert_kept(&before, &after);
    for tier in Tier::ROLLUPS {
        assert!(columns(&client, &format!("cpu_metrics_{}", tier.name()), "steal").await.is_empty());
    }
    let is_community = store.database_info().await.unwrap().edition == Edition::Community;
    if !is_community {
        assert_eq!(columns(&client, "cpu_metrics_1d", "user_percent").await.len(), 4, "not asked to go");
    }
    assert!(steps_of(&fewer).await.is_empty());
}

/// The product's definition with a wider type for the number of cores: all rollups of CPU are rebuilt.
pub(crate) fn with_wider_cores() -> Definition {
    let columns: Vec<Column> = Family::Cpu
        .columns()
        .iter()
        .map(|column| match column.name {
            "core_count" => Column { column_type: ColumnType::Int8, ..*column },
            _ => *column,
        })
        .collect();
    definition_with(Table { columns: with(&columns, &[]), ..*Family::Cpu.declaration() }, &[])
}

async fn a_column_of_another_type_is_rebuilt(database: TestDatabase) {
    let store = database.store();
    let client = database.connect().await;
    store_history(&store, &client).await;
    let (before, charts_before) = (read_tiers(&client).await, read_charts(&store).await);
    let wider = database.store().with_definition(with_wider_cores());
    let steps = migrate_killed_everywhere(&wider, async |_| {
        assert_kept(&before, &read_tiers(&client).await);
        assert_same_charts(&charts_before, &read_charts(&store).await);
    })
    .await;
    for step in ["create next", "copied a piece", "replace", "drop former"] {
        assert!(steps.iter().any(|taken| taken == step), "{step} is not among {steps:?}");
    }
    let sql = "SELECT count(*) FROM pg_attribute WHERE attrelid = ANY (ARRAY['cpu_metrics_1m', 'cpu_metrics_1h', \
               'cpu_metrics_1d']::regclass[]) AND attname LIKE 'core\\_count\\_m%' AND atttypid = 'int8'::regtype";
    assert_eq!(database.count(sql).await, 6);
    assert_eq!(database.count(REPLACEMENTS).await, 0);
    roll_up(&wider, &client).await;
    assert_kept(&before, &read_tiers(&client).await);
    assert_same_charts(&charts_before, &read_charts(&wider).await);

    // Interrupted, and then no longer wanted.
    let mut n_steps = 0;
    store
        .migrate_while(now(), |_| {
            n_steps += 1;
            n_steps < 4
        })
        .await
        .unwrap_err();
    wider.migrate(now()).await.unwrap();
    assert_eq!(database.count(REPLACEMENTS).await, 0);
    assert_kept(&before, &read_tiers(&client).await);
    assert_same_charts(&charts_before, &read_charts(&wider).await);
}

async fn earlier_rows_are_rolled_up_whatever_interrupts_it(database: TestDatabase) {
    let client = database.connect().await;
    migrate_raw_tables(&client).await;
    let hours = [past_hour(), past_hour() - 60 * HOUR_MS, past_hour() - 200 * HOUR_MS];
    for hour in hours {
        store_trial_samples(&client, hour).await;
    }
    client.batch_execute("DELETE FROM rollup_changes").await.unwrap();
    let trial = database.store().with_definition(trial_definition());
    migrate_killed_everywhere(&trial, async |_| {}).await;
    // If policies run, they may be in the way the first time.
    eventually("all of it to be rolled up", || async {
        roll_up(&trial, &client).await;
        for (tier, n_buckets) in [("1m", 180), ("1h", 3), ("1d", 2)] {
            let sql = format!(
                "SELECT count(*) FROM trial_metrics_{tier} WHERE warmth_sum = 25 * n AND agent_key = 90"
            );
            if database.count(&sql).await < n_buckets {
                return None;
            }
        }
        Some(())
    })
    .await;
    assert_eq!(database.count("SELECT sum(n)::int8 FROM trial_metrics_1m").await, 3 * HOUR_MS / 10_000);
    assert_eq!(MINUTE_MS / 10_000, 6);
}

async fn a_matching_database_is_left_alone(database: TestDatabase) {
    let store = database.store();
    assert!(steps_of(&store).await.is_empty());
    assert!(19 <= rollups().len());
}
