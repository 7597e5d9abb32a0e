//! The primary is lost while agents report, and its standby takes over.

use crate::support::cluster::TestCluster;
use crate::support::database::connect;
use crate::support::server::config;
use crate::support::{Fleet, Random, TestServer, eventually};

/// With synchronous replication, what is acknowledged outlives the primary.
#[tokio::test]
async fn a_lost_primary_takes_no_acknowledged_sample_with_it() {
    let mut random = Random::announced();
    let primary = TestCluster::start().await;
    let standby = primary.start_standby().await;
    let superuser = connect(&primary.superuser_url("postgres")).await;
    superuser.batch_execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await.unwrap();
    superuser.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    eventually("the standby is synchronous", || async {
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        (superuser.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    // The standby first: it is passed over as long as it is one.
    let (_, primary_host) = primary.url.rsplit_once('@').unwrap();
    let (login, standby_host) = standby.url.rsplit_once('@').unwrap();
    let (standby_host, _) = standby_host.split_once('/').unwrap();
    let mut config = config(&format!("{login}@{standby_host},{primary_host}"));
    config.ingest.sample_spacing_ms_min = Fleet::SPACING_MS;
    let server = TestServer::start_with(config).await;
    let fleet = Fleet::start(&server, &server.address, 4, &mut random).await;
    fleet.acknowledged(100 + usize::try_from(random.below(300)).unwrap()).await;
    primary.kill().await;
    let promoting = connect(&standby.superuser_url("postgres")).await;
    promoting.batch_execute("SELECT pg_promote()").await.unwrap();
    fleet.acknowledged(300).await;
    fleet.check(&standby.url).await;
    fleet.finish(&standby.url).await;
    server.stop().await.unwrap();
}
