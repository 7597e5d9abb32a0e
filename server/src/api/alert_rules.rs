//! Alert rules: what is looked for.

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::alert_rule_body::{AlertRuleBody, AlertRuleRequest};
use super::body::Body;
use super::done::DoneResponse;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::alert::builtin;
use crate::domain::alert::condition::{Function, RAW_WINDOW_MS_MAX, WINDOW_MS_MAX, WINDOW_MS_MIN};
use crate::domain::alert::measure::Measure;
use crate::domain::alert::rule::Rule;
use crate::domain::audit::Action;
use crate::domain::permission::Permission;
use crate::store::{AlertRuleError, RuleText};

/// Alert rules.
#[derive(Debug)]
pub struct AlertRulesApi;

/// All alert rules.
#[derive(Debug, Object)]
struct AlertRuleList {
    /// The rules, by name.
    items: Vec<AlertRuleBody>,
    /// Number of rules.
    total: i64,
}

/// Whether a rule is evaluated.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct AlertRuleStatus {
    /// Whether it is evaluated.
    enabled: bool,
}

/// A metric that rules can use.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertMetric {
    /// The family.
    family: String,
    /// The metric, or a value derived from two of them.
    metric: String,
    /// The unit: `percent`, `bytes`, `bytesPerSecond`, `perSecond` or `count`; others may follow.
    unit: String,
    /// Whether every mount point or interface is judged individually.
    has_series: bool,
    /// The functions that aggregate a window.
    functions: Vec<AlertFunction>,
}

/// A function that aggregates a window, and the limits of the window's length.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct AlertFunction {
    /// `avg`, `min`, `max` or `last`; others may follow.
    name: String,
    /// The shortest window, in milliseconds.
    window_ms_min: i64,
    /// The longest window, in milliseconds.
    window_ms_max: i64,
}

/// The metrics that rules can use.
#[derive(Debug, Object)]
struct AlertMetricList {
    /// The metrics, family by family.
    items: Vec<AlertMetric>,
}

#[derive(ApiResponse)]
enum CreateResponse {
    /// The rule was created.
    #[oai(status = 201)]
    Created(
        Json<AlertRuleBody>,
        /// The URL of the rule.
        #[oai(header = "Location")]
        String,
    ),
}

impl From<AlertRuleError> for ApiError {
    fn from(error: AlertRuleError) -> Self {
        match error {
            AlertRuleError::NotFound => ApiError::not_found(error.to_string()),
            AlertRuleError::Circle => ApiError::unprocessable("dependsOn", &error.to_string()),
            AlertRuleError::ChangedMeanwhile
            | AlertRuleError::NameTaken
            | AlertRuleError::Builtin
            | AlertRuleError::NotBuiltin
            | AlertRuleError::TooMany => ApiError::conflict(error.to_string()),
            AlertRuleError::Store(error) => error.into(),
        }
    }
}

/// Returns a rule in the form in which it is written.
fn text_of(rule: &Rule) -> RuleText {
    RuleText {
        name: rule.name.clone(),
        enabled: rule.enabled,
        definition: rule.definition.clone(),
        channel_ids: rule.channel_ids.clone(),
        summary: rule.summary.clone(),
        runbook: rule.runbook.clone(),
        runbook_url: rule.runbook_url.clone(),
    }
}

