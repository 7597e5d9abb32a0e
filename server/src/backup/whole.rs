//! Backups of the whole database by `pg_dump`, with a manifest of what they contain, and their restoration by `pg_restore`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::piping::{PipingError, check_sum, interrupted, read_input, write_output};
use super::programs::{Programs, ProgramsError};
use crate::config::DatabaseConfig;
use crate::domain::TimestampMs;
use crate::store::{self, BackupError, DatabaseUrlError, RestoreError, Store, TableContent, WholeTarget};

/// What the manifest calls the format.
const FORMAT: &str = "pika-whole";
const VERSION: u32 = 1;
const MANIFEST: &str = "manifest.json";
const DUMP: &str = "database.dump";

/// What a dump contains, and what it needs to be restored.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    format: String,
    version: u32,
    /// The version of the Pika that wrote it.
    pub pika: String,
    /// The version of the database's schema.
    pub schema: i32,
    /// When it was made.
    pub created_at: TimestampMs,
    /// The version of PostgreSQL.
    pub postgres: String,
    /// The version of TimescaleDB, which has to be the same where it is restored.
    pub timescaledb: String,
    /// The edition of TimescaleDB.
    pub edition: String,
    /// The roles that own what is in it, or have rights to it.
    pub roles: Vec<String>,
    /// The size of the dump in bytes.
    pub bytes: u64,
    /// The sum of the dump.
    pub sha256: String,
    /// The rows of each table.
    pub tables: BTreeMap<String, TableContent>,
}

/// Why a whole backup could not be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum WholeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Url(#[from] DatabaseUrlError),
    /// A program or a file failed.
    #[error(transparent)]
    Piping(#[from] PipingError),
    /// PostgreSQL's programs are missing.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// The database could not be read.
    #[error(transparent)]
    Read(#[from] BackupError),
    /// The database refuses the restore.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A file cannot be read or written.
    #[error("{0} cannot be read or written")]
    File(PathBuf, #[source] io::Error),
    /// There is something already.
    #[error("{0} exists; name a new directory")]
    Exists(PathBuf),
    /// There is no usable manifest.
    #[error("{0} is not the manifest of a whole backup that this Pika knows")]
    Manifest(PathBuf),
    /// The restored database differs.
    #[error("restored, {table} has not the rows that the manifest names ({found} instead of {expected})")]
    Differs {
        /// The first table that differs.
        table: String,
        /// Its rows.
        found: i64,
        /// The rows of the manifest.
        expected: i64,
    },
    /// A signal has stopped it.
    #[error("interrupted; drop the database, which servers refuse, and restore again")]
    Interrupted,
}

impl From<store::Error> for WholeError {
    fn from(error: store::Error) -> Self {
        WholeError::Read(error.into())
    }
}

/// Dumps the database into a new directory.
///
/// # Errors
/// As the variants say. Then there is no directory of this name.
pub async fn dump(
    database: &DatabaseConfig,
    directory: &Path,
    pg_bin: Option<&Path>,
    now: TimestampMs,
) -> Result<Manifest, WholeError> {
    if directory.exists() {
        return Err(WholeError::Exists(directory.to_owned()));
    }
    let store = Store::of_config(database)?;
    let backup = store.begin_backup().await?;
    let programs = Programs::find(pg_bin, major(&backup.database.postgres_version)).await?;
    let mut name = directory.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    // Left by one that was killed.
    drop(fs::remove_dir_all(&partial));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| WholeError::File(path, error)
    };
    fs::DirBuilder::new().mode(0o700).create(&partial).map_err(failed(&partial))?;
    let mut command = programs.command("pg_dump");
    command.args(["--format=custom", "--compress=zstd:3", "--no-password"]);
    // The rows that are counted below are those of the dump.
    command.arg(format!("--snapshot={}", backup.export_snapshot().await?));
    let dump = partial.join(DUMP);
    let written = write_output(command, database, &dump).await;
    let (bytes, sha256) = written.inspect_err(|_| drop(fs::remove_dir_all(&partial)))?;
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        pika: env!("CARGO_PKG_VERSION").to_owned(),
        schema: backup.schema,
        created_at: now,
        postgres: backup.database.postgres_version.clone(),
        timescaledb: backup.database.timescaledb_version.clone(),
        edition: backup.database.edition.as_str().to_owned(),
        roles: backup.roles().await?,
        bytes,
        sha256,
        tables: backup.table_contents().await?,
    };
    let path = partial.join(MANIFEST);
    let text =
        serde_json::to_vec_pretty(&manifest).map_err(|error| WholeError::File(path.clone(), error.into()))?;
    fs::write(&path, text).map_err(failed(&path))?;
    fs::rename(&partial, directory).map_err(failed(directory))?;
    Ok(manifest)
}

