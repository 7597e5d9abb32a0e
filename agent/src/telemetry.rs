//! Sets up logging.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Starts logging to stderr. Called once, before anything else; further calls have no effect.
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
    // Fails only in tests, which have their own subscriber.
    drop(started);
}
