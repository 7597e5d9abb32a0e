//! Checks the versions of PostgreSQL and TimescaleDB and the edition of the latter, and whether Pika can use them.

use std::fmt;

use super::connection::Connection;
use super::unsupported::{POSTGRES_MAJOR_MIN, TIMESCALEDB_MIN, UnsupportedDatabase};

/// The two editions of TimescaleDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// Hypertables only; the one packaged by distributions.
    Apache,
    /// With continuous aggregates, columnstore and policies.
    Community,
}

impl Edition {
    /// Returns the edition's name in logs and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Edition::Apache => "apache",
            Edition::Community => "community",
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Versions and edition of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// For example `17.5`.
    pub postgres_version: String,
    /// For example `2.19.3`.
    pub timescaledb_version: String,
    /// The edition of TimescaleDB.
    pub edition: Edition,
    /// The version of TimescaleDB that is installed, where the database still uses another one.
    pub installed_timescaledb: Option<String>,
}

impl DatabaseInfo {
    /// Returns what to do where the extension has not followed an upgrade of its package.
    pub fn update_advice(&self) -> Option<String> {
        self.installed_timescaledb.as_ref().map(|installed| {
            format!(
                "TimescaleDB {installed} is installed, but the database uses {}: as the extension's owner, run \
                 psql -X -d DATABASE -c 'ALTER EXTENSION timescaledb UPDATE'",
                self.timescaledb_version
            )
        })
    }

    /// Returns whether the database has at least this version of TimescaleDB.
    pub(super) fn has_timescaledb(&self, version: (u32, u32)) -> bool {
        parse_version(&self.timescaledb_version).is_some_and(|found| version <= found)
    }
}

/// Inspects the database, and creates the extension if only that is missing.
pub(super) async fn inspect(connection: &mut Connection) -> Result<DatabaseInfo, UnsupportedDatabase> {
    let client = connection.client();
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int4, current_setting('server_version'), \
                    (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), \
                    EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')",
            &[],
        )
        .await?;
    let version_number: i32 = row.get(0);
    let server_version: String = row.get(1);
    let postgres_version = server_version.split_whitespace().next().unwrap_or_default().to_owned();
    check_postgres(version_number, &postgres_version)?;
    let installed: Option<String> = row.get(2);
    let timescaledb_version = match installed {
        Some(version) => version,
        None if !row.get::<_, bool>(3) => return Err(UnsupportedDatabase::NoTimescaledb),
        None => {
            client
                .batch_execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
                .await
                .map_err(UnsupportedDatabase::NotCreated)?;
            let row = client
                .query_one("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'", &[])
                .await?;
            row.get(0)
        }
    };
    check_timescaledb(&timescaledb_version)?;
    // A function call first: it loads the library and with it the settings.
    let row = client
        .query_one(
            "SELECT time_bucket(BIGINT '1', BIGINT '1'), current_setting('timescaledb.license', true), \
                    current_setting('timescaledb.restoring', true), \
                    (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb')",
            &[],
        )
        .await?;
    if row.get::<_, Option<&str>>(2) == Some("on") {
        return Err(UnsupportedDatabase::Restoring);
    }
    let edition = match row.get::<_, Option<&str>>(1) {
        Some("timescale") => Edition::Community,
        _ => Edition::Apache,
    };
    if edition == Edition::Apache {
        check_aggregates(connection).await?;
    }
    let installed: Option<String> = row.get(3);
    let installed_timescaledb = installed.filter(|installed| *installed != timescaledb_version);
    Ok(DatabaseInfo { postgres_version, timescaledb_version, edition, installed_timescaledb })
}

/// Checks that the Apache edition can read everything in the database.
async fn check_aggregates(connection: &mut Connection) -> Result<(), UnsupportedDatabase> {
    let sql = "SELECT count(*) FROM _timescaledb_catalog.continuous_agg WHERE user_view_schema = 'public'";
    match connection.client().query_one(sql, &[]).await?.get(0) {
        0 => Ok(()),
        n_aggregates => Err(UnsupportedDatabase::MadeByCommunity { n_aggregates }),
    }
}

fn check_postgres(version_number: i32, version: &str) -> Result<(), UnsupportedDatabase> {
    if version_number / 10_000 < POSTGRES_MAJOR_MIN {
        return Err(UnsupportedDatabase::PostgresTooOld(version.to_owned()));
    }
    Ok(())
}

fn check_timescaledb(version: &str) -> Result<(), UnsupportedDatabase> {
    if parse_version(version).is_none_or(|version| version < TIMESCALEDB_MIN) {
        return Err(UnsupportedDatabase::TimescaledbTooOld(version.to_owned()));
    }
    Ok(())
}

fn parse_version(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        for too_old in ["2.9.3", "2.18.2", "1.7.5", "nonsense"] {
            let error = check_timescaledb(too_old).unwrap_err();
            assert!(error.to_string().contains("2.19 or newer"), "{error}");
        }
        for supported in ["2.19.0", "2.30.0-dev", "3.0.0"] {
            check_timescaledb(supported).unwrap();
        }
        assert!(check_postgres(150_018, "15.18").unwrap_err().to_string().contains("16 or newer"));
        check_postgres(160_000, "16.0").unwrap();
    }
}
