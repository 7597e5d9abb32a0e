//! The state shared by the resources.

use std::ops::Deref;
use std::sync::Arc;

use pika_shared::Clock;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use super::backtests::Backtests;
use super::changed_alerts_cache::ChangedAlertsCache;
use super::channel_tests::ChannelTests;
use super::chart_limit::ChartLimit;
use super::fleet_cache::FleetCache;
use crate::alerting::EvaluatorOptions;
use crate::auth::Auth;
use crate::domain::TimestampMs;
use crate::domain::enrollment::EnrollmentLimits;
use crate::http::TlsInUse;
use crate::ingest::Sockets;
use crate::notify::Notifier;
use crate::readiness::Readiness;
use crate::store::Store;
use crate::telemetry::{Instruments, Reading, Snapshot};

/// The state shared by the resources. Every request gets a clone, which is a pointer.
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

/// The parts of [`ApiContext`].
#[derive(Debug)]
pub struct ApiParts {
    /// The database.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// Authentication of users.
    pub auth: Auth,
    /// Limits on enrollment tokens.
    pub enrollment_limits: EnrollmentLimits,
    /// Serves agents' connections.
    pub sockets: Sockets,
    /// Whether the server has finished starting.
    pub readiness: Readiness,
    /// Limits concurrent charts per user.
    pub charts: ChartLimit,
    /// Recent answers about the fleet.
    pub fleet_answers: FleetCache,
    /// Recently changed alerts.
    pub changed_alerts: ChangedAlertsCache,
    /// How alert rules are evaluated.
    pub alerting: EvaluatorOptions,
    /// Limits concurrent back-tests of alert rules.
    pub backtests: Backtests,
    /// Sends messages to channels.
    pub notifier: Notifier,
    /// Limits channel tests per user.
    pub channel_tests: ChannelTests,
    /// The server's own metrics.
    pub instruments: Arc<Instruments>,
    /// The key that agents are told to pin; `None` if they are told none.
    pub pinned_tls: Option<watch::Receiver<TlsInUse>>,
    /// Whether people reach the server over TLS, even if a proxy terminates it.
    pub is_public_over_tls: bool,
    /// The URL by which people and agents reach the server, if configured.
    pub public_url: Option<Arc<str>>,
    /// The URL by which people reach Grafana, if configured.
    pub grafana_url: Option<Arc<str>>,
    /// When the server was started.
    pub started_at: TimestampMs,
}

impl ApiContext {
    /// Returns the server's own metrics in Prometheus text format.
    ///
    /// # Errors
    /// If they cannot be encoded.
    pub fn metrics(&self) -> Result<Vec<u8>, prometheus::Error> {
        self.instruments.render(&self.snapshot())
    }

    /// Returns the server's own metrics as they are now.
    pub fn reading(&self) -> Reading {
        self.instruments.reading(&self.snapshot())
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            agents_connected: self.sockets.agents_connected(),
            queue_frames: self.sockets.queue_frames(),
            pending_rows: self.sockets.pending_rows(),
            pool_connections: self.store.pool_connections(),
            database_errors: self.store.error_counts(),
        }
    }

    /// Returns an enrollment token as shown to users: followed by the pin of the server's key, if there is one.
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
