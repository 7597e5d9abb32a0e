//! Alerts: firing and ended ones, and users' actions on them.

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::alert_body::{AlertBody, EventBody, PendingBody, SeverityName, SummaryBody};
use super::alert_rule_body::text;
use super::body::Body;
use super::checked::search_text;
use super::security::{Caller, UserAuth};
use super::{ApiContext, ApiError, Tag};
use crate::domain::alert::history::Alert;
use crate::domain::alert::severity::Severity;
use crate::domain::audit::Action;
use crate::domain::permission::Permission;
use crate::domain::tier::DAY_MS;
use crate::store::{AlertDeed, AlertError, AlertFilter, AlertSort};

/// Maximum length of a note, in characters.
const NOTE_CHARS_MAX: usize = 1_000;
/// Maximum time for which an alert can be snoozed, in milliseconds.
const SNOOZE_MS_MAX: i64 = 30 * DAY_MS;

/// Alerts.
#[derive(Debug)]
pub struct AlertsApi;

/// The state of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum AlertState {
    /// It fires.
    Firing,
    /// It has ended.
    Resolved,
}

/// The sort order of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "AlertSort", rename_all = "lowercase")]
enum SortName {
    /// The newest first.
    Newest,
    /// The oldest first.
    Oldest,
    /// The highest severity first, then the newest.
    Worst,
}

/// A page of alerts.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertPage {
    /// The alerts.
    items: Vec<AlertBody>,
    /// Number of alerts on all pages.
    total: i64,
    /// The number of this page.
    page: i64,
    /// Alerts per full page.
    page_size: i64,
}

/// The events of an alert.
#[derive(Debug, Object)]
struct AlertEventList {
    /// The events, newest first (at most 1,000).
    items: Vec<EventBody>,
}

/// Targets whose condition does not fire yet, or cannot be judged.
#[derive(Debug, Object)]
struct PendingAlertList {
    /// The targets, newest first (at most 1,000).
    items: Vec<PendingBody>,
}

/// The acknowledgement of an alert.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct AlertAcknowledgement {
    /// The note (at most 1,000 characters); if omitted, the previous one is kept.
    #[serde(default)]
    note: Option<String>,
}

/// The acknowledgement of several alerts.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct AlertAcknowledgements {
    /// The ids of the alerts.
    #[oai(validator(min_items = "1", max_items = "500"))]
    alert_ids: Vec<Uuid>,
    /// The note (at most 1,000 characters).
    #[serde(default)]
    note: Option<String>,
}

/// The results for all alerts.
#[derive(Debug, Object)]
struct AlertAcknowledgedList {
    /// One entry per alert, in the order of the request.
    items: Vec<AlertAcknowledged>,
}

/// The result for one alert.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertAcknowledged {
    /// The alert's id.
    alert_id: Uuid,
    /// Why it was not acknowledged; null on success.
    error: Option<String>,
}

/// The snooze of an alert.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct AlertSnooze {
    /// The end of the snooze, in milliseconds since the Unix epoch; at most 30 days ahead.
    until: i64,
}

/// A note on an alert.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct AlertNote {
    /// The note (at most 1,000 characters); empty removes it.
    note: String,
}

impl From<AlertError> for ApiError {
    fn from(error: AlertError) -> Self {
        match error {
            AlertError::NotFound => ApiError::not_found(error.to_string()),
            AlertError::Ended => ApiError::conflict(error.to_string()),
            AlertError::Store(error) => error.into(),
        }
    }
}

fn note(note: Option<String>) -> Result<Option<String>, ApiError> {
    note.map(|note| text("note", note, NOTE_CHARS_MAX)).transpose()
}

async fn body(context: &ApiContext, alert: Alert) -> Result<Json<AlertBody>, ApiError> {
    let told = context.store.alert_told(&[alert.id]).await?;
    Ok(Json(AlertBody::new(alert, &told)))
}

/// Performs an action on an alert.
async fn change(
    context: &ApiContext,
    caller: &Caller,
    id: Uuid,
    deed: AlertDeed,
) -> Result<Alert, AlertError> {
    let (action, details) = match &deed {
        AlertDeed::Acknowledge { .. } => (Action::AlertAcknowledged, json!({})),
        AlertDeed::Unacknowledge => (Action::AlertUnacknowledged, json!({})),
        AlertDeed::Snooze { until } => (Action::AlertSnoozed, json!({"until": until})),
        AlertDeed::Note(_) => (Action::AlertNoted, json!({})),
    };
    context.store.change_alert(id, &deed, caller.event(action).with(details)).await
}

