//! Who reads the schema for Grafana can do nothing else.

use pika_server::store::statements;
use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::support::client::now;
use crate::support::database::connect;
use crate::support::{TestDatabase, eventually, on_both_editions};

on_both_editions!(the_reader_reads_the_schema_and_nothing_else);

const PASSWORD: &str = "a password of the tests";

/// Roles belong to all databases of a server.
static ROLE: Mutex<()> = Mutex::const_new(());

/// A connection of the role that the product makes.
pub(crate) async fn reader(database: &TestDatabase) -> Client {
    let store = database.store();
    {
        let _only_one = ROLE.lock().await;
        eventually("the role is made", || async {
            // Another test process may be at it.
            store.make_grafana_role(&SecretString::from(PASSWORD)).await.ok()
        })
        .await;
    }
    let (_, rest) = database.url.split_once('@').unwrap_or_else(|| database.url.split_once("//").unwrap());
    let url = format!("postgres://pika_grafana:{}@{rest}", PASSWORD.replace(' ', "%20"));
    let client = connect(&url).await;
    let user: String = client.query_one("SELECT current_user::text", &[]).await.unwrap().get(0);
    if user != "pika_grafana" {
        // PGlite knows one user only, who can become others.
        client
            .batch_execute(
                "SET SESSION AUTHORIZATION pika_grafana; SET search_path = grafana, public, pg_temp",
            )
            .await
            .unwrap();
    }
    client
}

/// No right to; and of views that nobody can write to, and what PGlite has not.
const REFUSALS: &[SqlState] = &[
    SqlState::INSUFFICIENT_PRIVILEGE,
    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
    SqlState::FEATURE_NOT_SUPPORTED,
];

const FORBIDDEN: &[&str] = &[
    "SELECT * FROM users",
    "SELECT * FROM sessions",
    "SELECT * FROM api_tokens",
    "SELECT * FROM enrollments",
    "SELECT * FROM audit_log",
    "SELECT * FROM public.agents",
    "SELECT * FROM agent_latest",
    "SELECT * FROM public.disks",
    "SELECT * FROM cpu_metrics",
    "SELECT * FROM cpu_metrics_1m",
    "SELECT * FROM ONLY cpu_metrics",
    "SELECT * FROM {chunk}",
    "SELECT * FROM public.alerts",
    "SELECT * FROM alert_channels",
    "SELECT * FROM alert_settings",
    "SELECT * FROM retention_settings",
    "SELECT * FROM rollup_changes",
    "SELECT * FROM pika_migrations",
    "SELECT pika_rollup_watermark('cpu_metrics_1m', '1m')",
    "EXPLAIN SELECT * FROM users",
    "DO $$ BEGIN PERFORM 1 FROM users; END $$",
    "PREPARE of_users AS SELECT * FROM users; EXECUTE of_users",
    "COPY users TO STDOUT",
    "COPY (SELECT * FROM users) TO STDOUT",
    "COPY (SELECT 1) TO '/tmp/pika-reader'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_ls_waldir()",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_statistic",
    "INSERT INTO grafana.agents (agent) VALUES ('x')",
    "UPDATE grafana.agents SET hostname = 'x'",
    "UPDATE grafana.retention SET keep_ms = 1",
    "DELETE FROM grafana.gaps",
    "DELETE FROM grafana.cpu_raw",
    "INSERT INTO users DEFAULT VALUES",
    "UPDATE users SET role = 'admin'",
    "DELETE FROM public.agents",
    "TRUNCATE cpu_metrics",
    "DO $$ BEGIN LOCK TABLE public.agents; END $$",
    "SELECT * FROM public.agents FOR UPDATE",
    "SELECT nextval('agents_key_seq')",
    "DROP VIEW grafana.latest",
    "DROP SCHEMA grafana CASCADE",
    "DROP TABLE users",
    "CREATE TABLE grafana.mine ()",
    "CREATE TABLE public.mine ()",
    "CREATE TEMP TABLE mine ()",
    "CREATE VIEW grafana.mine AS SELECT 1 AS one",
    "CREATE FUNCTION grafana.mine() RETURNS int LANGUAGE sql RETURN 1",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql RETURN 1",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "CREATE EXTENSION file_fdw",
    "CREATE PUBLICATION mine FOR ALL TABLES",
    "ALTER VIEW grafana.latest OWNER TO pika_grafana",
    "ALTER FUNCTION grafana.ms(timestamptz) VOLATILE",
    "ALTER ROLE pika_grafana SUPERUSER",
    "ALTER ROLE pika_grafana CONNECTION LIMIT -1",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "COMMENT ON VIEW grafana.latest IS 'mine'",
    "GRANT SELECT ON users TO pika_grafana",
    "SELECT drop_chunks('cpu_metrics', BIGINT '9000000000000')",
    "SELECT set_chunk_time_interval('cpu_metrics', BIGINT '1')",
    "SELECT set_integer_now_func('cpu_metrics', 'pika_now_ms', true)",
    "SELECT pg_reload_conf()",
    "SELECT pg_switch_wal()",
    "SELECT pg_stat_reset()",
    "SELECT pg_promote()",
    "SET session_replication_role = replica",
    "SET log_statement = 'none'",
];

