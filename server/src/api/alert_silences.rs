//! Silences, maintenance and quiet hours: when nobody is told.

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

/// How many windows a preview names.
const WINDOWS: usize = 5;
/// Agents that a preview names.
const AGENTS_MAX: usize = 1_000;

/// Silences.
#[derive(Debug)]
pub struct AlertSilencesApi;

/// What kind of silence it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename = "AlertSilenceKind", rename_all = "lowercase")]
enum KindName {
    /// Nobody wants to hear of it, once.
    Silence,
    /// Somebody works on the machines, once.
    Maintenance,
    /// Quiet hours, again and again.
    Quiet,
}

/// Which alerts are meant; what names nothing means all.
#[derive(Clone, Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertMatcher", rename_all = "camelCase", deny_unknown_fields)]
struct MatcherBody {
    /// Of these rules (at most 500).
    #[serde(default)]
    #[oai(default)]
    rule_ids: Vec<Uuid>,
    /// About these agents; null: about everything.
    #[serde(default)]
    scope: Option<ScopeBody>,
    /// Of these severities.
    #[serde(default)]
    #[oai(default)]
    severities: Vec<SeverityName>,
}

/// A range of a day in local time. One that ends before it starts ends on the next day.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertTimeRange", rename_all = "camelCase", deny_unknown_fields)]
struct TimeRangeBody {
    /// Such as `22:00`.
    start: String,
    /// Such as `07:00`: the first minute that is not in it.
    end: String,
}

/// When it is quiet, again and again; a list that is empty allows everything.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertRecurrence", rename_all = "camelCase", deny_unknown_fields)]
struct RecurrenceBody {
    /// Such as `Europe/Berlin`.
    time_zone: String,
    /// On which days of the week a range begins: `mon`, `tue`, `wed`, `thu`, `fri`, `sat` and `sun`.
    #[serde(default)]
    #[oai(default)]
    weekdays: Vec<String>,
    /// In which ranges of the day (at most 8).
    #[serde(default)]
    #[oai(default)]
    times: Vec<TimeRangeBody>,
    /// On which days of the month a range begins: 1–31, or -1 for the last one, -2 for the one before it …
    #[serde(default)]
    #[oai(default)]
    days_of_month: Vec<i8>,
    /// In which months a range begins: 1–12.
    #[serde(default)]
    #[oai(default)]
    months: Vec<i8>,
}

/// A silence to be kept.
#[derive(Clone, Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct AlertSilenceRequest {
    /// `silence` and `maintenance` are once and need an end, `quiet` needs a recurrence.
    kind: KindName,
    /// What people call it (1–64 characters).
    name: String,
    /// Why (at most 1,000 characters).
    #[serde(default)]
    comment: Option<String>,
    /// Which alerts; all where it is left out.
    #[serde(default)]
    matcher: Option<MatcherBody>,
    /// From when on, in milliseconds since the Unix epoch; null: from always.
    #[serde(default)]
    starts_at: Option<i64>,
    /// Until when, in milliseconds since the Unix epoch; null: for ever.
    #[serde(default)]
    ends_at: Option<i64>,
    /// With `quiet`: when.
    #[serde(default)]
    recurrence: Option<RecurrenceBody>,
    /// From this severity on alerts are told all the same; null: none is.
    #[serde(default)]
    min_severity_through: Option<SeverityName>,
    /// When a silence is changed: the version that it had when it was read. Another one is answered with 409.
    #[serde(default)]
    version: Option<i32>,
}

/// A silence.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AlertSilence", rename_all = "camelCase")]
struct AlertSilenceBody {
    /// The silence's id.
    id: Uuid,
    /// Counts changes.
    version: i32,
    /// `silence`, `maintenance` or `quiet`; others may follow.
    kind: String,
    /// What people call it.
    name: String,
    /// Why.
    comment: String,
    /// Which alerts.
    matcher: MatcherBody,
    /// From when on, in milliseconds since the Unix epoch; null: from always.
    starts_at: Option<i64>,
    /// Until when, in milliseconds since the Unix epoch; null: for ever.
    ends_at: Option<i64>,
    /// When, again and again; null: all of the time.
    recurrence: Option<RecurrenceBody>,
    /// From this severity on alerts are told all the same.
    min_severity_through: Option<SeverityName>,
    /// Whether it is quiet now.
    is_active: bool,
    /// Who made it.
    created_by: String,
    /// When it was made, in milliseconds since the Unix epoch.
    created_at: i64,
    /// When it was last changed, in milliseconds since the Unix epoch.
    updated_at: i64,
}

/// All silences.
#[derive(Debug, Object)]
struct AlertSilenceList {
    /// The silences, the newest first.
    items: Vec<AlertSilenceBody>,
    /// How many there are.
    total: i64,
}

/// When a silence would be, and whom it would be about.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertSilencePreview {
    /// The next five times.
    windows: Vec<AlertSilenceWindow>,
    /// The agents that it is about now (at most 1,000).
    agents: Vec<AlertSilenceAgent>,
    /// How many those are.
    n_agents: i64,
}

/// A time in which it is quiet.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertSilenceWindow {
    /// Its start, in milliseconds since the Unix epoch.
    start: i64,
    /// Its end, in milliseconds since the Unix epoch; null: never.
    end: Option<i64>,
}

/// An agent.
#[derive(Debug, Object)]
struct AlertSilenceAgent {
    /// The agent's id.
    id: Uuid,
    /// What it is called.
    name: String,
}

#[derive(ApiResponse)]
enum CreateResponse {
    /// The silence was made.
    #[oai(status = 201)]
    Created(
        Json<AlertSilenceBody>,
        /// Where the silence can be found.
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

/// What a recurrence is inside; serde knows the names of days.
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
    /// Also those that are over, for 30 days.
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

    /// Make a silence
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

    /// When a silence would be, and whom it would be about
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