/// Performs an action on an alert, and returns the alert.
async fn change_and_show(
    context: &ApiContext,
    caller: &Caller,
    id: Uuid,
    deed: AlertDeed,
) -> Result<Json<AlertBody>, ApiError> {
    let alert = change(context, caller, id, deed).await?;
    body(context, alert).await
}

#[OpenApi(prefix_path = "/api/alerts", tag = "Tag::Alerting")]
impl AlertsApi {
    /// List alerts
    ///
    /// Firing alerts and the history.
    #[oai(path = "/", method = "get", operation_id = "listAlerts")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the query")]
    async fn list(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// Page number, from 1.
        #[oai(
            default = "super::paging::first_page",
            validator(minimum(value = "1"), maximum(value = "1000000"))
        )]
        page: Query<i64>,
        /// Alerts per page.
        #[oai(
            name = "pageSize",
            default = "super::paging::default_page_size",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        page_size: Query<i64>,
        /// Only firing alerts, or only ended ones.
        state: Query<Option<AlertState>>,
        /// Only alerts of this severity.
        severity: Query<Option<SeverityName>>,
        /// Only alerts of this rule.
        #[oai(name = "ruleId")]
        rule_id: Query<Option<Uuid>>,
        /// Only alerts about this agent.
        #[oai(name = "agentId")]
        agent_id: Query<Option<Uuid>>,
        /// Only alerts about agents that have this tag now.
        #[oai(validator(max_length = 64))]
        tag: Query<Option<String>>,
        /// Only alerts that are withheld, or only those that are not.
        withheld: Query<Option<bool>>,
        /// Only acknowledged alerts, or only others.
        acknowledged: Query<Option<bool>>,
        /// Only those that fired at or after this time or had not ended before it, in milliseconds since the Unix epoch.
        from: Query<Option<i64>>,
        /// Only alerts that fired before this time, in milliseconds since the Unix epoch.
        to: Query<Option<i64>>,
        /// Only those with this text in the name of agent, rule, mount point or interface, or in the note, in whatever case.
        #[oai(validator(max_length = 255))]
        search: Query<Option<String>>,
        /// The sort order: `newest` (the default), `oldest` or `worst`.
        sort: Query<Option<SortName>>,
    ) -> Result<Json<AlertPage>, ApiError> {
        auth.require(Permission::Read)?;
        let filter = AlertFilter {
            state: state.0.map(|state| match state {
                AlertState::Firing => "firing".to_owned(),
                AlertState::Resolved => "resolved".to_owned(),
            }),
            severities: severity.0.map(|severity| vec![Severity::from(severity).number()]),
            rule_id: rule_id.0,
            agent_id: agent_id.0,
            tag: search_text("tag", tag.0)?,
            withheld: withheld.0,
            acknowledged: acknowledged.0,
            from: from.0,
            to: to.0,
            search: search_text("search", search.0)?.unwrap_or_default(),
        };
        let sort = match sort.0 {
            None | Some(SortName::Newest) => AlertSort::Newest,
            Some(SortName::Oldest) => AlertSort::Oldest,
            Some(SortName::Worst) => AlertSort::Worst,
        };
        let offset = (page.0 - 1) * page_size.0;
        let (alerts, total) = context.store.alerts(&filter, sort, offset, page_size.0).await?;
        let ids: Vec<Uuid> = alerts.iter().map(|alert| alert.id).collect();
        let told = context.store.alert_told(&ids).await?;
        let items = alerts.into_iter().map(|alert| AlertBody::new(alert, &told)).collect();
        Ok(Json(AlertPage { items, total, page: page.0, page_size: page_size.0 }))
    }

    /// List pending alerts
    ///
    /// Targets that hold but not for long enough, and those that cannot be judged, with the reason.
    #[oai(path = "/pending", method = "get", operation_id = "listPendingAlerts")]
    async fn pending(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Json<PendingAlertList>, ApiError> {
        auth.require(Permission::Read)?;
        let items = context.store.pending_alerts().await?.into_iter().map(PendingBody::from).collect();
        Ok(Json(PendingAlertList { items }))
    }

    /// Get a summary of all alerts
    #[oai(path = "/summary", method = "get", operation_id = "getAlertSummary")]
    async fn summary(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Json<SummaryBody>, ApiError> {
        auth.require(Permission::Read)?;
        Ok(Json(context.store.alert_summary().await?.into()))
    }

    /// Acknowledge many alerts
    ///
    /// Acknowledges each alert that can be; the answer gives the reasons for the others.
    #[oai(path = "/acknowledgements", method = "post", operation_id = "acknowledgeAlerts")]
    async fn acknowledge_many(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<AlertAcknowledgements>,
    ) -> Result<Json<AlertAcknowledgedList>, ApiError> {
        let caller = auth.require(Permission::AcknowledgeAlerts)?;
        let note = note(body.0.note)?;
        let mut items = Vec::new();
        for alert_id in body.0.alert_ids {
            let deed = AlertDeed::Acknowledge { note: note.clone() };
            let error = match change(&context, caller, alert_id, deed).await {
                Ok(_) => None,
                Err(AlertError::Store(error)) => return Err(error.into()),
                Err(error) => Some(error.to_string()),
            };
            items.push(AlertAcknowledged { alert_id, error });
        }
        Ok(Json(AlertAcknowledgedList { items }))
    }

    /// Get an alert
    #[oai(path = "/:id", method = "get", operation_id = "getAlert")]
    async fn get(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The alert's id.
        id: Path<Uuid>,
    ) -> Result<Json<AlertBody>, ApiError> {
        auth.require(Permission::Read)?;
        let alert = context.store.alert(id.0).await?.ok_or(AlertError::NotFound)?;
        body(&context, alert).await
    }

    /// List the events of an alert
    #[oai(path = "/:id/events", method = "get", operation_id = "listAlertEvents")]
    async fn events(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The alert's id.
        id: Path<Uuid>,
    ) -> Result<Json<AlertEventList>, ApiError> {
        auth.require(Permission::Read)?;
        let alert = context.store.alert(id.0).await?.ok_or(AlertError::NotFound)?;
        let events = context.store.alert_events(alert.id).await?;
        Ok(Json(AlertEventList { items: events.into_iter().map(EventBody::from).collect() }))
    }

    /// Acknowledge an alert
    ///
    /// An acknowledged alert is not repeated, but its end and escalations are still sent. 409 if it has ended.
    #[oai(path = "/:id/acknowledgement", method = "put", operation_id = "acknowledgeAlert")]
    async fn acknowledge(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The alert's id.
        id: Path<Uuid>,
        request: Body<AlertAcknowledgement>,
    ) -> Result<Json<AlertBody>, ApiError> {
        let caller = auth.require(Permission::AcknowledgeAlerts)?;
        let deed = AlertDeed::Acknowledge { note: note(request.0.note)? };
        change_and_show(&context, caller, id.0, deed).await
    }

    /// Remove an acknowledgement
    #[oai(path = "/:id/acknowledgement", method = "delete", operation_id = "unacknowledgeAlert")]
    async fn unacknowledge(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The alert's id.
        id: Path<Uuid>,
    ) -> Result<Json<AlertBody>, ApiError> {
        let caller = auth.require(Permission::AcknowledgeAlerts)?;
        change_and_show(&context, caller, id.0, AlertDeed::Unacknowledge).await
    }

    /// Snooze an alert
    ///
    /// Nobody is notified until then, or until it ends. 409 if it has ended.
    #[oai(path = "/:id/snooze", method = "put", operation_id = "snoozeAlert")]
    async fn snooze(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The alert's id.
        id: Path<Uuid>,
        request: Body<AlertSnooze>,
    ) -> Result<Json<AlertBody>, ApiError> {
        let caller = auth.require(Permission::AcknowledgeAlerts)?;
        let ahead = request.0.until.saturating_sub(context.clock.now());
        if !(1..=SNOOZE_MS_MAX).contains(&ahead) {
            return Err(ApiError::unprocessable("until", "must be in the future, at most 30 days ahead"));
        }
        let deed = AlertDeed::Snooze { until: Some(request.0.until) };
        change_and_show(&context, caller, id.0, deed).await
    }

    /// End a snooze
    #[oai(path = "/:id/snooze", method = "delete", operation_id = "unsnoozeAlert")]
    async fn unsnooze(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The alert's id.
        id: Path<Uuid>,
    ) -> Result<Json<AlertBody>, ApiError> {
        let caller = auth.require(Permission::AcknowledgeAlerts)?;
        change_and_show(&context, caller, id.0, AlertDeed::Snooze { until: None }).await
    }

    /// Set the note of an alert
    ///
    /// Replaces the previous note; all notes stay among the alert's events.
    #[oai(path = "/:id/notes", method = "post", operation_id = "addAlertNote")]
    async fn add_note(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The alert's id.
        id: Path<Uuid>,
        request: Body<AlertNote>,
    ) -> Result<Json<AlertBody>, ApiError> {
        let caller = auth.require(Permission::AcknowledgeAlerts)?;
        let note = text("note", request.0.note, NOTE_CHARS_MAX)?;
        change_and_show(&context, caller, id.0, AlertDeed::Note(note)).await
    }
}