#[OpenApi(prefix_path = "/api/alert-rules", tag = "Tag::Alerting")]
impl AlertRulesApi {
    /// List alert rules
    #[oai(path = "/", method = "get", operation_id = "listAlertRules")]
    async fn list(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Json<AlertRuleList>, ApiError> {
        auth.require(Permission::Read)?;
        let items: Vec<_> = context.store.alert_rules().await?.into_iter().map(AlertRuleBody::from).collect();
        let total = i64::try_from(items.len()).unwrap_or(i64::MAX);
        Ok(Json(AlertRuleList { items, total }))
    }

    /// Create an alert rule
    ///
    /// For administrators. At most 500.
    #[oai(path = "/", method = "post", operation_id = "createAlertRule")]
    async fn create(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<AlertRuleRequest>,
    ) -> Result<CreateResponse, ApiError> {
        let caller = auth.require(Permission::WriteAlerts)?;
        let text = body.0.check()?;
        let event = caller.event(Action::AlertRuleCreated).with(json!({"enabled": text.enabled}));
        let rule = context.store.create_alert_rule(&text, event).await?;
        let location = format!("/api/alert-rules/{}", rule.id);
        Ok(CreateResponse::Created(Json(rule.into()), location))
    }

    /// List the metrics that alert rules can use
    ///
    /// The metrics with their units, and the limits of the windows of each function.
    #[oai(path = "/metrics", method = "get", operation_id = "listAlertMetrics")]
    async fn metrics(&self, auth: UserAuth) -> Result<Json<AlertMetricList>, ApiError> {
        auth.require(Permission::Read)?;
        let function = |function: &Function| AlertFunction {
            name: function.name().to_owned(),
            window_ms_min: WINDOW_MS_MIN,
            window_ms_max: if *function == Function::Last { RAW_WINDOW_MS_MAX } else { WINDOW_MS_MAX },
        };
        let items = Measure::all().map(|measure| AlertMetric {
            family: measure.family.name().to_owned(),
            metric: measure.name.to_owned(),
            unit: measure.unit.name().to_owned(),
            has_series: measure.family.series_column().is_some(),
            functions: measure.functions().iter().map(function).collect(),
        });
        Ok(Json(AlertMetricList { items: items.collect() }))
    }

    /// Get an alert rule
    #[oai(path = "/:id", method = "get", operation_id = "getAlertRule")]
    async fn get(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The rule's id.
        id: Path<Uuid>,
    ) -> Result<Json<AlertRuleBody>, ApiError> {
        auth.require(Permission::Read)?;
        let rule = context.store.alert_rule(id.0).await?;
        Ok(Json(rule.ok_or(AlertRuleError::NotFound)?.into()))
    }

    /// Change an alert rule
    ///
    /// For administrators. If something else is judged from now on (scope, series, or a condition's metric, function,
    /// window or operator), the rule's alerts end and may fire anew; other thresholds and times do not end them.
    #[oai(path = "/:id", method = "put", operation_id = "updateAlertRule")]
    async fn update(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The rule's id.
        id: Path<Uuid>,
        body: Body<AlertRuleRequest>,
    ) -> Result<Json<AlertRuleBody>, ApiError> {
        let caller = auth.require(Permission::WriteAlerts)?;
        let version = body.0.version;
        let text = body.0.check()?;
        let event = caller.event(Action::AlertRuleUpdated).with(json!({"enabled": text.enabled}));
        Ok(Json(context.store.change_alert_rule(id.0, version, |_| text, event).await?.into()))
    }

    /// Delete an alert rule
    ///
    /// For administrators. Its alerts end and stay in the history. A built-in rule can only be disabled (409).
    #[oai(path = "/:id", method = "delete", operation_id = "deleteAlertRule")]
    async fn delete(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The rule's id.
        id: Path<Uuid>,
    ) -> Result<DoneResponse, ApiError> {
        let caller = auth.require(Permission::WriteAlerts)?;
        context.store.delete_alert_rule(id.0, caller.event(Action::AlertRuleDeleted)).await?;
        Ok(DoneResponse::NoContent)
    }

    /// Enable or disable an alert rule
    ///
    /// For administrators. Disabling a rule ends its alerts.
    #[oai(path = "/:id/status", method = "post", operation_id = "setAlertRuleStatus")]
    async fn set_status(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The rule's id.
        id: Path<Uuid>,
        body: Body<AlertRuleStatus>,
    ) -> Result<Json<AlertRuleBody>, ApiError> {
        let caller = auth.require(Permission::WriteAlerts)?;
        let enabled = body.0.enabled;
        let event = caller.event(Action::AlertRuleUpdated).with(json!({"enabled": enabled}));
        let change = |rule: &Rule| RuleText { enabled, ..text_of(rule) };
        Ok(Json(context.store.change_alert_rule(id.0, None, change, event).await?.into()))
    }

    /// Reset a built-in rule
    ///
    /// For administrators. Its name, channels and texts stay. 409 if the rule is not built in.
    #[oai(path = "/:id/reset", method = "post", operation_id = "resetAlertRule")]
    async fn reset(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The rule's id.
        id: Path<Uuid>,
    ) -> Result<Json<AlertRuleBody>, ApiError> {
        let caller = auth.require(Permission::WriteAlerts)?;
        let rule = context.store.alert_rule(id.0).await?.ok_or(AlertRuleError::NotFound)?;
        let rules = builtin::rules();
        let original = rules.into_iter().find(|known| rule.builtin.as_deref() == Some(known.key));
        let original = original.ok_or(AlertRuleError::NotBuiltin)?;
        let event = caller.event(Action::AlertRuleUpdated).with(json!({"reset": true}));
        let change = |rule: &Rule| RuleText { definition: original.definition, ..text_of(rule) };
        Ok(Json(context.store.change_alert_rule(id.0, None, change, event).await?.into()))
    }
}
