//! The locks by which servers exclude each other: one server at a time does a thing, whatever release it is of, and
//! nobody else can keep all of them from it.

use pika_server::domain::audit::Action;
use pika_server::domain::id::UserId;
use pika_server::store::UserError;
use tokio_postgres::Client;

use crate::grafana_reader::reader;
use crate::support::client::now;
use crate::support::{TestDatabase, by_test, eventually};

/// The advisory locks of release 0.1: migration, maintenance, users, policies, evaluation.
const ADVISORY: [&str; 5] =
    ["x'70696b610001'", "x'70696b610002'", "x'70696b610003'", "x'70696b610004'", "x'70696b610005'"];

/// Holds the lock of the maintenance as another server would.
async fn hold(client: &Client) {
    let sql = "UPDATE server_locks SET (process, process_started_at) = \
                   (SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()) \
               WHERE name = 'maintenance'";
    assert_eq!(client.execute(sql, &[]).await.unwrap(), 1);
}

async fn is_elsewhere(database: &TestDatabase) -> bool {
    database.store().maintain(now()).await.unwrap().is_elsewhere
}

#[tokio::test]
async fn only_one_server_at_a_time_does_maintenance() {
    let database = TestDatabase::on_server().await;
    let held = "SELECT count(*) FROM server_locks WHERE process IS NOT NULL AND name = 'maintenance'";
    assert!(!is_elsewhere(&database).await);
    assert_eq!(database.count(held).await, 0, "the lock does not outlive the round");
    let other = database.connect().await;
    hold(&other).await;
    assert!(is_elsewhere(&database).await);
    // A server that ends without a word holds nothing any more.
    drop(other);
    eventually("the lock is free", || async { (!is_elsewhere(&database).await).then_some(()) }).await;
    // Nor does one whose number another process has been given since.
    let other = database.connect().await;
    hold(&other).await;
    other
        .batch_execute("UPDATE server_locks SET process_started_at = process_started_at - interval '1 day'")
        .await
        .unwrap();
    assert!(!is_elsewhere(&database).await);
}

#[tokio::test]
async fn a_server_of_an_earlier_release_is_excluded_and_excludes() {
    let database = TestDatabase::on_server().await;
    let old = database.connect().await;
    let lock = format!("SELECT pg_advisory_lock(CAST({} AS int8))", ADVISORY[1]);
    old.batch_execute(&lock).await.unwrap();
    assert!(is_elsewhere(&database).await);
    old.batch_execute(&lock.replace("_lock", "_unlock")).await.unwrap();
    assert!(!is_elsewhere(&database).await);
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(database.count(held).await, 0, "the lock does not outlive the round");
}

#[tokio::test]
async fn a_reader_keeps_no_server_from_anything() {
    let database = TestDatabase::on_server().await;
    let reader = reader(&database).await;
    for key in ADVISORY {
        reader.batch_execute(&format!("SELECT pg_advisory_lock(CAST({key} AS int8))")).await.unwrap();
    }
    let store = database.store();
    assert!(!is_elsewhere(&database).await);
    store.migrate(now()).await.unwrap();
    let mut connection = store.alert_connection().await.unwrap();
    assert!(connection.begin().await.unwrap().is_some());
    // Two servers still exclude each other.
    let other = database.connect().await;
    hold(&other).await;
    assert!(is_elsewhere(&database).await);
    let deleted = store.delete_user(UserId::random(), by_test(Action::UserDeleted)).await;
    assert!(matches!(deleted, Err(UserError::NotFound)), "{deleted:?}");
}
