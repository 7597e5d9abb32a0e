//! The REST API: one file per resource, described by OpenAPI. Knows HTTP, not SQL.

mod account;
mod agent_identity;
mod agent_tags;
mod agents;
mod alert_body;
mod alert_channel_body;
mod alert_channels;
mod alert_deliveries;
mod alert_follower;
mod alert_heartbeats;
mod alert_rule_body;
mod alert_rule_trials;
mod alert_rules;
mod alert_settings;
mod alert_silences;
mod alerts;
mod api_tokens;
mod audit;
mod backtests;
mod body;
mod changed_alerts_cache;
mod channel_tests;
mod chart_limit;
mod checked;
mod context;
mod description;
mod done;
mod enrollments;
mod error;
mod event_parameters;
mod events;
mod fleet_cache;
mod fleet_event;
mod fleet_metrics;
mod gaps;
mod ingest;
mod interval;
mod latest;
mod latest_values;
mod machine_facts;
mod metric_names;
mod metric_types;
mod metrics;
mod open_answers;
mod paging;
mod parameters;
mod preferences;
mod presence;
mod retention_preview;
mod role;
mod rounding;
mod second_factor;
mod security;
mod serialized;
mod series_filter;
mod sessions;
mod settings;
mod several_metrics;
mod socket;
mod sparklines;
mod storage;
mod system;
mod tag;
mod user_passwords;
mod user_request;
mod users;
mod watcher;

use poem_openapi::OpenApiService;

pub use backtests::Backtests;
pub use changed_alerts_cache::ChangedAlertsCache;
pub use channel_tests::ChannelTests;
pub use chart_limit::ChartLimit;
pub use context::{ApiContext, ApiParts};
pub use error::{ApiError, ErrorBody, ErrorCode};
pub use fleet_cache::FleetCache;
pub use parameters::Parameters;
pub use security::{Caller, SESSION_COOKIE};

use tag::Tag;

/// Users, their credentials, and the audit log.
type Accounts = (
    account::AccountApi,
    preferences::PreferencesApi,
    sessions::SessionsApi,
    second_factor::SecondFactorApi,
    api_tokens::ApiTokensApi,
    users::UsersApi,
    user_passwords::UserPasswordsApi,
    audit::AuditApi,
);

/// The fleet and what it reports.
type Fleet = (
    agents::AgentsApi,
    agent_identity::AgentIdentityApi,
    agent_tags::AgentTagsApi,
    metrics::MetricsApi,
    several_metrics::SeveralMetricsApi,
    metric_types::MetricTypesApi,
    latest::LatestApi,
    sparklines::SparklinesApi,
    fleet_metrics::FleetMetricsApi,
    gaps::GapsApi,
    presence::PresenceApi,
    events::EventsApi,
    enrollments::EnrollmentsApi,
    socket::SocketApi,
);

/// Alert rules, alerts and their delivery.
type Alerting = (
    alerts::AlertsApi,
    alert_rules::AlertRulesApi,
    alert_rule_trials::AlertRuleTrialsApi,
    alert_silences::AlertSilencesApi,
    alert_settings::AlertSettingsApi,
    alert_channels::AlertChannelsApi,
    alert_deliveries::AlertDeliveriesApi,
);

/// The server itself.
type System = (
    settings::SettingsApi,
    retention_preview::RetentionPreviewApi,
    system::SystemApi,
    storage::StorageApi,
    ingest::IngestApi,
);

/// All resources.
pub type Resources = (Accounts, Fleet, Alerting, System);

/// Returns the API with its description. Its handlers expect an [`ApiContext`] in the data of their requests.
pub fn service() -> OpenApiService<Resources, ()> {
    let access = (
        account::AccountApi,
        preferences::PreferencesApi,
        sessions::SessionsApi,
        second_factor::SecondFactorApi,
        api_tokens::ApiTokensApi,
        users::UsersApi,
        user_passwords::UserPasswordsApi,
        audit::AuditApi,
    );
    let fleet = (
        agents::AgentsApi,
        agent_identity::AgentIdentityApi,
        agent_tags::AgentTagsApi,
        metrics::MetricsApi,
        several_metrics::SeveralMetricsApi,
        metric_types::MetricTypesApi,
        latest::LatestApi,
        sparklines::SparklinesApi,
        fleet_metrics::FleetMetricsApi,
        gaps::GapsApi,
        presence::PresenceApi,
        events::EventsApi,
        enrollments::EnrollmentsApi,
        socket::SocketApi,
    );
    let server = (
        settings::SettingsApi,
        retention_preview::RetentionPreviewApi,
        system::SystemApi,
        storage::StorageApi,
        ingest::IngestApi,
    );
    let alerting = (
        alerts::AlertsApi,
        alert_rules::AlertRulesApi,
        alert_rule_trials::AlertRuleTrialsApi,
        alert_silences::AlertSilencesApi,
        alert_settings::AlertSettingsApi,
        alert_channels::AlertChannelsApi,
        alert_deliveries::AlertDeliveriesApi,
    );
    let resources = (access, fleet, alerting, server);
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

/// Returns the description as it is committed in `openapi/openapi.json`.
///
/// # Errors
/// If the generated description is not JSON.
pub fn description() -> serde_json::Result<String> {
    description::normalize(&service().spec())
}
