//! Why Pika cannot use a database, with advice on what to do about it.

use tokio_postgres::error::SqlState;

/// Oldest supported PostgreSQL.
pub(super) const POSTGRES_MAJOR_MIN: i32 = 16;
/// Oldest supported TimescaleDB: the first with incremental refreshes.
pub(super) const TIMESCALEDB_MIN: (u32, u32) = (2, 19);

/// Why Pika cannot use a database.
#[derive(Debug, thiserror::Error)]
pub enum UnsupportedDatabase {
    /// TimescaleDB is not installed on the database's machine.
    #[error(
        "this PostgreSQL has no TimescaleDB: install the extension's package on the database's machine \
         (for example postgresql-17-timescaledb), add timescaledb to shared_preload_libraries and restart it"
    )]
    NoTimescaledb,
    /// Installed, but not created in this database, and this role may not do so.
    #[error(
        "TimescaleDB is installed, but not enabled in this database, and this role may not enable it: \
         as a superuser, run CREATE EXTENSION timescaledb in the database"
    )]
    NotCreated(#[source] tokio_postgres::Error),
    /// PostgreSQL is too old.
    #[error("PostgreSQL {0} is too old: Pika needs {min} or newer", min = POSTGRES_MAJOR_MIN)]
    PostgresTooOld(String),
    /// TimescaleDB is too old.
    #[error(
        "TimescaleDB {0} is too old: Pika needs {major}.{minor} or newer; install it and run \
         ALTER EXTENSION timescaledb UPDATE",
        major = TIMESCALEDB_MIN.0, minor = TIMESCALEDB_MIN.1
    )]
    TimescaledbTooOld(String),
    /// The extension was created by a version whose library is gone.
    #[error(
        "the database's TimescaleDB extension is older than the installed library: as its owner, run \
         ALTER EXTENSION timescaledb UPDATE as the first statement of a session in the database: \
         psql -X -d DATABASE -c 'ALTER EXTENSION timescaledb UPDATE'"
    )]
    LibraryMissing(#[source] tokio_postgres::Error),
    /// A dump is being restored into it.
    #[error(
        "the database is being restored (timescaledb.restoring is on): when done, run \
         SELECT timescaledb_post_restore() in it, as a superuser"
    )]
    Restoring,
    /// A backup was being restored into it.
    #[error(
        "restoring a backup into this database was interrupted, so it is incomplete: drop the database, create it again \
         and restart pika-server restore"
    )]
    RestoreUnfinished,
    /// The database was used with the Community edition, and the Apache edition cannot read its aggregates.
    #[error(
        "TimescaleDB runs as its Apache edition, but this database holds {n_aggregates} continuous aggregates, which \
         only the Community edition can read: set timescaledb.license = 'timescale' in postgresql.conf, with a package \
         that includes the Community edition, and restart PostgreSQL; nothing has been changed or lost"
    )]
    MadeByCommunity {
        /// The number of continuous aggregates.
        n_aggregates: i64,
    },
    /// The check itself failed.
    #[error("the database's version could not be determined")]
    Query(#[source] tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for UnsupportedDatabase {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::UNDEFINED_FILE) {
            return UnsupportedDatabase::LibraryMissing(error);
        }
        UnsupportedDatabase::Query(error)
    }
}
