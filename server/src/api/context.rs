//! What the resources need, and what is counted and measured all over.

use std::ops::Deref;
use std::sync::Arc;

use pika_shared::Clock;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use super::channel_tests::ChannelTests;
use super::chart_limit::ChartLimit;
use super::sparkline_cache::SparklineCache;
use crate::alerting::EvaluatorOptions;
use crate::auth::Auth;
use crate::domain::TimestampMs;
use crate::domain::enrollment::EnrollmentLimits;
use crate::http::TlsInUse;
use crate::ingest::Sockets;
use crate::notify::Notifier;
use crate::readiness::Readiness;
use crate::store::Store;
use crate::telemetry::{Instruments, Snapshot};

/// What the resources need. Every request gets a clone, which is a pointer to what all of them share.
#[derive(Clone, Debug)]
pub struct ApiContext(Arc<ApiParts>);

impl From<ApiParts> for ApiContext {
    fn from(parts: ApiParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for ApiContext {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0
    }
}

/// What the resources need, one by one.
#[derive(Debug)]
pub struct ApiParts {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Logins.
    pub auth: Auth,
    /// How much an enrollment token may be good for.
    pub enrollment_limits: EnrollmentLimits,
    /// Where agents' connections go.
    pub sockets: Sockets,
    /// Whether the server has finished starting.
    pub readiness: Readiness,
    /// How many charts one user may ask for at the same time.
    pub charts: ChartLimit,
    /// Sparklines that were asked for lately.
    pub sparklines: SparklineCache,
    /// How alert rules are evaluated.
    pub alerting: EvaluatorOptions,
    /// Sends messages to channels.
    pub notifier: Notifier,
    /// How often each user has tried channels.
    pub channel_tests: ChannelTests,
    /// What is counted and measured.
    pub instruments: Arc<Instruments>,
    /// The key that agents are told to trust; `None` where they are told of none.
    pub pinned_tls: Option<watch::Receiver<TlsInUse>>,
    /// People reach the server over TLS, even where it does not speak it itself.
    pub is_public_over_tls: bool,
    /// Where people and agents reach the server, if the configuration says.
    pub public_url: Option<Arc<str>>,
    /// When the server was started.
    pub started_at: TimestampMs,
}

impl ApiContext {
    /// Everything that is counted and measured, in Prometheus text format.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn metrics(&self) -> Result<Vec<u8>, prometheus::Error> {
        self.instruments.render(&Snapshot {
            agents_connected: self.sockets.agents_connected(),
            queue_frames: self.sockets.queue_frames(),
            pending_rows: self.sockets.pending_rows(),
            pool_connections: self.store.pool_connections(),
            database_errors: self.store.error_counts(),
        })
    }

    /// An enrollment token as it is handed out: with the pin of the server's key behind it, where there is one.
    pub(super) fn with_pin(&self, token: &SecretString) -> String {
        let token = token.expose_secret();
        match &self.pinned_tls {
            Some(tls) => format!("{token}.{}", tls.borrow().key_pin),
            None => token.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_a_pointer() {
        assert_eq!(size_of::<ApiContext>(), size_of::<usize>());
    }
}
