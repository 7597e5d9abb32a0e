//! The server's process is killed while it writes.

use std::time::Duration;

use crate::support::process::{ServerProcess, lasting_port};
use crate::support::{Fleet, Random, TestDatabase, TestServer};

const ROUNDS: usize = 6;

#[tokio::test]
async fn a_server_killed_mid_flush_loses_and_duplicates_nothing() {
    let mut random = Random::announced();
    let database = TestDatabase::on_server().await;
    let port = lasting_port(&mut random);
    let server = TestServer::start(&database.url).await;
    let fleet = Fleet::start(&server, &format!("127.0.0.1:{port}"), 4, &mut random).await;
    server.stop().await.unwrap();
    for _ in 0..ROUNDS {
        let process = ServerProcess::start(&database.url, port);
        fleet.acknowledged(1 + usize::try_from(random.below(100)).unwrap()).await;
        tokio::time::sleep(Duration::from_millis(random.below(40))).await;
        process.kill().await;
        fleet.check(&database.url).await;
    }
    let _process = ServerProcess::start(&database.url, port);
    fleet.finish(&database.url).await;
}
