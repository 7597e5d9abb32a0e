//! Silences, maintenance and quiet hours, during which alerts are not sent.

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::alert_body::SeverityName;
use super::alert_rule_body::{ScopeBody, text};
use super::body::Body;
use super::checked::checked;
use super::done::DoneResponse;
use super::security::{Caller, UserAuth};
use super::{ApiContext, ApiError, Tag};
use crate::domain::agent::AgentFilter;
use crate::domain::alert::recurrence::{Recurrence, TimeRange};
use crate::domain::alert::severity::Severity;
use crate::domain::alert::silence::{COMMENT_CHARS_MAX, Matcher, NAME_CHARS_MAX, Silence, SilenceKind};
use crate::domain::audit::Action;
use crate::domain::name::parse_name;
use crate::domain::permission::Permission;
use crate::store::AlertSilenceError;

/// Number of windows in a preview.
const WINDOWS: usize = 5;
/// Maximum agents in a preview.
const AGENTS_MAX: usize = 1_000;

/// Silences.
#[derive(Debug)]
pub struct AlertSilencesApi;

/// The kind of a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename = "AlertSilenceKind", rename_all = "lowercase")]
enum KindName {
    /// A one-time silence.
    Silence,
    /// A one-time maintenance of machines.
    Maintenance,
    /// Recurring quiet hours.
    Quiet,
}

/// A set of alerts; empty lists match everything.
#[derive(Clone, Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertMatcher", rename_all = "camelCase", deny_unknown_fields)]
struct MatcherBody {
    /// Only alerts of these rules (at most 500).
    #[serde(default)]
    #[oai(default)]
    rule_ids: Vec<Uuid>,
    /// Only alerts about these agents; null means all alerts.
    #[serde(default)]
    scope: Option<ScopeBody>,
    /// Only alerts with these severities.
    #[serde(default)]
    #[oai(default)]
    severities: Vec<SeverityName>,
}

/// A range of a day in local time. One that ends before it starts ends on the next day.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertTimeRange", rename_all = "camelCase", deny_unknown_fields)]
struct TimeRangeBody {
    /// The start, such as `22:00`.
    start: String,
    /// The end, such as `07:00`, exclusive.
    end: String,
}

/// A recurring time; empty lists allow everything.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertRecurrence", rename_all = "camelCase", deny_unknown_fields)]
struct RecurrenceBody {
    /// The time zone, such as `Europe/Berlin`.
    time_zone: String,
    /// The days of the week on which a range begins: `mon`, `tue`, `wed`, `thu`, `fri`, `sat` and `sun`.
    #[serde(default)]
    #[oai(default)]
    weekdays: Vec<String>,
    /// The ranges of the day (at most 8).
    #[serde(default)]
    #[oai(default)]
    times: Vec<TimeRangeBody>,
    /// The days of the month on which a range begins: 1–31, or -1 for the last one, -2 for the one before it …
    #[serde(default)]
    #[oai(default)]
    days_of_month: Vec<i8>,
    /// The months in which a range begins: 1–12.
    #[serde(default)]
    #[oai(default)]
    months: Vec<i8>,
}

/// A silence to create or change.
#[derive(Clone, Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct AlertSilenceRequest {
    /// `silence` and `maintenance` occur once and need an end, `quiet` needs a recurrence.
    kind: KindName,
    /// The name (1–64 characters).
    name: String,
    /// The reason (at most 1,000 characters).
    #[serde(default)]
    comment: Option<String>,
    /// The alerts it applies to; by default all.
    #[serde(default)]
    matcher: Option<MatcherBody>,
    /// The start, in milliseconds since the Unix epoch; null means always.
    #[serde(default)]
    starts_at: Option<i64>,
    /// The end, in milliseconds since the Unix epoch; null means never.
    #[serde(default)]
    ends_at: Option<i64>,
    /// With `quiet`: the recurring times.
    #[serde(default)]
    recurrence: Option<RecurrenceBody>,
    /// Alerts from this severity on are sent nevertheless; null means none.
    #[serde(default)]
    min_severity_through: Option<SeverityName>,
    /// When changing a silence: the version that was read. If that is outdated, the answer is 409.
    #[serde(default)]
    version: Option<i32>,
}

/// A silence.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AlertSilence", rename_all = "camelCase")]
struct AlertSilenceBody {
    /// The silence's id.
    id: Uuid,
    /// Incremented by every change.
    version: i32,
    /// `silence`, `maintenance` or `quiet`; others may follow.
    kind: String,
    /// The name.
    name: String,
    /// The reason.
    comment: String,
    /// The alerts it applies to.
    matcher: MatcherBody,
    /// The start, in milliseconds since the Unix epoch; null means always.
    starts_at: Option<i64>,
    /// The end, in milliseconds since the Unix epoch; null means never.
    ends_at: Option<i64>,
    /// The recurring times; null means all of the time.
    recurrence: Option<RecurrenceBody>,
    /// Alerts from this severity on are sent nevertheless.
    min_severity_through: Option<SeverityName>,
    /// Whether it is active now.
    is_active: bool,
    /// The username of its creator.
    created_by: String,
    /// When it was created, in milliseconds since the Unix epoch.
    created_at: i64,
    /// When it was last changed, in milliseconds since the Unix epoch.
    updated_at: i64,
}

