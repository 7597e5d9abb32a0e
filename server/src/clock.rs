//! The time, passed in so that tests own it.

use std::fmt;
use std::sync::Arc;

use crate::domain::TimestampMs;

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> TimestampMs + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(|| {
            #[expect(clippy::disallowed_methods, reason = "the one place where time comes from")]
            let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            // A clock before 1970 or past the year 292 million is no clock.
            since_epoch.ok().and_then(|duration| i64::try_from(duration.as_millis()).ok()).unwrap_or(0)
        })
    }

    /// A clock of the caller's making.
    pub fn new(now: impl Fn() -> TimestampMs + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Milliseconds since the Unix epoch.
    pub fn now(&self) -> TimestampMs {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
