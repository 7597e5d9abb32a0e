//! The parts that the API's description is divided into.

use poem_openapi::Tags;

/// The API's parts, as they are listed in its description.
#[derive(Tags)]
#[oai(rename_all = "camelCase")]
pub(super) enum Tag {
    /// Logging in and out, and what is one's own: sessions, API tokens, second factor.
    Account,
    /// Who may log in.
    Users,
    /// Who did what.
    Audit,
    /// The fleet, and what it reported.
    Agents,
    /// What goes wrong, what is looked for, and when nobody is told.
    Alerting,
    /// Letting new agents in.
    Enrollments,
    /// What can be changed while the server runs.
    Settings,
    /// The server itself.
    System,
}
