//! Once the server reports that it is ready, users can log in.

use crate::support::server::{ADMIN_PASSWORD, config};
use crate::support::{TestDatabase, TestServer, eventually};

#[tokio::test]
async fn a_ready_server_accepts_its_first_administrator() {
    let database = TestDatabase::on_server().await;
    let blocker = database.connect().await;
    blocker.batch_execute("BEGIN; LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE").await.unwrap();
    let server = TestServer::start_unready(config(&database.url)).await;
    eventually("the first administrator is being created", || async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO users%'";
        (0 < database.count(waiting).await).then_some(())
    })
    .await;
    let early = server.get("/readyz").await;
    assert_eq!((early.status, server.get("/healthz").await.status), (503, 200), "{early:?}");
    assert!(early.headers.contains_key("retry-after"), "{early:?}");
    blocker.batch_execute("COMMIT").await.unwrap();
    server.ready().await;
    let login = server.login("admin", ADMIN_PASSWORD).await;
    assert_eq!(login.status, 200, "{login:?}");
    server.stop().await.unwrap();
}
