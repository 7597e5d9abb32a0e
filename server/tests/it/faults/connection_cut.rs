//! Connections break at any byte: between agents and server, and between server and database.

use crate::support::account::stored;
use crate::support::process::{AgentProcess, Spool, enroll_agent};
use crate::support::server::config;
use crate::support::{Faults, Fleet, Proxy, Random, TestDatabase, TestServer, eventually};

#[tokio::test]
async fn broken_connections_lose_and_duplicate_nothing() {
    let mut random = Random::announced();
    let database = TestDatabase::on_server().await;
    let to_database = Proxy::start(&database.url).await;
    let mut config = config(&to_database.url(&database.url));
    config.database.connect_timeout_ms = 300;
    config.ingest.sample_spacing_ms_min = Fleet::SPACING_MS;
    let server = TestServer::start_with(config).await;
    let to_server = Proxy::start(&server.url("")).await;
    let fleet = Fleet::start(&server, &to_server.address(), 4, &mut random).await;
    // From within the upgrade up to some dozen frames; from within the login up to some dozen flushes.
    to_server.begin_faults(Faults { random: random.fork(), bits_min: 5, bits_max: 15 });
    to_database.begin_faults(Faults { random: random.fork(), bits_min: 10, bits_max: 16 });
    let what = format!("enough has broken (PIKA_TEST_SEED={})", random.seed());
    for n_faults in [4, 8] {
        eventually(&what, || async {
            (n_faults <= to_server.n_faults().min(to_database.n_faults())).then_some(())
        })
        .await;
        fleet.check(&database.url).await;
    }
    to_server.end_faults();
    to_database.end_faults();
    fleet.finish(&database.url).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_agent_gets_its_samples_through_a_connection_that_keeps_breaking() {
    let mut random = Random::announced();
    let database = TestDatabase::on_server().await;
    let server = TestServer::start(&database.url).await;
    let proxy = Proxy::start(&server.url("")).await;
    // Up to about two samples: it takes one per second.
    proxy.begin_faults(Faults { random: random.fork(), bits_min: 5, bits_max: 10 });
    let mut agents = Vec::new();
    for _ in 0..3 {
        let state = tempfile::tempdir().unwrap();
        let id = enroll_agent(&server, state.path()).await;
        agents.push((AgentProcess::start(&proxy.address(), state.path()), id, state));
    }
    let context = format!("PIKA_TEST_SEED={}", random.seed());
    eventually(&format!("enough has broken ({context})"), || async { (6 <= proxy.n_faults()).then_some(()) })
        .await;
    proxy.end_faults();
    for (mut agent, id, state) in agents {
        let last_id = eventually(&format!("samples are taken ({context}): {}", agent.log()), || async {
            Some(Spool::read(state.path()).last_id()).filter(|last_id| 0 < *last_id)
        })
        .await;
        eventually(&format!("all is acknowledged ({context}): {}", agent.log()), || async {
            Spool::read(state.path()).has_forgotten(last_id).then_some(())
        })
        .await;
        let acknowledged = Spool::read(state.path()).account().acknowledged;
        let rows = stored(&database.url, &id).await;
        Spool::read(state.path()).account().check(&acknowledged, &rows, is_whole, &context);
        assert!(agent.terminate().await.success());
        let account = Spool::read(state.path()).account();
        account.check_all_stored(&stored(&database.url, &id).await, is_whole, &context);
    }
    server.stop().await.unwrap();
}

/// The number of disks and interfaces depends on the machine.
fn is_whole([cpu, memory, load, _, _]: &[i64; 5]) -> bool {
    [cpu, memory, load] == [&1; 3]
}
