//! Writing samples: one transaction a flush, every row exactly once.

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

/// Whether rows of a time are late. By the database's clock, which nothing but the cost of rolling them up hangs on:
/// whichever way they are marked, they are rolled up.
const ARE_LATE: &str = "SELECT coalesce($1::int8 < pika_now_ms() - $2::int8, false)";

/// What a flush came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows stored now.
    pub rows: u64,
    /// Rows that had been stored before and were left as they are.
    pub duplicates: u64,
}

/// Which rows are marked for the rollups (see `rollup::marks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marking {
    /// All: the Apache edition rolls up nothing else.
    All,
    /// Late ones. The Community edition keeps books of its own, by which one agent's late rows make a refresh look at
    /// the rows of all agents again; they are kept out of these books.
    Late,
    /// None: an older Community edition cannot keep rows out of its books.
    None,
}

#[derive(Debug)]
struct WriterConnection {
    connection: Connection,
    marking: Marking,
}

/// Stores samples, one flush at a time, over a connection of its own.
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
    /// A writer that connects when it is first used.
    pub fn new(store: Store, method: WriteMethod) -> Self {
        Self { store, method, connection: None }
    }

    /// Which of these connections do not speak for their agents any more, and why. Asked after a commit and before what it
    /// holds is acknowledged: no sample is that comes after its agent was revoked, deleted or connected anew, be it through
    /// another server.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn find_lapsed(&mut self, speakers: &HashSet<Speaker>) -> Result<Vec<(Speaker, Lapse)>, Error> {
        let mut connection = self.take_connection().await?;
        let lapsed = agents::find_lapsed(&mut connection.connection, speakers.iter().copied()).await?;
        self.connection = Some(connection);
        Ok(lapsed)
    }

    /// Stores rows in one transaction, which is committed when this returns. Rows that exist already are left as
    /// they are, so the same rows can be written again after any error.
    ///
    /// # Errors
    /// When the database is away or refuses the transaction: nothing is stored then, except where the connection
    /// was lost during the commit itself.
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

    /// The connection, to be put back when it has done what it was taken for: one that has failed is not used again.
    async fn take_connection(&mut self) -> Result<WriterConnection, Error> {
        match self.connection.take() {
            Some(connection) if !connection.connection.is_closed() => Ok(connection),
            _ => WriterConnection::open(&self.store).await,
        }
    }
}

/// All rows in one transaction.
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
        /// The statements that write rows of each table.
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

        /// The rows of all tables; answers how many were not there yet.
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

/// The rows of one table; answers how many were not there yet.
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
