//! Reads a backup's contents, all as of one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use secrecy::SecretSlice;
use serde_json::value::RawValue;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::super::edition::{self, DatabaseInfo};
use super::super::migrate::{is_restore_unfinished, newest_known};
use super::super::rollup::{Definition, time_column};
use super::super::unsupported::UnsupportedDatabase;
use super::super::{Error, Store};
use super::kept::{KeptTable, Part, quoted};
use crate::domain::TimestampMs;
use crate::domain::tier::Tier;

const SCHEMA: &str = "SELECT max(version)::int4 FROM pika_migrations";
pub(super) const EXISTS: &str = "SELECT to_regclass('public.' || quote_ident($1::text)) IS NOT NULL";
pub(super) const COLUMNS: &str = "SELECT attname::text FROM pg_attribute \
     WHERE attrelid = to_regclass('public.' || quote_ident($1::text)) AND 0 < attnum AND NOT attisdropped ORDER BY attnum";
/// The last value of each identity column. Keys of what was deleted are not given out again, since samples carry them.
pub(super) const SEQUENCES: &str = "SELECT relname || '.' || attname, \
         coalesce(pg_sequence_last_value(pg_get_serial_sequence(quote_ident(relname), attname)::regclass), 0) \
     FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid \
     WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attidentity <> ''";
pub(super) const ROLLED_UNTIL: &str = "SELECT least(pika_rollup_watermark($1, $2), pika_now_ms())";

/// Why a backup could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database is unavailable or refused a statement.
    #[error(transparent)]
    Store(#[from] Error),
    /// There is nothing to back up.
    #[error("Pika has not set up this database, so there is nothing to back up")]
    NotMigrated,
    /// A newer Pika has migrated the database.
    #[error(
        "the database's schema has version {found}, but this program knows only versions up to {known}: \
         make the backup with the Pika that uses the database"
    )]
    TooNew {
        /// The newest applied migration.
        found: i32,
        /// The newest migration of this binary.
        known: i32,
    },
}

impl From<tokio_postgres::Error> for BackupError {
    fn from(error: tokio_postgres::Error) -> Self {
        BackupError::Store(error.into())
    }
}

impl From<UnsupportedDatabase> for BackupError {
    fn from(error: UnsupportedDatabase) -> Self {
        BackupError::Store(error.into())
    }
}

/// A transaction in which a backup is read.
#[derive(Debug)]
pub struct Backup {
    pub(super) client: Client,
    pub(super) definition: Arc<Definition>,
    /// Versions and edition of the database.
    pub database: DatabaseInfo,
    /// The version of its schema.
    pub schema: i32,
}

/// A row of a kept table.
#[derive(Debug)]
pub struct KeptRow {
    /// The columns, without the secret.
    pub row: Box<RawValue>,
    /// The secret as stored, sealed or plain.
    pub secret: Option<SecretSlice<u8>>,
}

/// A table or view of metrics that is there.
#[derive(Debug)]
pub struct HistoryTable {
    /// Its name.
    pub relation: String,
    /// Its columns.
    pub columns: Vec<String>,
    tier: Tier,
}

impl Store {
    /// Begins to read a backup. Meanwhile nothing keeps others from writing; only chunks cannot be dropped.
    ///
    /// # Errors
    /// If the database is unavailable, or not one of this Pika or an older one.
    pub async fn begin_backup(&self) -> Result<Backup, BackupError> {
        let mut connection = self.dedicated_connection().await?;
        let database = edition::inspect(&mut connection).await?;
        let client = connection.into_client();
        if is_restore_unfinished(&client).await? {
            return Err(UnsupportedDatabase::RestoreUnfinished.into());
        }
        let schema = match client.query_one(SCHEMA, &[]).await {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => None,
            found => found?.get::<_, Option<i32>>(0),
        };
        let schema = schema.ok_or(BackupError::NotMigrated)?;
        if newest_known() < schema {
            return Err(BackupError::TooNew { found: schema, known: newest_known() });
        }
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        Ok(Backup { client, definition: Arc::clone(&self.definition), database, schema })
    }
}

impl Backup {
    /// Returns the last value that was given out for each identity column, by table and column.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn sequences(&self) -> Result<BTreeMap<String, i64>, Error> {
        let rows = self.client.query(SEQUENCES, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Returns until when all rollups of each tier are complete.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn rolled_until(&self) -> Result<BTreeMap<String, TimestampMs>, Error> {
        let mut complete = BTreeMap::<String, TimestampMs>::new();
        for rollup in self.definition.rollups() {
            let tier = rollup.tier.name();
            let row = self.client.query_one(ROLLED_UNTIL, &[&rollup.relation(), &tier]).await?;
            if let Some(until) = row.get::<_, Option<TimestampMs>>(0) {
                complete
                    .entry(tier.to_owned())
                    .and_modify(|known| *known = until.min(*known))
                    .or_insert(until);
            }
        }
        Ok(complete)
    }

    /// Reads the rows of a table; none if the database's schema does not have it yet.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn rows(
        &self,
        table: &KeptTable,
        since: TimestampMs,
    ) -> Result<impl Stream<Item = Result<KeptRow, Error>> + Unpin + use<>, Error> {
        let exists: bool = self.client.query_one(EXISTS, &[&table.name]).await?.get(0);
        let omitted: Vec<String> =
            table.without.iter().copied().chain(table.secret).map(|column| format!("'{column}'")).collect();
        let condition = match table.part {
            Part::History => table.condition.replace("{since}", &format!("BIGINT '{since}'")),
            Part::Settings | Part::Audit => table.condition.to_owned(),
        };
        let sql = if exists {
            format!(
                "SELECT (to_jsonb(t) - ARRAY[{}]::text[])::text, {} FROM {} AS t WHERE {condition}",
                omitted.join(", "),
                table.secret.unwrap_or("NULL::bytea"),
                table.name,
            )
        } else {
            "SELECT NULL::text, NULL::bytea WHERE false".to_owned()
        };
        let rows = self.client.query_raw(&sql, std::iter::empty::<i64>()).await?;
        let rows = rows.map_err(Error::from).and_then(|row| {
            let secret: Option<Vec<u8>> = row.get(1);
            let row = RawValue::from_string(row.get(0)).map_err(|_| Error::Unavailable(None));
            std::future::ready(row.map(|row| KeptRow { row, secret: secret.map(Into::into) }))
        });
        Ok(Box::pin(rows))
    }

    /// Returns the tables of samples and the rollups that are there.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn history_tables(&self) -> Result<Vec<HistoryTable>, Error> {
        let mut tables = Vec::new();
        for (relation, _, tier) in self.definition.relations() {
            let columns = self.client.query(COLUMNS, &[&relation]).await?;
            let columns: Vec<String> = columns.iter().map(|row| row.get(0)).collect();
            if !columns.is_empty() {
                tables.push(HistoryTable { relation, columns, tier });
            }
        }
        Ok(tables)
    }

    /// Copies a table's rows since some time, as the text of COPY, a row each.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn copy_out(
        &self,
        table: &HistoryTable,
        since: TimestampMs,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Unpin + use<>, Error> {
        let columns: Vec<String> = table.columns.iter().map(|name| quoted(name)).collect();
        let sql = format!(
            "COPY (SELECT {} FROM {} WHERE BIGINT '{since}' <= {}) TO STDOUT",
            columns.join(", "),
            table.relation,
            time_column(table.tier),
        );
        let rows = self.client.copy_out(&sql).await?;
        Ok(Box::pin(rows.map_err(Error::from)))
    }
}