/// All silences.
#[derive(Debug, Object)]
struct AlertSilenceList {
    /// The silences, newest first.
    items: Vec<AlertSilenceBody>,
    /// Number of silences.
    total: i64,
}

/// When a silence would be active, and for which agents.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertSilencePreview {
    /// The next five times.
    windows: Vec<AlertSilenceWindow>,
    /// The agents it applies to now (at most 1,000).
    agents: Vec<AlertSilenceAgent>,
    /// Number of these agents.
    n_agents: i64,
}

/// A time during which a silence is active.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertSilenceWindow {
    /// Its start, in milliseconds since the Unix epoch.
    start: i64,
    /// Its end, in milliseconds since the Unix epoch; null means never.
    end: Option<i64>,
}

/// An agent.
#[derive(Debug, Object)]
struct AlertSilenceAgent {
    /// The agent's id.
    id: Uuid,
    /// The agent's name.
    name: String,
}

#[derive(ApiResponse)]
enum CreateResponse {
    /// The silence was created.
    #[oai(status = 201)]
    Created(
        Json<AlertSilenceBody>,
        /// The URL of the silence.
        #[oai(header = "Location")]
        String,
    ),
}

impl From<AlertSilenceError> for ApiError {
    fn from(error: AlertSilenceError) -> Self {
        match error {
            AlertSilenceError::NotFound => ApiError::not_found(error.to_string()),
            AlertSilenceError::ChangedMeanwhile | AlertSilenceError::TooMany => {
                ApiError::conflict(error.to_string())
            }
            AlertSilenceError::Store(error) => error.into(),
        }
    }
}

impl MatcherBody {
    fn matcher(self) -> Matcher {
        Matcher {
            severities: self.severities.into_iter().map(Severity::from).collect(),
            rule_ids: self.rule_ids,
            scope: self.scope.map(ScopeBody::scope).unwrap_or_default(),
        }
    }
}

/// Converts a recurrence; serde knows the names of days.
fn recurrence(body: &RecurrenceBody) -> Result<Recurrence, ApiError> {
    let recurrence = serde_json::to_value(body).and_then(serde_json::from_value);
    recurrence.map_err(|error| ApiError::unprocessable("recurrence", &error.to_string()))
}

impl AlertSilenceRequest {
    fn check(self, id: Uuid, caller: &Caller, now: i64) -> Result<Silence, ApiError> {
        let silence = Silence {
            id,
            kind: match self.kind {
                KindName::Silence => SilenceKind::Silence,
                KindName::Maintenance => SilenceKind::Maintenance,
                KindName::Quiet => SilenceKind::Quiet,
            },
            name: checked("name", parse_name(&self.name, NAME_CHARS_MAX))?,
            comment: text("comment", self.comment.unwrap_or_default(), COMMENT_CHARS_MAX)?,
            matcher: self.matcher.map(MatcherBody::matcher).unwrap_or_default(),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            recurrence: self.recurrence.as_ref().map(recurrence).transpose()?,
            min_severity_through: self.min_severity_through.map(Severity::from),
            created_by: caller.user.username.clone(),
            created_at: now,
            updated_at: now,
            version: self.version.unwrap_or(1),
        };
        silence.check()?;
        Ok(silence)
    }
}

impl AlertSilenceBody {
    fn new(silence: Silence, now: i64) -> Self {
        let severities = silence.matcher.severities.iter();
        let range = |TimeRange { start, end }: TimeRange| TimeRangeBody { start, end };
        Self {
            is_active: silence.is_active(now),
            matcher: MatcherBody {
                severities: severities.map(|severity| SeverityName::from(*severity)).collect(),
                rule_ids: silence.matcher.rule_ids,
                scope: Some(silence.matcher.scope.into()),
            },
            id: silence.id,
            version: silence.version,
            kind: silence.kind.as_str().to_owned(),
            name: silence.name,
            comment: silence.comment,
            starts_at: silence.starts_at,
            ends_at: silence.ends_at,
            recurrence: silence.recurrence.map(|recurrence| RecurrenceBody {
                weekdays: recurrence.weekdays.iter().map(|day| day.as_str().to_owned()).collect(),
                time_zone: recurrence.time_zone,
                times: recurrence.times.into_iter().map(range).collect(),
                days_of_month: recurrence.days_of_month,
                months: recurrence.months,
            }),
            min_severity_through: silence.min_severity_through.map(SeverityName::from),
            created_by: silence.created_by,
            created_at: silence.created_at,
            updated_at: silence.updated_at,
        }
    }
}

