//! A database that PostgreSQL's own programs have dumped and restored: the server finds nothing to do, and the schema
//! `grafana` answers as before.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use pika_server::domain::family::Table;
use pika_server::domain::tier::{DAY_MS, HOUR_MS};
use tokio::process::Command;
use tokio_postgres::Client;

use crate::grafana::three_days;
use crate::grafana_reader::reader;
use crate::support::client::now;
use crate::support::{TestDatabase, TestServer};

/// Where `docker/database/cluster.sh` keeps PostgreSQL if the machine has none that is new enough.
const ROOT: &str = "/var/cache/pika/postgres-root";

/// A folder of PostgreSQL's programs, and the root in which it is.
fn programs(major: i32) -> (Option<PathBuf>, String) {
    let root = std::env::var("PIKA_POSTGRES_ROOT").map_or_else(|_| PathBuf::from(ROOT), PathBuf::from);
    for root in [None, Some(root)] {
        let folder = format!("/usr/lib/postgresql/{major}/bin");
        let place = root.as_deref().unwrap_or(Path::new("/")).join(folder.trim_start_matches('/'));
        if place.join("pg_dump").exists() && place.join("pg_restore").exists() {
            return (root, folder);
        }
    }
    panic!("pg_dump and pg_restore of PostgreSQL {major} are missing: install postgresql-client-{major}");
}

async fn run(major: i32, program: &str, arguments: &[&str], input: Stdio) -> Output {
    let (root, folder) = programs(major);
    let program = format!("{folder}/{program}");
    let mut command = match root {
        Some(root) => {
            // Only the superuser may enter another root.
            let is_superuser = std::fs::metadata("/proc/self").is_ok_and(|own| {
                use std::os::unix::fs::MetadataExt as _;
                own.uid() == 0
            });
            let mut command = Command::new(if is_superuser { "chroot" } else { "sudo" });
            if !is_superuser {
                command.args(["-n", "chroot"]);
            }
            command.arg(root).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.args(arguments).stdin(input).output().await.unwrap()
}

/// What all functions of the schema answer, as text.
async fn answers(client: &Client, end: i64) -> Vec<String> {
    // Sums of the same numbers in another order differ in the last digits.
    client.batch_execute("SET extra_float_digits = -6").await.unwrap();
    let mut answers = Vec::new();
    for table in Table::ALL {
        for step in [20_000, HOUR_MS, DAY_MS] {
            let sql = format!(
                "SELECT coalesce(string_agg(row::text, ';' ORDER BY row::text), '') FROM ( \
                     SELECT * FROM grafana.{}(to_timestamp({} / 1000.0), to_timestamp({end} / 1000.0), {step}) \
                 ) AS row",
                table.subject(),
                end - 2 * DAY_MS,
            );
            answers.push(client.query_one(&sql, &[]).await.unwrap().get(0));
        }
    }
    answers
}

#[tokio::test]
async fn a_restored_database_is_as_it_was() {
    let database = TestDatabase::on_server().await;
    let client = database.connect().await;
    three_days(&database, &client).await;
    // The role of the dump's privileges exists before it is restored.
    drop(reader(&database).await);
    let end = now();
    let before = answers(&client, end).await;
    assert!(before.iter().all(|answer| !answer.is_empty()));
    let major: i32 = client
        .query_one("SELECT current_setting('server_version_num')::int4 / 10000", &[])
        .await
        .unwrap()
        .get(0);
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("pika.dump");
    let dumped = run(major, "pg_dump", &["--format=custom", "--dbname", &database.url], Stdio::null()).await;
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    std::fs::write(&file, &dumped.stdout).unwrap();

    let restored = TestDatabase::on_server_unmigrated().await;
    let superuser = restored.connect().await;
    superuser.batch_execute("CREATE EXTENSION IF NOT EXISTS timescaledb").await.unwrap();
    superuser.batch_execute("SELECT timescaledb_pre_restore()").await.unwrap();
    let arguments = ["--no-owner", "--exit-on-error", "--dbname", &restored.url];
    let output = run(major, "pg_restore", &arguments, std::fs::File::open(&file).unwrap().into()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    superuser.batch_execute("SELECT timescaledb_post_restore()").await.unwrap();
    drop(superuser);

    let made = "SELECT oid::int8 FROM pg_namespace WHERE nspname = 'grafana'";
    let schema = restored.count(made).await;
    let store = restored.store();
    let migrated = store.migrate(now()).await.unwrap();
    assert!(migrated.applied.is_empty(), "{:?}", migrated.applied);
    assert_eq!(restored.count(made).await, schema, "the schema is what this server would make");
    assert!(answers(&restored.connect().await, end).await == before, "the functions answer as before");
    let role = reader(&restored).await;
    role.batch_execute("SELECT * FROM latest, cpu_1h, server_history").await.unwrap();
    // Locks that were held when it was dumped are not.
    assert!(!store.maintain(now()).await.unwrap().is_elsewhere);
    let server = TestServer::start(&restored.url).await;
    server.stop().await.unwrap();

    // A server of another release makes its own schema of it, and leaves that of a newer one alone.
    let client = restored.connect().await;
    for (version, is_remade) in [("0.0.1", true), ("99.0.0", false)] {
        let schema = restored.count(made).await;
        let comment = format!("COMMENT ON SCHEMA grafana IS 'SQL for people, made by Pika {version} abc'");
        client.batch_execute(&comment).await.unwrap();
        restored.store().migrate(now()).await.unwrap();
        assert_eq!(restored.count(made).await != schema, is_remade, "{version}");
    }
}
