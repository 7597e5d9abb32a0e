//! The database's processes are killed while they commit.

use std::time::Duration;

use crate::support::cluster::{TestCluster, kill};
use crate::support::database::connect;
use crate::support::server::config;
use crate::support::{Fleet, Random, TestServer, eventually};

const ROUNDS: u64 = 2;

#[tokio::test]
async fn a_database_killed_mid_commit_loses_and_duplicates_nothing() {
    let mut random = Random::announced();
    let cluster = TestCluster::start().await;
    let client = connect(&cluster.url).await;
    for setting in ["fsync", "synchronous_commit"] {
        let row = client.query_one(&format!("SHOW {setting}"), &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "on", "{setting}: otherwise a commit is no promise");
    }
    let mut config = config(&cluster.url);
    config.ingest.sample_spacing_ms_min = Fleet::SPACING_MS;
    let server = TestServer::start_with(config).await;
    let fleet = Fleet::start(&server, &server.address, 4, &mut random).await;
    for round in 0..ROUNDS {
        fleet.acknowledged(1 + usize::try_from(random.below(100)).unwrap()).await;
        if round % 2 == 0 {
            kill_writing_backend(&cluster.url).await;
        } else {
            tokio::time::sleep(Duration::from_millis(random.below(40))).await;
            cluster.kill().await;
            nothing_is_acknowledged(&server, &fleet).await;
            cluster.restart().await;
        }
    }
    fleet.finish(&cluster.url).await;
    server.stop().await.unwrap();
}

/// Kills the backend of the server's writer within a transaction. The postmaster then ends all others, and recovers.
async fn kill_writing_backend(url: &str) {
    let client = eventually("the database takes connections", || async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    })
    .await;
    let writing = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pika-server' \
                   AND backend_xid IS NOT NULL AND query ~ '^(COPY|INSERT|COMMIT).*'";
    let process: i32 = eventually("the server writes", || async {
        client.query_opt(&format!("{writing} LIMIT 1"), &[]).await.unwrap().map(|row| row.get(0))
    })
    .await;
    kill(&[u32::try_from(process).unwrap()]).await;
    eventually("the backend is gone", || async { client.is_closed().then_some(()) }).await;
}

/// The server keeps running and answering, and acknowledges no samples that arrive while the database is away.
async fn nothing_is_acknowledged(server: &TestServer, fleet: &Fleet) {
    let n_errors = server.instruments.flush_errors();
    eventually("a flush has failed", || async {
        (n_errors < server.instruments.flush_errors()).then_some(())
    })
    .await;
    let before = fleet.accounts();
    let n_taken = || fleet.accounts().iter().map(|account| account.n_taken()).sum::<usize>();
    let wanted = n_taken() + 100;
    eventually("more samples are taken", || async { (wanted <= n_taken()).then_some(()) }).await;
    assert_eq!(server.get("/readyz").await.status, 503);
    for (before, after) in before.iter().zip(fleet.accounts()) {
        let is_new = |ts: &&i64| !before.acknowledged.contains(ts) && !before.held.contains(ts);
        assert_eq!(after.acknowledged.iter().find(is_new), None, "acknowledged without a database");
    }
}
