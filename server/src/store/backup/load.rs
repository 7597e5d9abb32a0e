//! Restores a backup's contents into an empty database.
//!
//! A marker, the table `pika_restore`, exists from the first change to the last, so that whatever interrupts a restore, no
//! server takes the database for a complete one.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;

use bytes::Bytes;
use futures_util::SinkExt as _;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio_postgres::{Client, CopyInSink};

use super::super::edition::DatabaseInfo;
use super::super::migrate::{self, MigrateError, Migrated, is_restore_unfinished, newest_known};
use super::super::unsupported::UnsupportedDatabase;
use super::super::{Store, set_up};
use super::kept::{KEPT, KeptTable, quoted};
use crate::domain::TimestampMs;
use crate::domain::tier::Tier;

pub(super) const MARK: &str = "CREATE TABLE pika_restore (started_at int8 NOT NULL)";
pub(super) const UNMARK: &str = "DROP TABLE pika_restore";
/// What is in a database besides extensions and the locks of servers: how much, and something of it.
pub(super) const CONTENT: &str = "SELECT count(*), min(relname::text) FROM pg_class \
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') \
         AND relname <> 'server_locks' AND NOT EXISTS \
         (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')";
/// Rows refer to each other in a circle, so what they refer to is checked in the end.
const DEFER: &str = "DEFERRABLE INITIALLY DEFERRED";
const DO_NOT_DEFER: &str = "NOT DEFERRABLE";
/// Nobody was listening since an agent was last heard, as far as the backup knows.
const NOTE_ABSENCE: &str = "INSERT INTO agent_presence (agent_key, at, online, reason) \
     SELECT key, greatest(coalesce(last_seen_at, created_at), newest.at), NULL, 6 FROM agents LEFT JOIN LATERAL \
         (SELECT at, online FROM agent_presence WHERE agent_key = key ORDER BY at DESC LIMIT 1) AS newest ON true \
     WHERE newest.online IS DISTINCT FROM false \
     ON CONFLICT (agent_key, at) DO UPDATE SET online = excluded.online, reason = excluded.reason";

