//! A migrated database for every test: cloned from a template on a real server, or started from one in PGlite.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::client::now;
use super::eventually;
use pika_server::store::{Store, StoreConfig};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

/// PGlite takes half a gigabyte per instance.
static BRIDGES: Semaphore = Semaphore::const_new(3);
static SERVER_TEMPLATE: OnceCell<String> = OnceCell::const_new();
static COMMUNITY_TEMPLATE: OnceCell<PathBuf> = OnceCell::const_new();
static COMMUNITY_FOLDER: LazyLock<CommunityFolder> = LazyLock::new(CommunityFolder::create);
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A database for a single test, dropped with this value.
pub(crate) struct TestDatabase {
    pub(crate) url: String,
    _place: Place,
}

#[expect(dead_code, reason = "held for what dropping them does")]
enum Place {
    Server(DropDatabase),
    Community(Box<Bridge>, TempDir, SemaphorePermit<'static>),
}

impl TestDatabase {
    /// Creates a migrated database on the server given by `PIKA_TEST_DATABASE_URL`.
    pub(crate) async fn on_server() -> Self {
        let template = SERVER_TEMPLATE.get_or_init(make_server_template).await;
        let name = format!("pika_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        execute(&server_url(), &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { url: with_database(&name), _place: Place::Server(DropDatabase(name)) }
    }

    /// Creates an empty database on that server.
    pub(crate) async fn on_server_unmigrated() -> Self {
        let name = format!("pika_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        execute(&server_url(), &format!("CREATE DATABASE {name}")).await;
        Self { url: with_database(&name), _place: Place::Server(DropDatabase(name)) }
    }

    /// Creates a migrated database of the Community edition.
    pub(crate) async fn on_community() -> Self {
        let template = COMMUNITY_TEMPLATE.get_or_init(make_community_template).await;
        Self::on_community_like(Some(template)).await
    }

    /// Creates an empty database of the Community edition.
    pub(crate) async fn on_community_unmigrated() -> Self {
        Self::on_community_like(None).await
    }

    async fn on_community_like(template: Option<&Path>) -> Self {
        let permit = BRIDGES.acquire().await.unwrap();
        let data = TempDir::new_in(&COMMUNITY_FOLDER.path).unwrap();
        let bridge = Bridge::start(data.path(), template).await;
        Self { url: bridge.url.clone(), _place: Place::Community(Box::new(bridge), data, permit) }
    }

    pub(crate) fn store(&self) -> Store {
        store(&self.url)
    }

    /// Opens a separate connection.
    pub(crate) async fn connect(&self) -> tokio_postgres::Client {
        connect(&self.url).await
    }

    /// Queries a single number.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.connect().await.query_one(sql, &[]).await.unwrap().get(0)
    }
}

pub(crate) fn store(url: &str) -> Store {
    let options = StoreConfig {
        pool_size: 4,
        connect_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(20),
        root_certificates: None,
    };
    Store::new(url, &options).unwrap()
}

/// Returns the URL of the database server under test.
///
/// # Panics
/// If it is not configured.
fn server_url() -> String {
    std::env::var("PIKA_TEST_DATABASE_URL").expect(
        "PIKA_TEST_DATABASE_URL is not set: run ./test.sh, which starts a database for the tests, or name a \
         TimescaleDB on which they may create and drop databases",
    )
}

fn with_database(name: &str) -> String {
    let url = server_url();
    let (base, query) = url.split_once('?').map_or((url.as_str(), ""), |(base, query)| (base, query));
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/{name}?{query}")
}

pub(crate) async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Reverts the schema to before the twelfth migration, runs `before`, and applies that migration again.
pub(crate) async fn migrate_accounts_again(client: &tokio_postgres::Client, before: &str) {
    let undo = "ALTER TABLE enrollments DROP COLUMN api_token_id; ALTER TABLE users DROP COLUMN username_key; \
         CREATE UNIQUE INDEX users_username_lower ON users (lower(username))";
    for sql in [undo, before, include_str!("../../../../sql/migrations/0012_accounts.sql")] {
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

/// Calls a procedure of TimescaleDB, waiting for the scheduler if it is doing the same work.
pub(crate) async fn call(client: &tokio_postgres::Client, procedure: &str) {
    let sql = format!("CALL {procedure}");
    eventually(&sql, || async {
        match client.batch_execute(&sql).await {
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => None,
            Err(error) => panic!("{sql}: {error:?}"),
            Ok(()) => Some(()),
        }
    })
    .await;
}

async fn execute(url: &str, sql: &str) {
    connect(url).await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

async fn make_server_template() -> String {
    sweep().await;
    let name = format!("pika_test_{}_template", std::process::id());
    execute(&server_url(), &format!("CREATE DATABASE {name}")).await;
    store(&with_database(&name)).migrate(now()).await.unwrap();
    // TimescaleDB runs no workers in a template, and a clone needs one without connections.
    execute(&server_url(), &format!("ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false")).await;
    let rest = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    execute(&server_url(), &rest).await;
    name
}

/// Drops databases left behind by test processes that no longer exist.
async fn sweep() {
    let client = connect(&server_url()).await;
    let names = client
        .query(r"SELECT datname FROM pg_database WHERE datname LIKE 'pika\_test\_%'", &[])
        .await
        .unwrap();
    for row in names {
        let name: String = row.get(0);
        let process = name.split('_').nth(2).unwrap_or_default().to_owned();
        if !Path::new("/proc").join(&process).exists() {
            // Another test process may be sweeping, too.
            drop(client.batch_execute(&format!("ALTER DATABASE {name} IS_TEMPLATE false")).await);
            drop(client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await);
        }
    }
}

struct DropDatabase(String);

impl Drop for DropDatabase {
    fn drop(&mut self) {
        let name = self.0.clone();
        // The test's runtime may be shutting down.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&server_url(), &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")));
        });
        drop(dropped.join());
    }
}

async fn make_community_template() -> PathBuf {
    let data = COMMUNITY_FOLDER.path.join("template");
    let mut bridge = Bridge::start(&data, None).await;
    store(&bridge.url).migrate(now()).await.unwrap();
    bridge.stop().await;
    data
}

/// The folder of this process's Community databases. A separate process removes it when this one ends, however that
/// happens.
struct CommunityFolder {
    path: PathBuf,
    /// Waits for the end of its standard input.
    _janitor: std::process::Child,
}

impl CommunityFolder {
    fn create() -> Self {
        let path = TempDir::with_prefix("pika-test-community-").unwrap().keep();
        // The databases end with this process, too, and write until they have.
        let script = "trap '' INT TERM HUP; read -r _; until rm -rf \"$1\" 2>/dev/null && test ! -e \"$1\"; do sleep 0.1; done";
        let janitor = std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { path, _janitor: janitor }
    }
}

/// A PGlite process.
struct Bridge {
    url: String,
    child: Child,
}

impl Bridge {
    /// Starts one on a new data directory, a copy of `template` if given.
    async fn start(data: &Path, template: Option<&Path>) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/community/bridge.mjs");
        let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/community/node_modules");
        assert!(Path::new(modules).exists(), "{modules} is missing: run ./test.sh, which installs it");
        let mut child = Command::new("node")
            .arg(script)
            .arg("--data-dir")
            .arg(data)
            .args(template.into_iter().flat_map(|template| [Path::new("--template"), template]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is missing: run ./test.sh, which installs it");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("the bridge ended before it was ready");
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self { url: ready["url"].as_str().unwrap().to_owned(), child }
    }

    async fn stop(&mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().await.unwrap().success());
    }
}
