//! Finds PostgreSQL's programs and runs them, also those of the private root of `docker/database/cluster.sh`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::process::Command;

/// Where `cluster.sh` puts its private root unless `PIKA_POSTGRES_ROOT` says otherwise.
const PRIVATE_ROOT: &str = "/var/cache/pika/postgres-root";

/// Why there are no programs.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// None was found.
    #[error(
        "pg_dump and pg_restore of PostgreSQL {wanted} or newer were not found; --pg-bin names their directory"
    )]
    NotFound {
        /// The major version of the database.
        wanted: u32,
    },
    /// Those found cannot handle the database.
    #[error(
        "{program} has version {found}, which is too old for PostgreSQL {wanted}; --pg-bin names another directory"
    )]
    TooOld {
        /// The newest that was found.
        program: PathBuf,
        /// Its major version.
        found: u32,
        /// The major version of the database.
        wanted: u32,
    },
}

/// PostgreSQL's programs of one version.
#[derive(Debug)]
pub(super) struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// Finds programs that can handle a database of this major version: in the given directory, otherwise in `PATH` and in the
    /// usual places.
    ///
    /// # Errors
    /// If there are none.
    pub(super) async fn find(given: Option<&Path>, wanted: u32) -> Result<Self, ProgramsError> {
        let candidates = given.map_or_else(|| usual_places(wanted), |directory| vec![directory.to_owned()]);
        let mut newest: Option<(u32, PathBuf)> = None;
        for directory in candidates {
            let programs = Self { directory };
            let Some(found) = programs.version().await else {
                continue;
            };
            if wanted <= found {
                return Ok(programs);
            }
            newest = newest.max(Some((found, programs.directory.join("pg_dump"))));
        }
        Err(match newest {
            Some((found, program)) => ProgramsError::TooOld { program, found, wanted },
            None => ProgramsError::NotFound { wanted },
        })
    }

    /// Returns the command that runs a program. It is killed when its child is dropped.
    pub(super) fn command(&self, name: &str) -> Command {
        let program = self.directory.join(name);
        let mut command = match private_root(&self.directory) {
            Some((libraries, loader)) => {
                let mut command = Command::new(loader);
                command.arg("--library-path").arg(libraries).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.kill_on_drop(true);
        command
    }

    /// Returns the major version of `pg_dump`, if it runs.
    async fn version(&self) -> Option<u32> {
        let output = self.command("pg_dump").arg("--version").output().await.ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        // "pg_dump (PostgreSQL) 17.12 (Debian 17.12-0+deb13u1)"
        text.split(") ").nth(1)?.split('.').next()?.trim().parse().ok()
    }
}

fn usual_places(wanted: u32) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let root =
        std::env::var_os("PIKA_POSTGRES_ROOT").map_or_else(|| PathBuf::from(PRIVATE_ROOT), PathBuf::from);
    for base in [Path::new("/"), &root] {
        places.push(base.join(format!("usr/lib/postgresql/{wanted}/bin")));
        places.push(base.join(format!("usr/pgsql-{wanted}/bin")));
    }
    places.retain(|place| place.join("pg_dump").is_file());
    places
}

/// Returns the libraries and the loader of the private root that a directory is in. Its programs were built for those.
fn private_root(directory: &Path) -> Option<(OsString, PathBuf)> {
    let architecture = std::env::consts::ARCH;
    let roots = directory.ancestors().skip(1).filter(|root| root.parent().is_some());
    roots.into_iter().find_map(|root| {
        let libraries = root.join(format!("usr/lib/{architecture}-linux-gnu"));
        let names = std::fs::read_dir(&libraries).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let is_loader = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
        };
        let loader = names.into_iter().find(is_loader)?;
        Some((libraries.into_os_string(), loader))
    })
}
