//! The tags that divide the API's description into parts.

use poem_openapi::Tags;

/// The parts of the API, in order.
#[derive(Tags)]
#[oai(rename_all = "camelCase")]
pub(super) enum Tag {
    /// Logging in and out, and your own sessions, API tokens and second factor.
    Account,
    /// The users who may log in.
    Users,
    /// The audit log.
    Audit,
    /// The fleet and what it has reported.
    Agents,
    /// Alert rules, alerts, silences and notifications.
    Alerting,
    /// Enrolling new agents.
    Enrollments,
    /// Settings that can be changed while the server runs.
    Settings,
    /// The server itself.
    System,
}