/// Restores a dump into the empty database of the configuration, whose role has to be a superuser. Migrating it is left to the
/// server, so that everything new belongs to its role.
///
/// # Errors
/// As the variants say. Once the restore has begun, servers refuse the database until it has succeeded.
pub async fn restore_dump(
    database: &DatabaseConfig,
    directory: &Path,
    pg_bin: Option<&Path>,
    now: TimestampMs,
) -> Result<Manifest, WholeError> {
    restore_into(database, &Store::of_config(database)?, None, directory, pg_bin, now).await
}

/// Restores a dump into a database of its own, which is dropped afterwards, and compares what it contains with the manifest.
///
/// # Errors
/// As [`restore_dump`].
pub async fn verify_dump(
    database: &DatabaseConfig,
    directory: &Path,
    pg_bin: Option<&Path>,
    now: TimestampMs,
) -> Result<Manifest, WholeError> {
    let name = format!("pika_verify_{}", std::process::id());
    let store = Store::of_config(database)?;
    store.create_database(&name).await?;
    let scratch = Store::of_config_at(database, &name)?;
    let restored = restore_into(database, &scratch, Some(&name), directory, pg_bin, now).await;
    drop(scratch);
    store.drop_database(&name).await?;
    restored
}

async fn restore_into(
    database: &DatabaseConfig,
    store: &Store,
    name: Option<&str>,
    directory: &Path,
    pg_bin: Option<&Path>,
    now: TimestampMs,
) -> Result<Manifest, WholeError> {
    let manifest = read_manifest(directory)?;
    let dump = directory.join(DUMP);
    check_sum(&dump, &manifest.sha256)?;
    let programs = Programs::find(pg_bin, major(&manifest.postgres)).await?;
    let target = WholeTarget {
        edition: &manifest.edition,
        timescaledb: &manifest.timescaledb,
        roles: &manifest.roles,
    };
    let restoring = store.begin_whole_restore(target, now).await?;
    let mut command = programs.command("pg_restore");
    command.args(["--exit-on-error", "--no-password"]).arg(format!("--dbname={}", restoring.database()));
    if let Some(name) = name {
        command.env("PGDATABASE", name);
    }
    let restored = tokio::select! {
        restored = read_input(command, database, &dump) => restored.map_err(WholeError::from),
        () = interrupted() => Err(WholeError::Interrupted),
    };
    // Whatever happened: TimescaleDB's own jobs go on in the other databases only after this.
    restoring.end().await?;
    restored?;
    let found = store.table_contents().await?;
    for (table, expected) in &manifest.tables {
        let found = found.get(table).map_or(0, |content| content.rows);
        if found != expected.rows {
            return Err(WholeError::Differs { table: table.clone(), found, expected: expected.rows });
        }
    }
    store.end_whole_restore().await?;
    Ok(manifest)
}

/// Returns whether a path is that of a whole backup.
pub fn is_dump(path: &Path) -> bool {
    path.join(MANIFEST).is_file()
}

fn read_manifest(directory: &Path) -> Result<Manifest, WholeError> {
    let path = directory.join(MANIFEST);
    let text = fs::read(&path).map_err(|error| WholeError::File(path.clone(), error))?;
    let manifest: Option<Manifest> = serde_json::from_slice(&text).ok();
    let is_known = |manifest: &Manifest| manifest.format == FORMAT && manifest.version == VERSION;
    manifest.filter(is_known).ok_or(WholeError::Manifest(path))
}

fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default()
}
