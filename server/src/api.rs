//! The REST API: one file a resource, described by OpenAPI. Knows HTTP, not SQL.

mod account;
mod agent_identity;
mod agents;
mod api_tokens;
mod audit;
mod body;
mod chart_limit;
mod description;
mod enrollments;
mod error;
mod events;
mod gaps;
mod interval;
mod latest;
mod metrics;
mod parameters;
mod second_factor;
mod security;
mod serialized;
mod sessions;
mod settings;
mod socket;
mod storage;
mod system;
mod users;

use std::sync::Arc;

use pika_shared::Clock;
use poem_openapi::{OpenApiService, Tags};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use crate::auth::Auth;
use crate::domain::enrollment::EnrollmentLimits;
use crate::http::TlsInUse;
use crate::ingest::Sockets;
use crate::readiness::Readiness;
use crate::store::Store;
use crate::telemetry::{Instruments, Snapshot};

pub use chart_limit::ChartLimit;
pub use error::{ApiError, ErrorBody, ErrorCode};
pub use parameters::Parameters;
pub use security::{Caller, SESSION_COOKIE};

/// What the resources need.
#[derive(Clone, Debug)]
pub struct ApiContext {
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
    /// What is counted and measured.
    pub instruments: Arc<Instruments>,
    /// The key that agents are told to trust; `None` where they are told of none.
    pub pinned_tls: Option<watch::Receiver<TlsInUse>>,
    /// People reach the server over TLS, even where it does not speak it itself.
    pub is_public_over_tls: bool,
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
    fn with_pin(&self, token: &SecretString) -> String {
        let token = token.expose_secret();
        match &self.pinned_tls {
            Some(tls) => format!("{token}.{}", tls.borrow().key_pin),
            None => token.to_owned(),
        }
    }
}

/// Who gets in: people, their programs, and the record of what they did.
type Access = (
    account::AccountApi,
    sessions::SessionsApi,
    second_factor::SecondFactorApi,
    api_tokens::ApiTokensApi,
    users::UsersApi,
    audit::AuditApi,
);

/// The fleet and what it reports.
type Fleet = (
    agents::AgentsApi,
    agent_identity::AgentIdentityApi,
    metrics::MetricsApi,
    latest::LatestApi,
    gaps::GapsApi,
    events::EventsApi,
    enrollments::EnrollmentsApi,
    socket::SocketApi,
);

/// The server itself.
type Server = (settings::SettingsApi, system::SystemApi, storage::StorageApi);

/// All resources.
pub type Resources = (Access, Fleet, Server);

/// The API's parts, as they are listed in its description.
#[derive(Tags)]
#[oai(rename_all = "camelCase")]
enum Tag {
    /// Logging in and out, and what is one's own: sessions, API tokens, second factor.
    Account,
    /// Who may log in.
    Users,
    /// Who did what.
    Audit,
    /// The fleet, and what it reported.
    Agents,
    /// Letting new agents in.
    Enrollments,
    /// What can be changed while the server runs.
    Settings,
    /// The server itself.
    System,
}

/// The API with its description. Its handlers expect an [`ApiContext`] among the data of their requests.
pub fn service() -> OpenApiService<Resources, ()> {
    let access = (
        account::AccountApi,
        sessions::SessionsApi,
        second_factor::SecondFactorApi,
        api_tokens::ApiTokensApi,
        users::UsersApi,
        audit::AuditApi,
    );
    let fleet = (
        agents::AgentsApi,
        agent_identity::AgentIdentityApi,
        metrics::MetricsApi,
        latest::LatestApi,
        gaps::GapsApi,
        events::EventsApi,
        enrollments::EnrollmentsApi,
        socket::SocketApi,
    );
    let server = (settings::SettingsApi, system::SystemApi, storage::StorageApi);
    let resources = (access, fleet, server);
    OpenApiService::new(resources, "Pika", env!("CARGO_PKG_VERSION"))
        .description(
            "Server monitoring: agents report CPU, memory, disks, network and load; this API serves what they \
             reported.\n\nAll times are milliseconds since the Unix epoch (`int64`). Errors have one shape, \
             `{code, message, requestId}`. Authenticate with the session cookie that `POST /api/login` sets, or with \
             its token or an API token in `Authorization: Bearer`.\n\nErrors 409 and 429 name what is in the way and, for the latter, \
             when to try again (`Retry-After`).",
        )
        .license("Apache-2.0")
}

/// The description as it is committed in `openapi/openapi.json`.
///
/// # Errors
/// When the generator writes no JSON.
pub fn description() -> serde_json::Result<String> {
    description::put_right(&service().spec())
}
