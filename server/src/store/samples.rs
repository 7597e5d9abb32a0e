//! Writes samples: one transaction per flush, every row exactly once.

use std::collections::HashSet;

use pika_protocol::families;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Statement, Transaction};

use super::agents::{self, Lapse, Speaker};
use super::connection::Connection;
use super::edition::{self, Edition};
use super::rollup::{community, marks};
use super::{Error, Store, copy};
use crate::config::WriteMethod;
use crate::domain::family::{Measurement, Numbers, PerTable, Table};
use crate::domain::row::{Rows, Stored};
use crate::domain::tier::Tier;

/// Whether rows of a time are late, by the database's clock. This only affects the cost of rolling them up: however
/// they are marked, they are rolled up.
const ARE_LATE: &str = "SELECT coalesce($1::int8 < pika_now_ms() - $2::int8, false)";

/// The result of writing a flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Number of rows stored.
    pub rows: u64,
    /// Number of rows that existed before and were left unchanged.
    pub duplicates: u64,
}

/// Which rows are marked for the rollups (see `rollup::marks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marking {
    /// All: in the Apache edition nothing else is rolled up.
    All,
    /// Late ones. The Community edition tracks changes itself, but coarsely: one agent's late rows make a refresh read
    /// the rows of all agents again. Late rows are therefore kept out of its tracking.
    Late,
    /// None: an older Community edition cannot keep rows out of its tracking.
    None,
}

#[derive(Debug)]
struct WriterConnection {
    connection: Connection,
    marking: Marking,
}

/// Stores samples, one flush at a time, over its own connection.
#[derive(Debug)]
pub struct SampleWriter {
    store: Store,
    method: WriteMethod,
    connection: Option<WriterConnection>,
}

impl WriterConnection {
    async fn open(store: &Store) -> Result<Self, Error> {
        let mut connection = store.dedicated_connection().await?;
        let marking = match edition::inspect(&mut connection).await?.edition {
            Edition::Apache => Marking::All,
            Edition::Community if community::can_skip_invalidation(connection.client()).await? => {
                Marking::Late
            }
            Edition::Community => Marking::None,
        };
        Ok(Self { connection, marking })
    }
}

impl SampleWriter {
    /// Creates a writer that connects when it is first used.
    pub fn new(store: Store, method: WriteMethod) -> Self {
        Self { store, method, connection: None }
    }

    /// Returns which of these connections no longer speak for their agents, and why. Called after a commit and before
    /// its frames are acknowledged, so that no sample is acknowledged that arrived after its agent was revoked, deleted
    /// or connected anew, even through another server.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub async fn find_lapsed(&mut self, speakers: &HashSet<Speaker>) -> Result<Vec<(Speaker, Lapse)>, Error> {
        let mut connection = self.take_connection().await?;
        let lapsed = agents::find_lapsed(&mut connection.connection, speakers.iter().copied()).await?;
        self.connection = Some(connection);
        Ok(lapsed)
    }

    /// Stores rows in one transaction, which is committed when this returns. Rows that exist already are left
    /// unchanged, so the same rows can be written again after any error.
    ///
    /// # Errors
    /// If the database is unavailable or rejects the transaction: nothing is stored then, except if the connection was
    /// lost during the commit itself.
    pub async fn write(&mut self, rows: &Rows) -> Result<Written, Error> {
        let mut connection = self.take_connection().await?;
        let written = match write_all(&mut connection, self.method, rows).await {
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                write_all(&mut connection, WriteMethod::Insert, rows).await
            }
            other => other,
        }?;
        self.connection = Some(connection);
        Ok(written)
    }

    /// Takes the connection, to be put back after successful use: one that has failed is not used again.
    async fn take_connection(&mut self) -> Result<WriterConnection, Error> {
        match self.connection.take() {
            Some(connection) if !connection.connection.is_closed() => Ok(connection),
            _ => WriterConnection::open(&self.store).await,
        }
    }
}

/// Writes all rows in one transaction.
async fn write_all(
    writer: &mut WriterConnection,
    method: WriteMethod,
    rows: &Rows,
) -> Result<Written, tokio_postgres::Error> {
    let WriterConnection { connection, marking } = writer;
    let statements = prepare_all(connection, method).await?;
    let are_late = connection.prepare(ARE_LATE).await?;
    let transaction = connection.transaction().await?;
    let late_after_ms = Tier::OneMinute.refresh_end_ms();
    let are_late = *marking != Marking::None
        && transaction.query_one(&are_late, &[&rows.earliest(), &late_after_ms]).await?.get(0);
    if *marking == Marking::Late && are_late {
        transaction.batch_execute(community::SKIP_INVALIDATION).await?;
    }
    let stored = write_tables(&transaction, method, &statements, rows).await?;
    if *marking == Marking::All || are_late {
        marks::insert_for(&transaction, rows, are_late).await?;
    }
    transaction.commit().await?;
    Ok(Written { rows: stored, duplicates: (rows.len() as u64).saturating_sub(stored) })
}

macro_rules! define_for_each_table {
    ($(
        $(#[$doc:meta])*
        $field:ident: $container:ident<$measurement:path> = $families:tt,
    )+) => {
        /// Prepares the statements that write the rows of each table.
        async fn prepare_all(
            connection: &mut Connection,
            method: WriteMethod,
        ) -> Result<PerTable<Statement>, tokio_postgres::Error> {
            Ok(PerTable {
                $($field: {
                    let table = <<$measurement as Measurement>::Numbers as Numbers>::TABLE;
                    connection.prepare(&statement(table, method)).await?
                },)+
            })
        }

        /// Writes the rows of all tables. Returns how many were new.
        async fn write_tables(
            transaction: &Transaction<'_>,
            method: WriteMethod,
            statements: &PerTable<Statement>,
            rows: &Rows,
        ) -> Result<u64, tokio_postgres::Error> {
            Ok(0 $(+ write_some(transaction, method, &statements.$field, &rows.$field).await?)+)
        }
    };
}
families!(define_for_each_table);

fn statement(table: &Table, method: WriteMethod) -> String {
    match method {
        WriteMethod::Copy => copy::copy_statement(table),
        WriteMethod::Insert => copy::insert_statement(table),
    }
}

/// Writes the rows of one table. Returns how many were new.
async fn write_some<N: Numbers>(
    transaction: &Transaction<'_>,
    method: WriteMethod,
    statement: &Statement,
    rows: &[Stored<N>],
) -> Result<u64, tokio_postgres::Error> {
    match method {
        _ if rows.is_empty() => Ok(0),
        WriteMethod::Copy => copy::copy_in(transaction, statement, rows).await,
        WriteMethod::Insert => copy::insert(transaction, statement, rows).await,
    }
}
