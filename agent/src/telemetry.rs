//! Logging: set up once by the binary, and how errors are written into it.

use std::error::Error;
use std::fmt;
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

/// An error with everything that caused it, on one line. Errors here do not repeat their source in their own
/// message, so this is how they are shown at the boundary.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = self.0.to_string();
        f.write_str(&written)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Libraries do repeat their source; saying it twice helps nobody.
            if !written.contains(&text) {
                write!(f, ": {text}")?;
            }
            written = text;
            source = error.source();
        }
        Ok(())
    }
}
