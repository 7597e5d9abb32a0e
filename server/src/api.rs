//! The REST API: one file a resource, described by OpenAPI. Knows HTTP, not SQL.

mod account;
mod agent_identity;
mod agents;
mod body;
mod enrollments;
mod error;
mod latest;
mod metrics;
mod security;
mod serialized;
mod settings;
mod socket;
mod storage;
mod system;

use poem_openapi::{OpenApiService, Tags};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use crate::auth::Auth;
use crate::clock::Clock;
use crate::http::TlsInUse;
use crate::ingest::Sockets;
use crate::store::Store;

pub use error::{ApiError, ErrorBody, ErrorCode};
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
    /// Where agents' connections go.
    pub sockets: Sockets,
    /// The key that agents are told to trust; `None` where they are told of none.
    pub pinned_tls: Option<watch::Receiver<TlsInUse>>,
    /// People reach the server over TLS, even where it does not speak it itself.
    pub is_public_over_tls: bool,
}

impl ApiContext {
    /// An enrollment token as it is handed out: with the pin of the server's key behind it, where there is one.
    fn with_pin(&self, token: &SecretString) -> String {
        let token = token.expose_secret();
        match &self.pinned_tls {
            Some(tls) => format!("{token}.{}", tls.borrow().key_pin),
            None => token.to_owned(),
        }
    }
}

/// All resources.
pub type Resources = (
    account::AccountApi,
    agents::AgentsApi,
    agent_identity::AgentIdentityApi,
    metrics::MetricsApi,
    latest::LatestApi,
    enrollments::EnrollmentsApi,
    settings::SettingsApi,
    system::SystemApi,
    storage::StorageApi,
    socket::SocketApi,
);

/// The API's parts, as they are listed in its description.
#[derive(Tags)]
#[oai(rename_all = "camelCase")]
enum Tag {
    /// Logging in and out.
    Account,
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
    let resources = (
        account::AccountApi,
        agents::AgentsApi,
        agent_identity::AgentIdentityApi,
        metrics::MetricsApi,
        latest::LatestApi,
        enrollments::EnrollmentsApi,
        settings::SettingsApi,
        system::SystemApi,
        storage::StorageApi,
        socket::SocketApi,
    );
    OpenApiService::new(resources, "Pika", env!("CARGO_PKG_VERSION"))
        .description(
            "Server monitoring: agents report CPU, memory, disks, network and load; this API serves what they \
             reported.\n\nAll times are milliseconds since the Unix epoch (`int64`). Errors have one shape, \
             `{code, message, requestId}`. Authenticate with the session cookie that `POST /api/login` sets, or with \
             its token in `Authorization: Bearer`.",
        )
        .license("Apache-2.0")
}

/// The description as it is committed in `openapi/openapi.json`.
pub fn description() -> String {
    let mut description = service().spec();
    description.push('\n');
    description
}
