//! Writing samples: one connection, one transaction a flush, every row exactly once.

use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::connection::Connection;
use super::edition::{self, Edition};
use super::{Error, Store, copy, rollup};
use crate::domain::row::{CpuRow, DiskRow, LoadRow, MemoryRow, MetricRow, NetworkRow, Rows};

/// How rows reach the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteMethod {
    /// Binary COPY, and INSERT for a flush in which a row exists already. About twice as fast as INSERT alone.
    #[default]
    Copy,
    /// INSERT only, for databases that cannot COPY from a client.
    Insert,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows stored now.
    pub rows: u64,
    /// Rows that had been stored before and were left as they are.
    pub duplicates: u64,
}

#[derive(Debug)]
struct WriterConnection {
    connection: Connection,
    /// The Apache edition wants to be told what changes (see `rollup::apache`).
    marks_changes: bool,
}

/// The one connection through which all samples of this server are stored.
#[derive(Debug)]
pub struct SampleWriter {
    store: Store,
    method: WriteMethod,
    connection: Option<WriterConnection>,
}

impl WriterConnection {
    async fn open(store: &Store) -> Result<Self, Error> {
        let mut connection = store.dedicated_connection().await?;
        let edition = edition::inspect(&mut connection).await.map_err(Error::from)?.edition;
        Ok(Self { connection, marks_changes: edition == Edition::Apache })
    }
}

impl SampleWriter {
    /// A writer that connects when it is first used.
    pub fn new(store: Store, method: WriteMethod) -> Self {
        Self { store, method, connection: None }
    }

    /// Stores rows in one transaction, which is committed when this returns. Rows that exist already are left as
    /// they are, so the same rows can be written again after any error.
    ///
    /// # Errors
    /// When the database is away or refuses the transaction: nothing is stored then, except where the connection
    /// was lost during the commit itself.
    pub async fn write(&mut self, rows: &Rows) -> Result<Written, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.connection.is_closed() => connection,
            _ => WriterConnection::open(&self.store).await?,
        };
        let written = match self.method {
            WriteMethod::Copy => match copy_all(&mut connection, rows).await {
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                    insert_all(&mut connection, rows).await
                }
                other => other,
            },
            WriteMethod::Insert => insert_all(&mut connection, rows).await,
        }?;
        self.connection = Some(connection);
        Ok(written)
    }
}

async fn copy_all(writer: &mut WriterConnection, rows: &Rows) -> Result<Written, tokio_postgres::Error> {
    let WriterConnection { connection, marks_changes } = writer;
    let cpu = connection.prepare(&copy::copy_statement::<CpuRow>()).await?;
    let memory = connection.prepare(&copy::copy_statement::<MemoryRow>()).await?;
    let disk = connection.prepare(&copy::copy_statement::<DiskRow>()).await?;
    let network = connection.prepare(&copy::copy_statement::<NetworkRow>()).await?;
    let load = connection.prepare(&copy::copy_statement::<LoadRow>()).await?;
    let transaction = connection.transaction().await?;
    let mut written = Written::default();
    written.rows += copy_some(&transaction, &cpu, &rows.cpu).await?;
    written.rows += copy_some(&transaction, &memory, &rows.memory).await?;
    written.rows += copy_some(&transaction, &disk, &rows.disk).await?;
    written.rows += copy_some(&transaction, &network, &rows.network).await?;
    written.rows += copy_some(&transaction, &load, &rows.load).await?;
    if *marks_changes {
        rollup::apache::mark(&transaction, rows).await?;
    }
    transaction.commit().await?;
    Ok(written)
}

async fn copy_some<R: MetricRow>(
    transaction: &Transaction<'_>,
    statement: &tokio_postgres::Statement,
    rows: &[R],
) -> Result<u64, tokio_postgres::Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    copy::copy_in(transaction, statement, rows).await
}

async fn insert_all(writer: &mut WriterConnection, rows: &Rows) -> Result<Written, tokio_postgres::Error> {
    let WriterConnection { connection, marks_changes } = writer;
    let cpu = connection.prepare(&copy::insert_statement::<CpuRow>()).await?;
    let memory = connection.prepare(&copy::insert_statement::<MemoryRow>()).await?;
    let disk = connection.prepare(&copy::insert_statement::<DiskRow>()).await?;
    let network = connection.prepare(&copy::insert_statement::<NetworkRow>()).await?;
    let load = connection.prepare(&copy::insert_statement::<LoadRow>()).await?;
    let transaction = connection.transaction().await?;
    let mut stored = 0;
    stored += insert_some(&transaction, &cpu, &rows.cpu).await?;
    stored += insert_some(&transaction, &memory, &rows.memory).await?;
    stored += insert_some(&transaction, &disk, &rows.disk).await?;
    stored += insert_some(&transaction, &network, &rows.network).await?;
    stored += insert_some(&transaction, &load, &rows.load).await?;
    if *marks_changes {
        rollup::apache::mark(&transaction, rows).await?;
    }
    transaction.commit().await?;
    Ok(Written { rows: stored, duplicates: (rows.len() as u64).saturating_sub(stored) })
}

async fn insert_some<R: MetricRow>(
    transaction: &Transaction<'_>,
    statement: &tokio_postgres::Statement,
    rows: &[R],
) -> Result<u64, tokio_postgres::Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    copy::insert(transaction, statement, rows).await
}
