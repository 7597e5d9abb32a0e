//! Errors of the database, by what the caller can do about them.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::error::SqlState;

use super::unsupported::UnsupportedDatabase;

/// A failed operation of the store. Its sources carry details, which belong in the log, not in answers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is unavailable, or too busy for another connection. Worth retrying.
    #[error("the database is not available")]
    Unavailable(#[source] Option<tokio_postgres::Error>),
    /// Every configured host is a standby, or has become read-only, as while another host takes over. Worth retrying.
    #[error("the database is read-only: no host of database.url is a primary that accepts writes")]
    ReadOnly,
    /// The statement exceeded its time limit.
    #[error("the database took too long")]
    TimedOut(#[source] tokio_postgres::Error),
    /// The database rejects this server's credentials; waiting does not change that.
    #[error("the database does not accept the configured user, password or name of the database")]
    Rejected(#[source] tokio_postgres::Error),
    /// Something with this name exists already.
    #[error("a row with the same value exists ({constraint})")]
    Conflict {
        /// The violated constraint.
        constraint: String,
    },
    /// The database can no longer be used by Pika.
    #[error(transparent)]
    Unsupported(Box<UnsupportedDatabase>),
    /// The answer would have too many buckets.
    #[error("the answer would be too large")]
    TooManyBuckets,
    /// All connections that charts may use are in use.
    #[error("too many charts are being read")]
    TooManyCharts,
    /// Anything else: a bug in Pika or a fault of the database.
    #[error("the database refused a statement")]
    Database(#[source] tokio_postgres::Error),
}

/// The kind of an error, by what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Conflict,
    ReadOnly,
    Rejected,
    TimedOut,
    Unavailable,
    Other,
}

fn kind_of(error: &tokio_postgres::Error) -> Kind {
    match error.code() {
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => Kind::Conflict,
        Some(code) if code.code().starts_with("28") || *code == SqlState::INVALID_CATALOG_NAME => {
            Kind::Rejected
        }
        Some(code) if *code == SqlState::QUERY_CANCELED => Kind::TimedOut,
        _ if is_read_only(error) => Kind::ReadOnly,
        _ if is_unavailable(error) => Kind::Unavailable,
        _ => Kind::Other,
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        match kind_of(&error) {
            Kind::Conflict => {
                let constraint = error.as_db_error().and_then(|error| error.constraint());
                Error::Conflict { constraint: constraint.unwrap_or_default().to_owned() }
            }
            Kind::ReadOnly => Error::ReadOnly,
            Kind::Rejected => Error::Rejected(error),
            Kind::TimedOut => Error::TimedOut(error),
            Kind::Unavailable => Error::Unavailable(Some(error)),
            Kind::Other => Error::Database(error),
        }
    }
}

impl From<UnsupportedDatabase> for Error {
    fn from(error: UnsupportedDatabase) -> Self {
        match error {
            UnsupportedDatabase::Query(error) => error.into(),
            other => Error::Unsupported(Box::new(other)),
        }
    }
}

impl From<bb8::RunError<Error>> for Error {
    fn from(error: bb8::RunError<Error>) -> Self {
        match error {
            bb8::RunError::User(error) => error,
            bb8::RunError::TimedOut => Error::Unavailable(None),
        }
    }
}

/// Counts errors by kind for the server's own metrics. A conflict is a regular answer and is not counted.
#[derive(Debug, Default)]
pub(super) struct ErrorCounts {
    unavailable: AtomicU64,
    timed_out: AtomicU64,
    rejected: AtomicU64,
    other: AtomicU64,
}

impl ErrorCounts {
    /// Counts the error of a statement and passes the result on.
    pub(super) fn count<T>(
        &self,
        result: Result<T, tokio_postgres::Error>,
    ) -> Result<T, tokio_postgres::Error> {
        result.inspect_err(|error| {
            let counter = match kind_of(error) {
                Kind::Conflict => return,
                Kind::Unavailable | Kind::ReadOnly => &self.unavailable,
                Kind::TimedOut => &self.timed_out,
                Kind::Rejected => &self.rejected,
                Kind::Other => &self.other,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Counts a failed attempt to get a connection.
    pub(super) fn add_failed_connection(&self, error: &Error) {
        let counter = if matches!(error, Error::Rejected(_)) { &self.rejected } else { &self.unavailable };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counts by kind.
    pub(super) fn all(&self) -> Vec<(&'static str, u64)> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("unavailable", load(&self.unavailable)),
            ("timed_out", load(&self.timed_out)),
            ("rejected", load(&self.rejected)),
            ("other", load(&self.other)),
        ]
    }
}

impl Error {
    /// Returns whether retrying later can help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Error::Unavailable(_) | Error::ReadOnly | Error::TimedOut(_))
    }
}

/// Returns whether the database accepts no writes: it says so, or the driver found so when it connected.
fn is_read_only(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
        || source.is_some_and(|source| {
            source.kind() == std::io::ErrorKind::PermissionDenied
                && source.to_string().contains("allow writes")
        })
}

/// Returns whether retrying later can help.
pub(super) fn is_unavailable(error: &tokio_postgres::Error) -> bool {
    if is_read_only(error) {
        return true;
    }
    let Some(database_error) = error.as_db_error() else {
        // The database did not answer: the connection failed, was closed or broke.
        return error.is_closed()
            || std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>());
    };
    let code = database_error.code();
    // 08: connection exceptions. 53: out of connections, memory or disk. 57P: shutting down, crashed, starting up.
    code.code().starts_with("08")
        || code.code().starts_with("53")
        || code.code().starts_with("57P")
        || [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED]
            .contains(code)
}
