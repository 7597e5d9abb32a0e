//! Grafana's dashboards and the queries of `sql/README.md`: well-formed, and run as the role that Grafana has.

use std::collections::BTreeSet;
use std::path::Path;

use pika_server::domain::tier::{DAY_MS, HOUR_MS, MINUTE_MS};
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::grafana::three_days;
use crate::grafana_reader::reader;
use crate::support::client::now;
use crate::support::macros::Panel;
use crate::support::{TestDatabase, on_both_editions};

on_both_editions!(every_query_of_the_dashboards_answers, every_query_of_the_readme_answers);

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/grafana");
const README: &str = include_str!("../../../sql/README.md");

/// Units of Grafana that the dashboards use.
const UNITS: [&str; 11] = [
    "percent",
    "bytes",
    "binBps",
    "short",
    "s",
    "ms",
    "dtdurationms",
    "dateTimeFromNow",
    "dateTimeAsIso",
    "bool_on_off",
    "string",
];
/// Panels that have nothing to show where all is well, or where there are no days yet.
const MAY_BE_EMPTY: [&str; 1] = ["Dropped samples"];

struct Dashboard {
    name: String,
    json: Value,
}

fn dashboards() -> Vec<Dashboard> {
    let files = std::fs::read_dir(format!("{FOLDER}/dashboards")).unwrap();
    let dashboards = files.map(|file| {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Dashboard { name, json: serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() }
    });
    let dashboards: Vec<Dashboard> = dashboards.collect();
    assert_eq!(dashboards.len(), 4);
    dashboards
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// A query, what it is called, and what its answer is taken for.
struct Query {
    name: String,
    sql: String,
    format: String,
}

fn queries(dashboard: &Dashboard) -> Vec<Query> {
    let query = |name: &Value, target: &Value| Query {
        name: format!("{}, {}", dashboard.name, name.as_str().unwrap()),
        sql: target["rawSql"].as_str().unwrap().to_owned(),
        format: target["format"].as_str().unwrap().to_owned(),
    };
    let mut queries = Vec::new();
    for panel in list(&dashboard.json, "panels") {
        queries.extend(list(panel, "targets").iter().map(|target| query(&panel["title"], target)));
    }
    for annotation in list(&dashboard.json["annotations"], "list") {
        queries.push(query(&annotation["name"], &annotation["target"]));
    }
    for variable in list(&dashboard.json["templating"], "list") {
        if variable["type"] == "query" {
            queries.push(Query {
                name: format!("{}, variable {}", dashboard.name, variable["name"]),
                sql: variable["query"].as_str().unwrap().to_owned(),
                format: "variable".to_owned(),
            });
        }
    }
    queries
}

#[test]
fn dashboards_are_what_their_source_makes() {
    let made = tempfile::TempDir::new().unwrap();
    let status = std::process::Command::new("node")
        .arg(format!("{FOLDER}/dashboards.mjs"))
        .arg(made.path())
        .status()
        .expect("node is missing: run ./test.sh, which installs it");
    assert!(status.success());
    let read = |folder: &Path| {
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        let mut files: Vec<_> =
            files.map(|file| (file.file_name(), std::fs::read_to_string(file.path()).unwrap())).collect();
        files.sort();
        files
    };
    let committed = read(Path::new(&format!("{FOLDER}/dashboards")));
    assert!(read(made.path()) == committed, "run node docker/grafana/dashboards.mjs");
}

#[test]
fn dashboards_are_well_formed() {
    for dashboard in dashboards() {
        let (name, json) = (&dashboard.name, &dashboard.json);
        assert_eq!(json["uid"], name.as_str());
        assert_eq!((&json["schemaVersion"], &json["id"]), (&Value::from(42), &Value::Null), "{name}");
        let text = json.to_string();
        for wrong in [
            ":raw}",
            ":csv}",
            "$__from",
            "$__to\"",
            "${__from",
            "${__to",
            "$__timeFilter",
            "libraryPanel",
            "\"elements\"",
        ] {
            assert!(!text.contains(wrong), "{name} has {wrong}");
        }
        let variables: Vec<&str> = list(&json["templating"], "list")
            .iter()
            .map(|variable| variable["name"].as_str().unwrap())
            .collect();
        for query in queries(&dashboard) {
            let mut rest = query.sql.as_str();
            while let Some((_, after)) = rest.split_once('$') {
                let after = after.strip_prefix('{').unwrap_or(after);
                let used: String =
                    after.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect();
                assert!(
                    used.starts_with("__") || variables.contains(&used.as_str()),
                    "{}: ${used}",
                    query.name
                );
                rest = after;
            }
        }
        check_panels(name, json);
    }
}

fn check_panels(name: &str, json: &Value) {
    let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in list(json, "panels") {
        let title = panel["title"].as_str().unwrap();
        let what = format!("{name}, {title}");
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "{what}: its id is another's, too");
        let place = |side: &str| panel["gridPos"][side].as_i64().unwrap();
        assert!(place("x") + place("w") <= 24, "{what} is outside");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(cells.insert((x, y)), "{what} overlaps another");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(titles.insert(title), "{what}: there are two");
        assert!(8 < panel["description"].as_str().unwrap().len(), "{what}: what is it?");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{what}");
        let defaults = &panel["fieldConfig"]["defaults"]["unit"];
        let overrides =
            list(&panel["fieldConfig"], "overrides").iter().flat_map(|one| list(one, "properties"));
        let units = overrides.filter(|property| property["id"] == "unit").map(|property| &property["value"]);
        for unit in units.chain([defaults]) {
            assert!(UNITS.contains(&unit.as_str().unwrap()), "{what}: {unit} is no unit");
        }
    }
}

