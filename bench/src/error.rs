//! Errors of a benchmark.

use pika_server::app::AppError;
use pika_server::config::ConfigError;
use pika_server::store::{self, DatabaseUrlError, MigrateError};
use tokio_tungstenite::tungstenite;

/// Why a benchmark failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The options are invalid.
    #[error("{0}")]
    Usage(String),
    /// The database's URL is invalid.
    #[error("--database-url cannot be used")]
    Url(#[from] DatabaseUrlError),
    /// The runtime or a file failed.
    #[error("the benchmark cannot start")]
    Start(#[from] std::io::Error),
    /// A statement failed.
    #[error("a database statement failed")]
    Database(#[from] tokio_postgres::Error),
    /// An operation of the server's store failed.
    #[error("an operation of the store failed")]
    Store(#[from] store::Error),
    /// The schema could not be set up.
    #[error("the database cannot be set up")]
    Migrate(#[from] MigrateError),
    /// The server's configuration is invalid.
    #[error("the server's configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The server under test failed.
    #[error("the server failed")]
    Server(#[from] AppError),
    /// A request to the server failed.
    #[error("the server does not answer")]
    Request(#[from] reqwest::Error),
    /// The server gave an unexpected response.
    #[error("the server answers {0}")]
    Answer(String),
    /// A simulated agent's connection failed.
    #[error("an agent's connection to the server failed")]
    Socket(#[from] Box<tungstenite::Error>),
    /// A latency histogram could not be created.
    #[error("cannot create a latency histogram")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// A measured program failed.
    #[error("{program} does not run: {reason}")]
    Program {
        /// The name of the program.
        program: String,
        /// The reason.
        reason: String,
    },
    /// A signal interrupted the benchmark.
    #[error("interrupted")]
    Interrupted,
    /// A task failed.
    #[error("a task of the benchmark failed")]
    Task(#[from] tokio::task::JoinError),
}

impl From<tungstenite::Error> for BenchError {
    fn from(error: tungstenite::Error) -> Self {
        BenchError::Socket(Box::new(error))
    }
}