async fn the_reader_reads_the_schema_and_nothing_else(database: TestDatabase) {
    let owner = database.connect().await;
    let ts = now();
    let insert =
        format!("INSERT INTO cpu_metrics (ts, agent_key, core_count, usage_percent) VALUES ({ts}, 1, 1, 1)");
    owner.batch_execute(&insert).await.unwrap();
    let chunk: String = owner.query_one("SELECT show_chunks('cpu_metrics')::text", &[]).await.unwrap().get(0);
    let reader = reader(&database).await;
    // Its settings are defaults only: what is refused is refused for want of rights.
    reader.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    let mut wrong = Vec::new();
    for form in FORBIDDEN {
        let result = reader.batch_execute(&form.replace("{chunk}", &chunk)).await;
        let code = result.err().and_then(|error| error.code().cloned());
        if !code.as_ref().is_some_and(|code| REFUSALS.contains(code)) {
            wrong.push(format!("{form}: {code:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for allowed in [
        "SELECT * FROM latest",
        "SELECT * FROM grafana.cpu_1m, events, alerts, gaps, presence, retention, freshness, disks, agents",
        "SELECT * FROM grafana.network(now() - interval '1 day', now(), 60000)",
        "SELECT * FROM grafana.disk_fleet('2026-11-24T11:05:30Z', '2026-11-25T11:05:30Z', 60000)",
    ] {
        reader.batch_execute(allowed).await.unwrap_or_else(|error| panic!("{allowed}: {error:?}"));
    }
}

#[tokio::test]
async fn a_reader_has_limits_and_its_long_statements_are_ended() {
    let database = TestDatabase::on_server().await;
    let reader = reader(&database).await;
    for (setting, expected) in [
        ("statement_timeout", "15s"),
        ("lock_timeout", "2s"),
        ("default_transaction_read_only", "on"),
        ("plan_cache_mode", "force_custom_plan"),
        ("search_path", "grafana, public, pg_temp"),
    ] {
        let found: String = reader.query_one(&format!("SHOW {setting}"), &[]).await.unwrap().get(0);
        assert_eq!(found, expected, "{setting}");
    }
    assert_eq!(
        database.count("SELECT rolconnlimit::int8 FROM pg_roles WHERE rolname = 'pika_grafana'").await,
        8
    );
    let owner = database.connect().await;
    let sleeping = tokio::spawn(async move {
        reader.batch_execute("SET statement_timeout = 0").await.unwrap();
        reader.batch_execute("SELECT pg_sleep(60)").await
    });
    let end = async |ms: f64| -> i64 {
        owner.query_one(statements::end_long_readers(), &[&ms]).await.unwrap().get(0)
    };
    eventually("the statement is ended", || async {
        assert_eq!(end(60_000.0).await, 0, "none of them is that old");
        (end(100.0).await == 1).then_some(())
    })
    .await;
    let error = sleeping.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
}
