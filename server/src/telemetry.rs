//! What the server says about itself: log lines, and metrics.

mod instruments;

use std::fs::OpenOptions;
use std::io;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::{Log, LogFormat};

pub use instruments::{ChartRefusal, ConnectionRefusal, Instruments, Registration, Snapshot};

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is not a filter.
    #[error("log.level is not a level or a filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// `log.filename` cannot be opened.
    #[error("log.filename cannot be opened for appending")]
    File(#[from] io::Error),
}

/// Starts logging for the whole process.
///
/// # Errors
/// When the filter makes no sense or the file cannot be opened.
pub fn start_logging(config: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.level)?;
    let to_file = !config.filename.as_os_str().is_empty();
    let writer = if to_file {
        if let Some(directory) = config.filename.parent() {
            std::fs::create_dir_all(directory)?;
        }
        BoxMakeWriter::new(Mutex::new(OpenOptions::new().create(true).append(true).open(&config.filename)?))
    } else {
        BoxMakeWriter::new(io::stderr)
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let ansi = !to_file && io::IsTerminal::is_terminal(&io::stderr());
    match config.format {
        LogFormat::Human => builder.with_ansi(ansi).with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// An error and everything that caused it, in one line: what is logged once, at the edge.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        // Some errors repeat their source in their own text.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}
