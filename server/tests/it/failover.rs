//! Several hosts of a database: the one that accepts writes is used, also after that has changed.

use std::time::Duration;

use pika_server::domain::audit::Action;
use pika_server::domain::tier::HOUR_MS;
use pika_server::domain::token::NewToken;
use pika_server::store::{Error, MigrateError, NewEnrollment, SampleWriter, Store, WriteMethod};
use pika_shared::token::TokenKind;

use crate::rollups::random_rows;
use crate::support::client::now;
use crate::support::cluster::TestCluster;
use crate::support::database::{connect, store as open_store};
use crate::support::{Random, TestDatabase, by_test};

/// A small write through the pool.
async fn enroll(store: &Store) -> Result<(), Error> {
    let new = NewEnrollment {
        name: "test".to_owned(),
        token_hash: NewToken::random(TokenKind::Enrollment).unwrap().hash,
        max_uses: 1,
        expires_at: now() + HOUR_MS,
    };
    store.insert_enrollment(&new, by_test(Action::EnrollmentCreated)).await.map(drop)
}

/// Repeats a write until it has reached the database; that it cannot be made yet is temporary.
async fn until(
    database: &TestDatabase,
    sql: &str,
    expected: i64,
    mut write: impl AsyncFnMut() -> Result<(), Error>,
) {
    let repeated = async {
        loop {
            if let Err(error) = write().await {
                assert!(error.is_temporary(), "{error:?}");
            }
            if database.count(sql).await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), repeated).await.expect(sql);
}

/// The host that was written to becomes read-only, as one that is demoted, while another one takes over.
#[tokio::test]
async fn the_host_that_accepts_writes_is_used_and_another_one_once_it_takes_over() {
    let second = TestDatabase::on_server().await;
    let first = TestCluster::start().await;
    // The same role and database at both.
    let (authority, database) = second.url.strip_prefix("postgres://").unwrap().rsplit_once('/').unwrap();
    let database = database.trim_end_matches('?');
    let (login, second_host) = authority.rsplit_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let superuser = connect(&first.superuser_url("postgres")).await;
    superuser.batch_execute(&format!("ALTER ROLE {user} PASSWORD '{password}'")).await.unwrap();
    superuser.batch_execute(&format!("CREATE DATABASE {database} OWNER {user}")).await.unwrap();
    let at_first = connect(&first.superuser_url(database)).await;
    at_first.batch_execute("CREATE EXTENSION IF NOT EXISTS timescaledb").await.unwrap();
    let first_host = first.url.rsplit_once('@').unwrap().1.split('/').next().unwrap();
    let store = open_store(&format!("postgres://{login}@{first_host},{second_host}/{database}"));
    store.migrate(now()).await.unwrap();

    let rows = random_rows(&mut Random::announced(), now() - HOUR_MS, now(), 50);
    let mut writer = SampleWriter::new(store.clone(), WriteMethod::Copy);
    writer.write(&rows).await.unwrap();
    enroll(&store).await.unwrap();
    let count = "SELECT count(*) FROM cpu_metrics";
    let n_rows: i64 = at_first.query_one(count, &[]).await.unwrap().get(0);
    assert!(0 < n_rows);
    assert_eq!((second.count(count).await, second.count("SELECT count(*) FROM enrollments").await), (0, 0));

    superuser.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    superuser.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    // The writer notices when a flush is refused, which it repeats; the pool when it hands out a connection.
    until(&second, count, n_rows, async || writer.write(&rows).await.map(drop)).await;
    until(&second, "SELECT least(count(*), 1) FROM enrollments", 1, async || enroll(&store).await).await;

    for attributes in ["", "?target_session_attrs=any"] {
        let alone = open_store(&format!("postgres://{login}@{first_host}/{database}{attributes}"));
        let error = alone.migrate(now()).await.unwrap_err();
        assert!(matches!(error, MigrateError::Connect(Error::ReadOnly)), "{error:?}");
        assert!(
            error.is_temporary()
                && pika_shared::chain(&error).to_string().contains("no host of database.url is a primary"),
            "{error:?}"
        );
    }
}
