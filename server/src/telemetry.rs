//! Logging and metrics of the server.

mod clean_lines;
mod instruments;
mod occurrences;
mod reading;
mod reasons;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use self::clean_lines::CleanLines;
use crate::config::{LogConfig, LogFormat};

pub use instruments::{
    AlertCounts, FIGURES_INTERVAL, IngestCounts, Instruments, NotifyMetrics, RecentIngest, Snapshot,
};
pub use occurrences::Occurrences;
pub use reading::Reading;
pub use reasons::{ChartRefusal, ConnectionEnd, ConnectionRefusal, MemoryRefusal, RegistrationOutcome};

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is not a filter.
    #[error("log.level is not a level or a filter")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A word of `log.level` is not a level.
    #[error("log.level: {0:?} is neither a level (error, warn, info, debug, trace or off) nor module=level")]
    Level(String),
    /// `log.filename` cannot be opened.
    #[error("log.filename cannot be opened for appending")]
    File(#[from] io::Error),
}

/// Starts logging for the whole process.
///
/// # Errors
/// If the filter is invalid or the file cannot be opened.
pub fn start_logging(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = filter(&config.level)?;
    let to_file = !config.filename.as_os_str().is_empty();
    let writer = if to_file {
        BoxMakeWriter::new(Mutex::new(open(&config.filename)?))
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

/// Checks whether [`start_logging`] would succeed. Files and directories created for this are removed.
///
/// # Errors
/// If it would fail.
pub fn check(config: &LogConfig) -> Result<(), TelemetryError> {
    filter(&config.level)?;
    if config.filename.as_os_str().is_empty() {
        return Ok(());
    }
    let to_make =
        config.filename.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let to_make: Vec<&Path> = to_make.collect();
    let opened = open(&config.filename).map(drop);
    for made in to_make {
        // The file, then its directories. One that is used meanwhile is not empty, and stays.
        let removed = if made.is_dir() { std::fs::remove_dir(made) } else { std::fs::remove_file(made) };
        if removed.is_err() {
            break;
        }
    }
    Ok(opened?)
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Parses a filter. A single unknown word would mean to log everything of the module with that name and nothing else;
/// it is refused, since it is more likely a mistyped level.
fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let mut words = level.split(',').filter(|word| !word.contains(['=', '[', ']', '{', '}']));
    if let Some(word) = words.find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(TelemetryError::Level(word.to_owned()));
    }
    Ok(EnvFilter::try_new(level)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_levels() {
        for good in ["info", "WARN", "off", "info,pika_server::ingest=debug", "warn,[span{x=1}]=trace"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["inof", "info, warn", "info,pika_server", "info,pika_server=loud"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
