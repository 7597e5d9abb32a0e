//! Migrations are idempotent, serialized, and refused if they cannot work.

use pika_server::store::{MigrateError, UnsupportedDatabase, statements};
use tokio_postgres::error::SqlState;

use crate::support::client::now;
use crate::support::database::store;
use crate::support::{TestDatabase, on_both_editions};

on_both_editions!(
    migrating_again_changes_nothing,
    every_statement_can_be_prepared,
    the_edition_is_recognized
);

async fn migrating_again_changes_nothing(database: TestDatabase) {
    let store = database.store();
    assert!(store.is_schema_current().await.unwrap());
    for _ in 0..2 {
        let migrated = store.migrate(now()).await.unwrap();
        assert!(migrated.applied.is_empty(), "{:?}", migrated.applied);
    }
    let hypertables =
        "SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'";
    assert!(5 <= database.count(hypertables).await);
}

async fn every_statement_can_be_prepared(database: TestDatabase) {
    let client = database.connect().await;
    for statement in statements::all() {
        client.prepare(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

async fn the_edition_is_recognized(database: TestDatabase) {
    let info = database.store().database_info().await.unwrap();
    let client = database.connect().await;
    let policy = client
        .batch_execute("SELECT add_retention_policy('cpu_metrics', BIGINT '1', if_not_exists => true)")
        .await;
    let expected = match policy {
        Ok(()) => "community",
        Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => "apache",
        Err(error) => panic!("{error:?}"),
    };
    assert_eq!(info.edition.as_str(), expected, "{info:?}");
}

#[tokio::test]
async fn two_servers_may_migrate_at_once() {
    let database = TestDatabase::on_server_unmigrated().await;
    let (one, two) = (database.store(), database.store());
    let (one, two) = tokio::join!(one.migrate(now()), two.migrate(now()));
    let (one, two) = (one.unwrap().applied.len(), two.unwrap().applied.len());
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/migrations")).unwrap();
    assert_eq!((one.min(two), one.max(two)), (0, files.count()));
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let database = TestDatabase::on_server().await;
    let client = database.connect().await;
    client
        .batch_execute(
            "INSERT INTO pika_migrations (version, name, applied_on, checksum) \
             SELECT 99, 'from_the_future', applied_on, checksum FROM pika_migrations WHERE version = 1",
        )
        .await
        .unwrap();
    let error = database.store().migrate(now()).await.unwrap_err();
    assert!(matches!(error, MigrateError::TooNew { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("newer Pika"), "{error}");
    assert!(!database.store().is_schema_current().await.unwrap());
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let database = TestDatabase::on_server().await;
    let client = database.connect().await;
    client.batch_execute("UPDATE pika_migrations SET checksum = '1' WHERE version = 2").await.unwrap();
    let error = database.store().migrate(now()).await.unwrap_err();
    assert!(matches!(error, MigrateError::Divergent(_)), "{error:?}");
}

#[tokio::test]
async fn an_extension_without_its_library_is_refused_with_advice() {
    let database = TestDatabase::on_server().await;
    let client = database.connect().await;
    // As after an upgrade of the package without one of the extension.
    client
        .batch_execute("UPDATE pg_extension SET extversion = '2.18.2' WHERE extname = 'timescaledb'")
        .await
        .unwrap();
    let error = database.store().migrate(now()).await.unwrap_err();
    assert!(matches!(error, MigrateError::Unsupported(UnsupportedDatabase::LibraryMissing(_))), "{error:?}");
    assert!(error.to_string().contains("ALTER EXTENSION timescaledb UPDATE"), "{error}");
}

#[tokio::test]
async fn a_database_without_timescaledb_is_refused_where_it_may_not_be_enabled() {
    let database = TestDatabase::on_server_unmigrated().await;
    let client = database.connect().await;
    let name: String = client.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
    let role = format!("{name}_role");
    // template1 may have the extension; this database must not.
    client
        .batch_execute(&format!(
            "DROP EXTENSION IF EXISTS timescaledb; CREATE ROLE {role} LOGIN PASSWORD 'test'; \
             REVOKE CREATE ON DATABASE {name} FROM PUBLIC"
        ))
        .await
        .unwrap();
    let (_, rest) = database.url.split_once('@').unwrap();
    let error = store(&format!("postgres://{role}:test@{rest}")).migrate(now()).await.unwrap_err();
    let text = error.to_string();
    client.batch_execute(&format!("DROP ROLE {role}")).await.unwrap();
    assert!(matches!(error, MigrateError::Unsupported(UnsupportedDatabase::NotCreated(_))), "{error:?}");
    assert!(text.contains("CREATE EXTENSION timescaledb"), "{text}");
}
