//! Logging: set up once by the binary.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Starts logging to stderr. Called once, before anything else; a second call changes nothing.
pub fn init(config: &LogConfig) {
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
    let started = match config.format {
        LogFormat::Human => {
            let builder = builder.with_ansi(io::stderr().is_terminal()).with_target(false);
            tracing::subscriber::set_global_default(builder.finish())
        }
        LogFormat::Json => {
            tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish())
        }
    };
    // Only a test that has its own subscriber gets here with an error.
    drop(started);
}