#[OpenApi(prefix_path = "/api/alert-silences", tag = "Tag::Alerting")]
impl AlertSilencesApi {
    /// List silences
    ///
    /// Includes those that have ended, for 30 days.
    #[oai(path = "/", method = "get", operation_id = "listAlertSilences")]
    async fn list(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Json<AlertSilenceList>, ApiError> {
        auth.require(Permission::Read)?;
        let now = context.clock.now();
        let silences = context.store.alert_silences().await?.into_iter();
        let items: Vec<_> = silences.map(|silence| AlertSilenceBody::new(silence, now)).collect();
        let total = i64::try_from(items.len()).unwrap_or(i64::MAX);
        Ok(Json(AlertSilenceList { items, total }))
    }

    /// Create a silence
    ///
    /// For administrators. At most 500.
    #[oai(path = "/", method = "post", operation_id = "createAlertSilence")]
    async fn create(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<AlertSilenceRequest>,
    ) -> Result<CreateResponse, ApiError> {
        let caller = auth.require(Permission::WriteAlerts)?;
        let now = context.clock.now();
        let silence = AlertSilenceRequest { version: None, ..body.0 }.check(Uuid::now_v7(), caller, now)?;
        let event = caller.event(Action::AlertSilenceCreated).with(json!({"kind": silence.kind.as_str()}));
        context.store.create_alert_silence(&silence, event).await?;
        let location = format!("/api/alert-silences/{}", silence.id);
        Ok(CreateResponse::Created(Json(AlertSilenceBody::new(silence, now)), location))
    }

    /// Preview a silence
    #[oai(path = "/preview", method = "post", operation_id = "previewAlertSilence")]
    async fn preview(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<AlertSilenceRequest>,
    ) -> Result<Json<AlertSilencePreview>, ApiError> {
        let caller = auth.require(Permission::Read)?;
        let now = context.clock.now();
        let silence = body.0.check(Uuid::nil(), caller, now)?;
        let windows = silence.next_windows(now, WINDOWS).into_iter();
        let windows = windows.map(|(start, end)| AlertSilenceWindow { start, end }).collect();
        let mut agents = context.store.agents(&AgentFilter::default()).await?;
        agents.retain(|agent| silence.matcher.scope.has(agent.id.0, &agent.tags));
        let n_agents = i64::try_from(agents.len()).unwrap_or(i64::MAX);
        agents.truncate(AGENTS_MAX);
        let agents = agents.into_iter().map(|agent| AlertSilenceAgent { id: agent.id.0, name: agent.name });
        Ok(Json(AlertSilencePreview { windows, agents: agents.collect(), n_agents }))
    }

    /// Get a silence
    #[oai(path = "/:id", method = "get", operation_id = "getAlertSilence")]
    async fn get(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The silence's id.
        id: Path<Uuid>,
    ) -> Result<Json<AlertSilenceBody>, ApiError> {
        auth.require(Permission::Read)?;
        let silence = context.store.alert_silence(id.0).await?.ok_or(AlertSilenceError::NotFound)?;
        Ok(Json(AlertSilenceBody::new(silence, context.clock.now())))
    }

    /// Change a silence
    ///
    /// For administrators.
    #[oai(path = "/:id", method = "put", operation_id = "updateAlertSilence")]
    async fn update(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The silence's id.
        id: Path<Uuid>,
        body: Body<AlertSilenceRequest>,
    ) -> Result<Json<AlertSilenceBody>, ApiError> {
        let caller = auth.require(Permission::WriteAlerts)?;
        let now = context.clock.now();
        let found = context.store.alert_silence(id.0).await?.ok_or(AlertSilenceError::NotFound)?;
        let version = body.0.version.unwrap_or(found.version);
        let silence = Silence { version, ..body.0.check(id.0, caller, now)? };
        let event = caller.event(Action::AlertSilenceUpdated).with(json!({"kind": silence.kind.as_str()}));
        context.store.change_alert_silence(&silence, event).await?;
        let silence = context.store.alert_silence(id.0).await?.ok_or(AlertSilenceError::NotFound)?;
        Ok(Json(AlertSilenceBody::new(silence, now)))
    }

    /// Delete a silence
    ///
    /// For administrators.
    #[oai(path = "/:id", method = "delete", operation_id = "deleteAlertSilence")]
    async fn delete(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The silence's id.
        id: Path<Uuid>,
    ) -> Result<DoneResponse, ApiError> {
        let caller = auth.require(Permission::WriteAlerts)?;
        context.store.delete_alert_silence(id.0, caller.event(Action::AlertSilenceDeleted)).await?;
        Ok(DoneResponse::NoContent)
    }
}
