//! What backups of the whole database by PostgreSQL's programs need from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::super::rollup::{Definition, time_column};
use super::super::{Error, Store, lock};
use super::kept::{KEPT, quoted};
use super::load::{CONTENT, MARK, RestoreError, UNMARK};
use super::read::{Backup, EXISTS};
use crate::domain::TimestampMs;

const ROLES: &str = "SELECT rolname::text FROM pg_roles WHERE oid IN (SELECT relowner FROM pg_class \
         WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'grafana')) AND NOT EXISTS \
             (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')) \
     OR rolname = 'pika_grafana' ORDER BY 1";
const MISSING_ROLES: &str = "SELECT string_agg(name, ', ') FROM unnest($1::text[]) AS name \
     WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)";

pub(super) const STATEMENTS: &[&str] = &[ROLES, MISSING_ROLES];

/// The rows of a table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct TableContent {
    /// Their number.
    pub rows: i64,
    /// The time of the oldest, if they have times.
    pub start: Option<TimestampMs>,
    /// The time of the newest.
    pub end: Option<TimestampMs>,
}

/// What a dump needs where it is restored.
#[derive(Clone, Copy, Debug)]
pub struct WholeTarget<'a> {
    /// The edition of TimescaleDB that it is of.
    pub edition: &'a str,
    /// The version of TimescaleDB.
    pub timescaledb: &'a str,
    /// The roles that have to exist.
    pub roles: &'a [String],
}

/// A database that is ready for a dump.
#[derive(Debug)]
pub struct WholeRestore {
    client: Client,
    database: String,
}

impl Backup {
    /// Returns the name by which others can read as of the same moment, as long as this lives.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn export_snapshot(&self) -> Result<String, Error> {
        Ok(self.client.query_one("SELECT pg_export_snapshot()", &[]).await?.get(0))
    }

    /// Returns the roles that own what is in the database or have rights to it.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn roles(&self) -> Result<Vec<String>, Error> {
        Ok(self.client.query(ROLES, &[]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// Counts the rows of all tables.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn table_contents(&self) -> Result<BTreeMap<String, TableContent>, Error> {
        table_contents(&self.client, &self.definition).await
    }
}

impl Store {
    /// Counts the rows of all tables.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn table_contents(&self) -> Result<BTreeMap<String, TableContent>, Error> {
        table_contents(self.dedicated_connection().await?.client(), &self.definition).await
    }

    /// Makes the database ready for a dump. From here on servers refuse it.
    ///
    /// # Errors
    /// If the role is no superuser, the database is not empty, or the dump does not fit it.
    pub async fn begin_whole_restore(
        &self,
        target: WholeTarget<'_>,
        now: TimestampMs,
    ) -> Result<WholeRestore, RestoreError> {
        let connection = self.dedicated_connection().await;
        let mut client = connection.map_err(super::super::MigrateError::Connect)?.into_client();
        let row =
            client.query_one("SELECT current_setting('is_superuser'), current_database()::text", &[]).await?;
        if row.get::<_, &str>(0) != "on" {
            return Err(RestoreError::NotSuperuser);
        }
        let database = row.get(1);
        lock::MIGRATION.hold_while_empty(&client).await?;
        let row = client.query_one(CONTENT, &[]).await?;
        if let Some(example) = row.get::<_, Option<String>>(1) {
            return Err(RestoreError::NotEmpty { relations: row.get(0), example });
        }
        if let Some(missing) = client.query_one(MISSING_ROLES, &[&target.roles]).await?.get(0) {
            return Err(RestoreError::MissingRoles(missing));
        }
        fit_extension(&mut client, target).await?;
        client.batch_execute(&format!("{MARK}; INSERT INTO pika_restore VALUES (BIGINT '{now}')")).await?;
        client.batch_execute("SELECT timescaledb_pre_restore()").await?;
        Ok(WholeRestore { client, database })
    }

    /// Lets servers use a database that was restored.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn end_whole_restore(&self) -> Result<(), Error> {
        Ok(self.dedicated_connection().await?.client().batch_execute(&format!("{UNMARK}; ANALYZE")).await?)
    }

    /// Creates a database beside this one.
    ///
    /// # Errors
    /// If the role may not.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        let sql = format!("CREATE DATABASE {}", quoted(name));
        Ok(self.dedicated_connection().await?.client().batch_execute(&sql).await?)
    }

    /// Drops a database beside this one, whoever is connected to it.
    ///
    /// # Errors
    /// If the role may not.
    pub async fn drop_database(&self, name: &str) -> Result<(), Error> {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", quoted(name));
        Ok(self.dedicated_connection().await?.client().batch_execute(&sql).await?)
    }
}

impl WholeRestore {
    /// Returns the name of the database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Ends what made the database ready. It is still marked as being restored.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn end(self) -> Result<(), RestoreError> {
        Ok(self.client.batch_execute("SELECT timescaledb_post_restore()").await?)
    }
}

/// Checks that TimescaleDB is the one of the dump, and creates it.
async fn fit_extension(client: &mut Client, target: WholeTarget<'_>) -> Result<(), RestoreError> {
    let found = "SELECT (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), \
         EXISTS (SELECT FROM pg_available_extension_versions WHERE name = 'timescaledb' AND version = $1::text)";
    let row = client.query_one(found, &[&target.timescaledb]).await?;
    match row.get::<_, Option<String>>(0) {
        Some(version) if version == target.timescaledb => {}
        None if row.get(1) => {
            let version = target.timescaledb.replace('\'', "''");
            client.batch_execute(&format!("CREATE EXTENSION timescaledb VERSION '{version}'")).await?;
        }
        found => {
            let found = found.unwrap_or_else(|| "others".to_owned());
            return Err(RestoreError::OtherTimescaledb { dump: target.timescaledb.to_owned(), found });
        }
    }
    // A function call first: it loads the library and with it the settings.
    let sql = "SELECT time_bucket(BIGINT '1', BIGINT '1'), current_setting('timescaledb.license', true)";
    let is_apache = client.query_one(sql, &[]).await?.get::<_, Option<&str>>(1) != Some("timescale");
    if is_apache && target.edition == "community" {
        return Err(RestoreError::OtherEdition);
    }
    Ok(())
}

async fn table_contents(
    client: &Client,
    definition: &Definition,
) -> Result<BTreeMap<String, TableContent>, Error> {
    let kept = KEPT.iter().map(|table| (table.name.to_owned(), None));
    let metrics = definition.relations().map(|(relation, _, tier)| (relation, Some(time_column(tier))));
    let mut contents = BTreeMap::new();
    for (table, time) in kept.chain(metrics) {
        if !client.query_one(EXISTS, &[&table]).await?.get::<_, bool>(0) {
            continue;
        }
        let time = time
            .map_or_else(|| "NULL::int8, NULL::int8".to_owned(), |time| format!("min({time}), max({time})"));
        let row = client.query_one(&format!("SELECT count(*), {time} FROM {table}"), &[]).await?;
        contents.insert(table, TableContent { rows: row.get(0), start: row.get(1), end: row.get(2) });
    }
    Ok(contents)
}
