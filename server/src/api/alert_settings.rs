//! The settings for all alert rules.

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use serde_json::json;

use super::alert_heartbeats::{HeartbeatBody, requested};
use super::body::Body;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::alert::settings::{AlertSettings, Heartbeat};
use crate::domain::audit::{Action, Object, ObjectKind};
use crate::domain::permission::Permission;

/// The settings for all alert rules.
#[derive(Debug)]
pub struct AlertSettingsApi;

/// Settings for all alert rules.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertSettings", rename_all = "camelCase", deny_unknown_fields)]
struct AlertSettingsBody {
    /// The language of messages, unless a channel has its own: `en` or `zh`.
    language: String,
    /// The time zone of messages, unless a channel has its own, such as `Europe/Berlin`.
    time_zone: String,
    /// Minimum agents that must leave together for an outage of the fleet or of a tag (2–1,000).
    fleet_min: i32,
    /// Minimum percentage of the fleet that must leave together (1–100).
    fleet_percent: i32,
    /// Minimum percentage of the agents with a tag that must leave together (1–100).
    tag_percent: i32,
    /// How long ended alerts are kept, in milliseconds (a day to ten years).
    history_keep_ms: i64,
    /// Heartbeats that are sent after complete evaluations (at most 5). If omitted in a request, they are kept.
    #[serde(default)]
    #[oai(skip_serializing_if_is_none)]
    heartbeats: Option<Vec<HeartbeatBody>>,
    /// Incremented by every change. If it is outdated in a request, nothing is changed (409).
    version: i32,
}

impl From<AlertSettings> for AlertSettingsBody {
    fn from(settings: AlertSettings) -> Self {
        let AlertSettings {
            language,
            time_zone,
            fleet_min,
            fleet_percent,
            tag_percent,
            history_keep_ms,
            heartbeats,
            version,
        } = settings;
        let heartbeats = Some(heartbeats.into_iter().map(HeartbeatBody::from).collect());
        Self {
            language,
            time_zone,
            fleet_min,
            fleet_percent,
            tag_percent,
            history_keep_ms,
            heartbeats,
            version,
        }
    }
}

impl AlertSettingsBody {
    fn settings(self, heartbeats: Vec<Heartbeat>) -> AlertSettings {
        AlertSettings {
            language: self.language,
            time_zone: self.time_zone,
            fleet_min: self.fleet_min,
            fleet_percent: self.fleet_percent,
            tag_percent: self.tag_percent,
            history_keep_ms: self.history_keep_ms,
            heartbeats,
            version: self.version,
        }
    }
}

#[OpenApi(prefix_path = "/api/settings", tag = "Tag::Settings")]
impl AlertSettingsApi {
    /// Get the settings for all alert rules
    #[oai(path = "/alerting", method = "get", operation_id = "getAlertSettings")]
    async fn get(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Json<AlertSettingsBody>, ApiError> {
        auth.require(Permission::Read)?;
        Ok(Json(context.store.alert_settings().await?.into()))
    }

    /// Change the settings for all alert rules
    ///
    /// For administrators. The URLs of heartbeats are secrets: the configuration must have a key to seal them with. They are
    /// restricted like channels.
    #[oai(path = "/alerting", method = "put", operation_id = "setAlertSettings")]
    async fn set(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<AlertSettingsBody>,
    ) -> Result<Json<AlertSettingsBody>, ApiError> {
        let caller = auth.require(Permission::WriteSettings)?;
        let Body(mut body) = body;
        let before = context.store.heartbeats().await?;
        let (heartbeats, secrets) = match body.heartbeats.take() {
            Some(asked) => requested(&context, &asked, before).await?,
            None => before,
        };
        let settings = body.settings(heartbeats);
        settings.check()?;
        let event = caller
            .event(Action::SettingsUpdated)
            .about(Object::new(ObjectKind::Setting, &"alerting", ""))
            .with(json!({"language": settings.language, "timeZone": settings.time_zone, "fleetMin": settings.fleet_min,
                "fleetPercent": settings.fleet_percent, "tagPercent": settings.tag_percent,
                "historyKeepMs": settings.history_keep_ms,
                "heartbeats": settings.heartbeats.len()}));
        if !context.store.set_alert_settings(&settings, secrets.as_deref(), &event).await? {
            return Err(ApiError::conflict("the settings were changed in the meantime; read them again"));
        }
        Ok(Json(context.store.alert_settings().await?.into()))
    }
}