/// Why a backup could not be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The schema could not be made.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The database contains something.
    #[error(
        "a backup is restored into an empty database only, and this one has {relations} tables or views, for example \
         {example}; create another one"
    )]
    NotEmpty {
        /// The number of relations.
        relations: i64,
        /// One of them.
        example: String,
    },
    /// The backup is of a Pika that this one does not know.
    #[error(
        "the backup's schema has version {found}, but this program knows only versions up to {known}: \
         restore it with the Pika that made it, or a newer one"
    )]
    UnknownSchema {
        /// The schema's version.
        found: i32,
        /// The newest migration of this binary.
        known: i32,
    },
    /// Only a superuser can fill the extension's tables.
    #[error(
        "a whole backup is restored by a superuser only: set DATABASE_URL to the database with the superuser's name and \
         password for this command"
    )]
    NotSuperuser,
    /// Roles of the dump are missing.
    #[error("create these roles before restoring, as they own what is restored or have rights to it: {0}")]
    MissingRoles(String),
    /// The version of TimescaleDB is another one.
    #[error(
        "the dump is of TimescaleDB {dump}, and here is {found}: restore it with that very version, then upgrade; a backup of \
         settings with --metrics is restored into any version"
    )]
    OtherTimescaledb {
        /// The version of the dump.
        dump: String,
        /// The version of the database.
        found: String,
    },
    /// The Apache edition cannot read aggregates.
    #[error(
        "the dump is of the Community edition, which the Apache edition cannot read; a backup of settings with --metrics is \
         restored into either"
    )]
    OtherEdition,
    /// A row is no JSON object.
    #[error("a row of {0} is not readable")]
    Row(&'static str),
    /// The database refused something.
    #[error("the database refused a statement")]
    Query(#[from] tokio_postgres::Error),
}

/// A restore under way. If it is dropped before [`Restore::finish`], the database stays unusable.
#[derive(Debug)]
pub struct Restore {
    store: Store,
    client: Client,
    database: DatabaseInfo,
}

impl Store {
    /// Begins to restore a backup of this version of the schema. Servers that start meanwhile wait.
    ///
    /// # Errors
    /// If the database cannot be used or is not empty, or the version is not known.
    pub async fn begin_restore(&self, schema: i32, now: TimestampMs) -> Result<Restore, RestoreError> {
        if !migrate::is_known(schema) {
            return Err(RestoreError::UnknownSchema { found: schema, known: newest_known() });
        }
        let (mut client, database) = self.lock_schema().await?;
        if is_restore_unfinished(&client).await? {
            return Err(MigrateError::from(UnsupportedDatabase::RestoreUnfinished).into());
        }
        let row = client.query_one(CONTENT, &[]).await?;
        if let Some(example) = row.get::<_, Option<String>>(1) {
            return Err(RestoreError::NotEmpty { relations: row.get(0), example });
        }
        client.batch_execute(&format!("{MARK}; INSERT INTO pika_restore VALUES (BIGINT '{now}')")).await?;
        migrate::run(&mut client, schema).await?;
        Ok(Restore { store: self.clone(), client, database })
    }
}

impl Restore {
    /// Begins the transaction that takes the rows of kept tables.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn begin_rows(&self) -> Result<(), RestoreError> {
        self.client.batch_execute(&format!("BEGIN; {}", alter_foreign_keys(DEFER))).await?;
        self.client.batch_execute("ALTER TABLE agents DISABLE TRIGGER USER").await?;
        for table in KEPT {
            // What migrations have put there.
            let sql = "SELECT to_regclass('public.' || quote_ident($1::text)) IS NOT NULL";
            if self.client.query_one(sql, &[&table.name]).await?.get(0) {
                self.client.batch_execute(&format!("DELETE FROM {}", table.name)).await?;
            }
        }
        Ok(())
    }

    /// Inserts rows of a table, all with the same columns.
    ///
    /// # Errors
    /// If the database refuses them.
    pub async fn insert(&self, table: &KeptTable, rows: &[Box<RawValue>]) -> Result<(), RestoreError> {
        let Some(first) = rows.first() else {
            return Ok(());
        };
        let columns: HashMap<String, IgnoredAny> =
            serde_json::from_str(first.get()).map_err(|_| RestoreError::Row(table.name))?;
        let columns: Vec<String> = columns.keys().map(|name| quoted(name)).collect();
        let columns = columns.join(", ");
        let rows: Vec<&str> = rows.iter().map(|row| row.get()).collect();
        let sql = format!(
            "INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE \
             SELECT {columns} FROM jsonb_populate_recordset(NULL::{name}, $1::text::jsonb)",
            name = table.name
        );
        self.client.execute(&sql, &[&format!("[{}]", rows.join(","))]).await?;
        Ok(())
    }

    /// Checks what rows refer to, sets the identity columns' last values, and ends the transaction of rows.
    ///
    /// # Errors
    /// If a row refers to one that is missing, or the database is unavailable.
    pub async fn end_rows(&self, sequences: &BTreeMap<String, i64>) -> Result<(), RestoreError> {
        let client = &self.client;
        client.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await?;
        client.batch_execute(&alter_foreign_keys(DO_NOT_DEFER)).await?;
        client.batch_execute("ALTER TABLE agents ENABLE TRIGGER USER").await?;
        for (name, last) in sequences.iter().filter(|(_, last)| 0 < **last) {
            let Some((table, column)) = name.split_once('.') else {
                continue;
            };
            let sql = "SELECT setval(pg_get_serial_sequence(quote_ident($1), $2), $3)";
            client.execute(sql, &[&table, &column, last]).await?;
        }
        let sql = "SELECT to_regclass('public.agent_presence') IS NOT NULL";
        if client.query_one(sql, &[]).await?.get(0) {
            client.execute(NOTE_ABSENCE, &[]).await?;
        }
        Ok(client.batch_execute("COMMIT").await?)
    }

    /// Makes the tables that history is copied into, after the rows.
    ///
    /// # Errors
    /// If a migration fails or the database is unavailable.
    pub async fn begin_history(&mut self, now: TimestampMs) -> Result<(), RestoreError> {
        migrate::run(&mut self.client, newest_known()).await?;
        let made =
            set_up::prepare_history(&mut self.client, &self.database, &self.store.definition, now).await;
        Ok(made.map_err(MigrateError::from)?)
    }

    /// Begins to copy rows into a table of metrics. Returns `None` if there is no such table.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn copy_in(&self, relation: &str, columns: &[String]) -> Result<Option<CopyIn>, RestoreError> {
        if !self.store.definition.relations().any(|(known, ..)| known == relation) {
            return Ok(None);
        }
        let columns: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        let sql = format!("COPY {relation} ({}) FROM STDIN", columns.join(", "));
        Ok(Some(CopyIn(Box::pin(self.client.copy_in(&sql).await?))))
    }

    /// Notes how far rollups were complete, and that the rest has to be rolled up from the samples.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn end_history(
        &self,
        rolled_until: &BTreeMap<String, TimestampMs>,
        created_at: TimestampMs,
    ) -> Result<(), RestoreError> {
        let raw: Vec<&str> = self.store.definition.tables().iter().map(|table| table.name).collect();
        for tier in Tier::ROLLUPS {
            let until = rolled_until.get(tier.name()).copied();
            if let Some(until) = until {
                let sql =
                    "INSERT INTO rollup_progress (tier, watermark_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING";
                self.client.execute(sql, &[&tier.name(), &until]).await?;
            }
            let sql = format!(
                "INSERT INTO rollup_changes (tier, start_ms, end_ms) \
                 SELECT $1, start_ms, end_ms FROM (SELECT greatest($2, min(range_start_integer)) / {width} * {width} AS start_ms, \
                     $3::int8 / {width} * {width} + {width} AS end_ms FROM timescaledb_information.chunks \
                     WHERE hypertable_schema = 'public' AND hypertable_name::text = ANY ($4::text[]) \
                     HAVING 0 < count(*)) AS span \
                 WHERE start_ms < end_ms",
                width = tier.bucket_ms()
            );
            let from = until.unwrap_or(TimestampMs::MIN);
            self.client.execute(&sql, &[&tier.name(), &from, &created_at, &raw]).await?;
        }
        Ok(())
    }

    /// Completes the database, so that servers can use it.
    ///
    /// # Errors
    /// If a migration fails or the database is unavailable.
    pub async fn finish(mut self, now: TimestampMs) -> Result<Migrated, RestoreError> {
        let applied = migrate::run(&mut self.client, newest_known()).await?;
        self.store.complete(&mut self.client, &self.database, now, &mut |_| true).await?;
        self.client.batch_execute(UNMARK).await?;
        Ok(Migrated { database: self.database, applied })
    }
}

/// Rows on their way into a table.
pub struct CopyIn(Pin<Box<CopyInSink<Bytes>>>);

impl CopyIn {
    /// Adds rows in the text form of COPY.
    ///
    /// # Errors
    /// If the database refuses an earlier row.
    pub async fn add(&mut self, rows: String) -> Result<(), RestoreError> {
        Ok(self.0.send(Bytes::from(rows)).await?)
    }

    /// Ends the copy, without which none of the rows is stored. Returns the number of rows.
    ///
    /// # Errors
    /// If the database refuses a row.
    pub async fn finish(mut self) -> Result<u64, RestoreError> {
        Ok(self.0.as_mut().finish().await?)
    }
}

fn alter_foreign_keys(to: &str) -> String {
    format!(
        "DO $$ DECLARE key record; BEGIN \
             FOR key IN SELECT conrelid::regclass AS relation, conname FROM pg_constraint \
                 WHERE contype = 'f' AND connamespace = 'public'::regnamespace LOOP \
                 EXECUTE format('ALTER TABLE %s ALTER CONSTRAINT %I {to}', key.relation, key.conname); \
             END LOOP; END $$"
    )
}
