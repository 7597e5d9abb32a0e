//! What the server says about itself: log lines, and metrics.

mod clean_lines;
mod instruments;
mod occurrences;
mod reasons;

use std::fs::OpenOptions;
use std::io;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use self::clean_lines::CleanLines;
use crate::config::{Log, LogFormat};
use crate::domain::text;

pub use instruments::{Instruments, Snapshot};
pub use occurrences::Occurrences;
pub use reasons::{ConnectionEnd, ConnectionRefusal, MemoryRefusal, Registration};

/// Longest chain of errors that is logged, in characters.
const CHAIN_CHARS_MAX: usize = 2_000;

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
    let is_colored =
        config.format == LogFormat::Human && !to_file && io::IsTerminal::is_terminal(&io::stderr());
    let writer = CleanLines::new(writer, is_colored);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match config.format {
        LogFormat::Human => builder.with_ansi(is_colored).with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// An error and everything that caused it, in one line of bounded length: what is logged once, at the edge.
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
    text::clean_to(&text, CHAIN_CHARS_MAX)
}