/// What the fleet would have written besides samples.
async fn whole_fleet(database: &TestDatabase) {
    let client = database.connect().await;
    three_days(database, &client).await;
    let at = now() - 5 * MINUTE_MS;
    client
        .batch_execute(&format!(
            "UPDATE agents SET tags = '{{web,''s}}', last_seen_at = {at}, identity_conflict_at = {at}, status = 1; \
             INSERT INTO agent_latest (agent_key, ts, cpu_usage_percent, memory_usage_percent, disk_usage_percent, load1, \
                 memory_used_bytes, memory_total_bytes, received_bytes_per_second, sent_bytes_per_second) \
                 SELECT key, {at}, 95, 95, 95, 2, 1, 2, 3, 4 FROM agents; \
             INSERT INTO server_history (at, server, interval_ms, version, started_at, agents_connected, connections, \
                     queue_frames, pending_rows, pool_connections, pool_connections_used, resident_bytes, frames_received, \
                     frames_missing, rows_stored, rows_duplicate, samples_dropped, flush_errors, database_errors, refusals, \
                     cpu_percent, ack_p50_ms, ack_p99_ms) \
                 SELECT {at} - i * 60000, 'web:1', 60000, '1', 0, 3, 4, 0, 1, 8, 1, 1000000, 5, 0, 600, 0, 0, 0, 0, \
                     '{{\"malformed\": 2}}', 1.5, 20, 30 FROM generate_series(0, 9) AS i; \
             INSERT INTO storage_history (at, relation, family, tier, bytes, chunks, columnstore_chunks, database_bytes) \
                 SELECT {at} - i * 3600000, 'cpu_metrics', 'cpu', 'raw', 100 - i, 1, 0, 200 - i \
                 FROM generate_series(0, 9) AS i; \
             INSERT INTO sample_gaps VALUES (1, {at}, {at}, 3, 'spool_full', {at}); \
             INSERT INTO alerts (id, rule_name, rule_version, agent_key, agent_name, severity, peak_severity, state, \
                     started_at, fired_at, changed_at) \
                 VALUES (gen_random_uuid(), 'CPU', 1, 1, 'agent 1', 2, 2, 'firing', {at}, {at}, {at}); \
             INSERT INTO audit_log (at, actor_kind, actor_name, action, object_kind, object_name, address, request_id, details) \
                 VALUES ({at}, 'user', 'somebody', 'agent.update', 'agent', 'agent 1', '', '', '{{}}')"
        ))
        .await
        .unwrap();
}

/// The names of the columns, and the rows as texts; all as Grafana asks for it.
async fn run(client: &Client, sql: &str, what: &str) -> (Vec<String>, Vec<Vec<Option<String>>>) {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{what}: {sql}: {error:?}"));
    let (mut columns, mut rows) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(of) => {
                columns = of.iter().map(|column| column.name().to_owned()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                rows.push((0..row.len()).map(|index| row.get(index).map(ToOwned::to_owned)).collect());
            }
            _ => {}
        }
    }
    (columns, rows)
}

