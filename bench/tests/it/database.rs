//! The database server of the tests.

/// Returns the URL of the server on which the benchmarks create their databases.
///
/// # Panics
/// If it is not set.
pub(crate) fn database_url() -> String {
    std::env::var("PIKA_TEST_DATABASE_URL").expect(
        "PIKA_TEST_DATABASE_URL is not set: run ./test.sh, which starts a database for the tests, or name a \
         TimescaleDB on which they may create and drop databases",
    )
}

/// Runs a statement as the role of the tests, and returns the number of its rows.
pub(crate) fn execute(sql: &str) -> usize {
    query(&database_url(), sql).len()
}

/// Returns the number that a statement yields in a database.
pub(crate) fn count(url: &str, sql: &str) -> i64 {
    query(url, sql)[0].get(0)
}

fn query(url: &str, sql: &str) -> Vec<tokio_postgres::Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let rows = client.query(sql, &[]).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
        rows
    })
}

/// Returns whether there is a database of this name.
pub(crate) fn exists(name: &str) -> bool {
    execute(&format!("SELECT FROM pg_database WHERE datname = '{name}'")) == 1
}
