//! Why a bench cannot go on.

use pika_server::app::AppError;
use pika_server::config::ConfigError;
use pika_server::store::{self, DatabaseUrlError, MigrateError};
use tokio_tungstenite::tungstenite;

/// Why it cannot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The database's URL.
    #[error("--database-url cannot be used")]
    Url(#[from] DatabaseUrlError),
    /// The runtime or a file.
    #[error("the bench cannot start")]
    Start(#[from] std::io::Error),
    /// A statement of the bench.
    #[error("the database refuses")]
    Database(#[from] tokio_postgres::Error),
    /// An operation of the server's store.
    #[error("the store cannot do its work")]
    Store(#[from] store::Error),
    /// The schema could not be set up.
    #[error("the database cannot be set up")]
    Migrate(#[from] MigrateError),
    /// The server's configuration.
    #[error("the server's configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The server under test.
    #[error("the server cannot run")]
    Server(#[from] AppError),
    /// A request to it.
    #[error("the server does not answer")]
    Request(#[from] reqwest::Error),
    /// It answers, but not what was asked for.
    #[error("the server answers {0}")]
    Answer(String),
    /// A simulated agent's socket.
    #[error("an agent cannot talk to the server")]
    Socket(#[from] Box<tungstenite::Error>),
    /// What keeps the latencies.
    #[error("latencies cannot be counted")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// A program that is measured.
    #[error("{program} does not run: {reason}")]
    Program {
        /// Which.
        program: String,
        /// What is known.
        reason: String,
    },
    /// A signal.
    #[error("interrupted")]
    Interrupted,
    /// A part of the bench.
    #[error("a task of the bench failed")]
    Task(#[from] tokio::task::JoinError),
}

impl From<tungstenite::Error> for BenchError {
    fn from(error: tungstenite::Error) -> Self {
        BenchError::Socket(Box::new(error))
    }
}
