//! Settings that administrators change while the server runs.

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use serde_json::json;

use super::body::Body;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::audit::{Action, Object, ObjectKind};
use crate::domain::permission::Permission;
use crate::domain::retention::Retention;
use crate::domain::text::clean;

/// Settings.
#[derive(Debug)]
pub struct SettingsApi;

/// How long each tier is kept, in milliseconds; null means for ever.
#[derive(Clone, Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "Retention", rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RetentionBody {
    /// Raw samples. At least 194,400,000 (54 hours): late samples are still rolled up from them.
    #[serde(deserialize_with = "required")]
    raw_ms: Option<i64>,
    /// Buckets of one minute. At least as long as raw samples.
    #[serde(deserialize_with = "required")]
    one_minute_ms: Option<i64>,
    /// Buckets of one hour. At least as long as those of one minute.
    #[serde(deserialize_with = "required")]
    one_hour_ms: Option<i64>,
    /// Buckets of one day. At least as long as those of one hour.
    #[serde(deserialize_with = "required")]
    one_day_ms: Option<i64>,
}

/// An omitted field is not null: nobody should keep everything for ever by forgetting a line.
fn required<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Option::deserialize(deserializer)
}

impl From<Retention> for RetentionBody {
    fn from(retention: Retention) -> Self {
        let Retention { raw_ms, one_minute_ms, one_hour_ms, one_day_ms } = retention;
        Self { raw_ms, one_minute_ms, one_hour_ms, one_day_ms }
    }
}

impl From<RetentionBody> for Retention {
    fn from(body: RetentionBody) -> Self {
        let RetentionBody { raw_ms, one_minute_ms, one_hour_ms, one_day_ms } = body;
        Self { raw_ms, one_minute_ms, one_hour_ms, one_day_ms }
    }
}

#[OpenApi(prefix_path = "/api/settings", tag = "Tag::Settings")]
impl SettingsApi {
    /// Get how long metrics are kept
    #[oai(path = "/retention", method = "get", operation_id = "getRetention")]
    async fn retention(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
    ) -> Result<Json<RetentionBody>, ApiError> {
        auth.require(Permission::Read)?;
        Ok(Json(context.store.retention().await?.into()))
    }

    /// Change how long metrics are kept
    ///
    /// For administrators. A combination that would lose rollups is refused with the reason. What has expired by a
    /// shorter time is dropped in the next round of maintenance, within an hour.
    #[oai(path = "/retention", method = "put", operation_id = "setRetention")]
    async fn set_retention(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<RetentionBody>,
    ) -> Result<Json<RetentionBody>, ApiError> {
        let caller = auth.require(Permission::WriteSettings)?;
        let retention = Retention::from(body.0);
        retention.check().map_err(|error| ApiError::unprocessable(parameter(&error), &error.message))?;
        let RetentionBody { raw_ms, one_minute_ms, one_hour_ms, one_day_ms } = retention.into();
        let event = caller
            .event(Action::SettingsUpdated)
            .about(Object::new(ObjectKind::Setting, &"retention", ""))
            .with(json!({"rawMs": raw_ms, "oneMinuteMs": one_minute_ms, "oneHourMs": one_hour_ms, "oneDayMs": one_day_ms}));
        context.store.set_retention(&retention, &event).await?;
        tracing::info!(?retention, user = clean(&caller.user.username), "changed the retention");
        Ok(Json(retention.into()))
    }
}

/// Returns the name of the field that is invalid.
pub(super) fn parameter(error: &crate::domain::retention::RetentionError) -> &'static str {
    use crate::domain::tier::Tier;
    match error.tier {
        Tier::Raw => "rawMs",
        Tier::OneMinute => "oneMinuteMs",
        Tier::OneHour => "oneHourMs",
        Tier::OneDay => "oneDayMs",
    }
}
