//! A backup of the whole database by PostgreSQL's programs is restored as it was, or refused with the reason.
//!
//! On the server only: the programs cannot talk to PGlite, which has one session for all.

use std::path::Path;
use std::process::{Output, Stdio};

use pika_server::store::{MigrateError, UnsupportedDatabase};
use tokio::process::{Child, Command};

use crate::backups::fill;
use crate::support::client::now;
use crate::support::history::{read_tiers, store_history};
use crate::support::{TestDatabase, eventually};

fn spawn(database_url: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pika-server"));
    command.args(arguments).env_clear().kill_on_drop(true);
    command.env("DATABASE_URL", database_url);
    command.envs(std::env::var_os("PIKA_POSTGRES_ROOT").map(|root| ("PIKA_POSTGRES_ROOT", root)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

async fn pika_server(database_url: &str, arguments: &[&str]) -> Output {
    spawn(database_url, arguments).wait_with_output().await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn assert_refused(database_url: &str, directory: &Path, reason: &str) {
    let refused = pika_server(database_url, &["restore", directory.to_str().unwrap()]).await;
    assert!(refused.status.code() == Some(1) && said(&refused).contains(reason), "{}", said(&refused));
}

#[tokio::test]
async fn a_whole_backup_is_made_verified_and_restored() {
    let database = TestDatabase::on_server().await;
    let (store, client) = (database.store(), database.connect().await);
    fill(&client).await;
    store_history(&store, &client).await;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("whole");
    let path = directory.to_str().unwrap();
    let made = pika_server(&database.url, &["backup", "--kind", "whole", "--to", path, "--verify"]).await;
    assert!(made.status.success(), "{}", said(&made));
    assert!(said(&made).contains("with the same rows"), "{}", said(&made));
    assert_eq!(
        database.count("SELECT count(*) FROM pg_database WHERE datname LIKE 'pika_verify_%'").await,
        0
    );
    let again = pika_server(&database.url, &["backup", "--kind", "whole", "--to", path]).await;
    assert!(!again.status.success() && said(&again).contains("exists"), "{}", said(&again));

    let target = TestDatabase::on_server_unmigrated().await;
    let restored = pika_server(&target.url, &["restore", path]).await;
    assert!(restored.status.success(), "{}", said(&restored));
    let contents = store.table_contents().await.unwrap();
    assert!(contents.values().filter(|content| 0 < content.rows).count() > 20, "{contents:?}");
    assert_eq!(target.store().table_contents().await.unwrap(), contents);
    assert_eq!(read_tiers(&target.connect().await).await, read_tiers(&client).await);
    assert!(target.store().migrate(now()).await.unwrap().applied.is_empty());
    assert!(target.store().is_schema_current().await.unwrap());

    // What does not fit is refused, and changes nothing.
    assert_refused(&target.url, &directory, "empty database only").await;
    let empty = TestDatabase::on_server_unmigrated().await;
    let manifest = directory.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let version = store.database_info().await.unwrap().timescaledb_version;
    for (part, other, reason) in [
        (format!("\"timescaledb\": \"{version}\""), "\"timescaledb\": \"2.0.0\"", "TimescaleDB 2.0.0"),
        ("\"edition\": \"apache\"".to_owned(), "\"edition\": \"community\"", "Apache edition cannot read"),
        ("\"roles\": [".to_owned(), "\"roles\": [\"nobody of the tests\",", "nobody of the tests"),
        ("\"sha256\": \"".to_owned(), "\"sha256\": \"0", "its sum is not"),
        ("\"version\": 1".to_owned(), "\"version\": 2", "is not the manifest"),
    ] {
        assert!(text.contains(&part), "{part}");
        std::fs::write(&manifest, text.replacen(&part, other, 1)).unwrap();
        assert_refused(&empty.url, &directory, reason).await;
    }
    std::fs::write(&manifest, &text).unwrap();
    let pg_bin = ["restore", path, "--pg-bin", folder.path().to_str().unwrap()];
    let refused = pika_server(&empty.url, &pg_bin).await;
    assert!(said(&refused).contains("--pg-bin"), "{}", said(&refused));
    let tables =
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
    assert_eq!(empty.count(tables).await, 0);
}

/// Killed, it leaves a database that is being restored; asked to stop, it ends that, but nobody takes it for complete.
#[tokio::test]
async fn an_interrupted_restore_leaves_nothing_that_is_used() {
    let database = TestDatabase::on_server().await;
    let (store, client) = (database.store(), database.connect().await);
    store_history(&store, &client).await;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("whole");
    let path = directory.to_str().unwrap();
    let made = pika_server(&database.url, &["backup", "--kind", "whole", "--to", path]).await;
    assert!(made.status.success(), "{}", said(&made));
    for signal in ["-KILL", "-TERM"] {
        let target = TestDatabase::on_server_unmigrated().await;
        let watcher = target.connect().await;
        let mut child = spawn(&target.url, &["restore", path]);
        eventually("the restore has begun", || async {
            let sql = "SELECT to_regclass('public.users') IS NOT NULL";
            watcher.query_one(sql, &[]).await.unwrap().get::<_, bool>(0).then_some(())
        })
        .await;
        let id = child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
        assert!(!child.wait().await.unwrap().success(), "{signal}");
        let error = target.store().migrate(now()).await.unwrap_err();
        let is_expected = match &error {
            MigrateError::Unsupported(UnsupportedDatabase::Restoring) => signal == "-KILL",
            MigrateError::Unsupported(UnsupportedDatabase::RestoreUnfinished) => signal == "-TERM",
            _ => false,
        };
        assert!(is_expected, "{signal}: {error:?}");
        assert!(!target.store().is_schema_current().await.unwrap());
    }
}
