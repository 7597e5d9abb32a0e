//! The locks by which servers exclude each other: rows of a table, which only who may write it can hold. Advisory locks
//! are open to every role of the database, such as the one that reads for Grafana.
//!
//! A lock is held for a transaction by locking its row, or for a connection by writing the connection's process into
//! it; a process that no longer exists holds nothing.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, Transaction};

const HAS_TABLE: &str = "SELECT to_regclass('server_locks') IS NOT NULL";
const MAKE_TABLE: &str = "CREATE TABLE IF NOT EXISTS server_locks \
     (name text PRIMARY KEY, process int4, process_started_at timestamptz)";
// A table that is half restored has no primary key yet.
const MAKE_ROWS: &str = "INSERT INTO server_locks (name) SELECT wanted FROM unnest($1::text[]) AS wanted \
     WHERE NOT EXISTS (SELECT FROM server_locks AS lock WHERE lock.name = wanted) ON CONFLICT DO NOTHING";
const LOCK_ROW: &str = "SELECT FROM server_locks WHERE name = $1 FOR UPDATE";
const TRY_LOCK_ROW: &str = "SELECT FROM server_locks WHERE name = $1 FOR UPDATE SKIP LOCKED";
// When a process began is hidden from those who may not see it; they believe that it is the one.
const HOLD: &str = "UPDATE server_locks SET process = pg_backend_pid(), process_started_at = \
         (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()) \
     WHERE name = $1 AND NOT EXISTS (SELECT FROM pg_stat_activity AS holder \
         WHERE holder.pid = process AND pid <> pg_backend_pid() \
             AND coalesce(backend_start = process_started_at, true))";
const RELEASE: &str = "UPDATE server_locks SET process = NULL, process_started_at = NULL \
     WHERE name = $1 AND process = pg_backend_pid()";
const WAIT_ADVISORY: &str = "SELECT pg_advisory_lock($1)";
const TRY_ADVISORY: &str = "SELECT pg_try_advisory_lock($1)";
const TRY_ADVISORY_OF_TRANSACTION: &str = "SELECT pg_try_advisory_xact_lock($1)";
const RELEASE_ADVISORY: &str = "SELECT pg_advisory_unlock($1)";
const IS_OLD_SERVERS: &str = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity AS holder USING (pid) \
     WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND classid::int8 << 32 | objid::int8 = $1 \
         AND pg_locks.database = holder.datid AND holder.datname = current_database() \
         AND holder.usename = current_user AND holder.pid <> pg_backend_pid())";

pub(super) const STATEMENTS: &[&str] = &[
    HAS_TABLE,
    MAKE_ROWS,
    LOCK_ROW,
    TRY_LOCK_ROW,
    HOLD,
    RELEASE,
    WAIT_ADVISORY,
    TRY_ADVISORY,
    TRY_ADVISORY_OF_TRANSACTION,
    RELEASE_ADVISORY,
    IS_OLD_SERVERS,
];

/// How often a lock that is waited for is tried.
const WAIT: Duration = Duration::from_millis(100);
/// How many times the table is made. Of several servers that make it at once only one succeeds.
const ATTEMPTS_MAX: u32 = 5;

/// A lock.
#[derive(Debug)]
pub(super) struct Lock {
    name: &'static str,
    /// The advisory lock that servers of release 0.1 hold instead. It is taken as well, and believed only of servers:
    /// of processes of the same role.
    advisory: i64,
}

/// Held while migrating, so that two servers starting at once do not both do it.
pub(super) const MIGRATION: Lock = Lock { name: "migration", advisory: 0x7069_6b61_0001 };

/// Held by the one server that does the maintenance.
pub(super) const MAINTENANCE: Lock = Lock { name: "maintenance", advisory: 0x7069_6b61_0002 };

/// Held while users are changed, so that concurrent changes cannot demote the last two administrators, nor give two
/// users names that look alike.
pub(super) const USERS: Lock = Lock { name: "users", advisory: 0x7069_6b61_0003 };

/// Held while the Community edition's policies are compared and changed.
pub(super) const POLICIES: Lock = Lock { name: "policies", advisory: 0x7069_6b61_0004 };

/// Held by the one server that evaluates alert rules, for the transaction of an evaluation.
pub(super) const ALERTING: Lock = Lock { name: "alerting", advisory: 0x7069_6b61_0005 };

const ALL: [&Lock; 5] = [&MIGRATION, &MAINTENANCE, &USERS, &POLICIES, &ALERTING];

/// Makes the table where it is missing. It is needed to migrate, so it is no migration itself.
pub(super) async fn make_table(client: &Client) -> Result<(), Error> {
    let mut attempt = 1;
    while !client.query_one(HAS_TABLE, &[]).await?.get::<_, bool>(0) {
        match client.batch_execute(MAKE_TABLE).await {
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) && attempt < ATTEMPTS_MAX => {
                attempt += 1;
            }
            made => made?,
        }
    }
    client.execute(MAKE_ROWS, &[&ALL.map(|lock| lock.name).as_slice()]).await?;
    Ok(())
}

impl Lock {
    /// Holds the lock until the transaction ends, waiting for it.
    pub(super) async fn hold_in(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        transaction.query_one(LOCK_ROW, &[&self.name]).await?;
        Ok(())
    }

    /// Holds the lock until the transaction ends, unless another one holds it.
    pub(super) async fn try_hold_in(&self, transaction: &Transaction<'_>) -> Result<bool, Error> {
        let is_free = transaction.query_opt(TRY_LOCK_ROW, &[&self.name]).await?.is_some();
        Ok(is_free && self.no_old_server_holds_it(transaction, TRY_ADVISORY_OF_TRANSACTION).await?)
    }

    /// Holds the lock until it is released or the connection ends, unless another one holds it.
    pub(super) async fn try_hold(&self, client: &mut Client) -> Result<bool, Error> {
        let transaction = client.transaction().await?;
        // Which processes there are is looked up by who has the row, and once in a transaction.
        self.hold_in(&transaction).await?;
        let is_free = transaction.execute(HOLD, &[&self.name]).await? == 1;
        let is_held = is_free && self.no_old_server_holds_it(&transaction, TRY_ADVISORY).await?;
        if is_held {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(is_held)
    }

    /// As [`Lock::try_hold`], but waits until nobody else holds it.
    pub(super) async fn hold(&self, client: &mut Client) -> Result<(), Error> {
        while !self.try_hold(client).await? {
            tokio::time::sleep(WAIT).await;
        }
        Ok(())
    }

    /// Holds the lock of a database without tables until the connection ends, waiting for it.
    pub(super) async fn hold_while_empty(&self, client: &Client) -> Result<(), Error> {
        client.execute(WAIT_ADVISORY, &[&self.advisory]).await?;
        Ok(())
    }

    /// Releases a lock held by the connection.
    pub(super) async fn release(&self, client: &Client) -> Result<(), Error> {
        client.execute(RELEASE, &[&self.name]).await?;
        client.execute(RELEASE_ADVISORY, &[&self.advisory]).await?;
        Ok(())
    }

    /// Takes the advisory lock as well, unless others than servers have it.
    async fn no_old_server_holds_it(&self, transaction: &Transaction<'_>, take: &str) -> Result<bool, Error> {
        let is_taken: bool = transaction.query_one(take, &[&self.advisory]).await?.get(0);
        if is_taken {
            return Ok(true);
        }
        let is_old_servers: bool = transaction.query_one(IS_OLD_SERVERS, &[&self.advisory]).await?.get(0);
        Ok(!is_old_servers)
    }
}