fn check_answer(query: &Query, columns: &[String], rows: &[Vec<Option<String>>], what: &str) {
    let has = |name: &str| columns.iter().any(|column| column == name);
    match query.format.as_str() {
        "time_series" => {
            let index = columns.iter().position(|column| column == "time");
            let index = index.unwrap_or_else(|| panic!("{what} has no time: {columns:?}"));
            assert!(rows.is_sorted_by_key(|row| row[index].clone()), "{what} is not sorted");
            let has_value = |row: &Vec<Option<String>>| {
                row.iter().enumerate().any(|(i, value)| i != index && value.is_some())
            };
            // A bucket that holds only an interface's first sample has no rates.
            assert!(rows.len() < 2 || rows.iter().any(has_value), "{what} has nothing but NULL");
        }
        "variable" => assert!(has("__text") && has("__value"), "{what}: {columns:?}"),
        format => assert_eq!(format, "table", "{what}"),
    }
}

async fn every_query_of_the_dashboards_answers(database: TestDatabase) {
    whole_fleet(&database).await;
    let client = reader(&database).await;
    client.batch_execute("SET statement_timeout = '5s'; SET timezone = 'UTC'").await.unwrap();
    let id = client.query_one("SELECT agent_id::text FROM grafana.agents WHERE agent_key = 1", &[]).await;
    let id: String = id.unwrap().get(0);
    for dashboard in dashboards() {
        for query in queries(&dashboard) {
            let is_host = dashboard.name == "pika-host";
            for span in [15 * MINUTE_MS, 6 * HOUR_MS, 30 * DAY_MS, 400 * DAY_MS] {
                for (agent, tag) in
                    [(&["1"][..], &["web", "'s"][..]), (&["1", "2", "3"], &["web"]), (&["-1"], &["-1"])]
                {
                    if is_host && agent != ["1"] {
                        continue;
                    }
                    let agent = if is_host { &[id.as_str()][..] } else { agent };
                    let variables =
                        [("agent", agent, !is_host), ("agent_key", &["1"], false), ("tag", tag, true)];
                    let panel = Panel {
                        from_ms: now() - span,
                        to_ms: now(),
                        interval_ms: (span / 720).max(5_000),
                        variables: &variables,
                    };
                    let sql =
                        panel.expand(&query.sql).unwrap_or_else(|error| panic!("{}: {error}", query.name));
                    let what = format!("{}, {} h of {agent:?}", query.name, span / HOUR_MS);
                    let (columns, rows) = run(&client, &sql, &what).await;
                    check_answer(&query, &columns, &rows, &what);
                    let may_be_empty = MAY_BE_EMPTY.iter().any(|title| query.name.ends_with(title));
                    assert!(
                        span < DAY_MS || may_be_empty || !rows.is_empty(),
                        "{what} answers nothing: {sql}"
                    );
                    check_plan(&client, &sql, &what).await;
                }
            }
        }
    }
}

/// No function of the schema that is asked for rows is executed as a whole.
async fn check_plan(client: &Client, sql: &str, what: &str) {
    let (_, plan) = run(client, &format!("EXPLAIN (COSTS off) {sql}"), what).await;
    for line in plan.iter().flatten().flatten() {
        if let Some((_, function)) = line.split_once("Function Scan on ") {
            let is_of_values = ["unnest ", "jsonb_each_text "].iter().any(|name| function.starts_with(name));
            assert!(is_of_values || function == "unnest", "{what}: {line}");
        }
    }
}

async fn every_query_of_the_readme_answers(database: TestDatabase) {
    whole_fleet(&database).await;
    let client = reader(&database).await;
    let (_, section) = README.split_once("### Ten queries").unwrap();
    let queries: Vec<&str> =
        section.split("```sql\n").skip(1).map(|block| block.split_once("```").unwrap().0).collect();
    assert_eq!(queries.len(), 10);
    let panel = Panel {
        from_ms: now() - 3 * DAY_MS,
        to_ms: now(),
        interval_ms: 10 * MINUTE_MS,
        variables: &[("agent", &["1"], true)],
    };
    for query in queries {
        let sql = panel.expand(query).unwrap();
        let (_, rows) = run(&client, &sql, query).await;
        assert!(!rows.is_empty(), "{sql} answers nothing");
        check_plan(&client, &sql, query).await;
    }
}
