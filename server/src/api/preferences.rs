//! Users' preferences, stored without interpretation.

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Any;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::body::Body;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::permission::Permission;

/// Maximum size of one user's preferences, in bytes of JSON.
const BYTES_MAX: usize = 16_384;

/// Users' preferences.
#[derive(Debug)]
pub struct PreferencesApi;

/// Preferences to store.
#[derive(Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
struct PreferencesUpdate {
    /// Any object of at most 16384 bytes of JSON.
    preferences: Any<Map<String, Value>>,
}

/// A user's preferences.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
struct Preferences {
    /// The stored preferences; an empty object if there are none.
    preferences: Any<Map<String, Value>>,
    /// When they were stored, in milliseconds since the Unix epoch; absent if there are none.
    updated_at: Option<i64>,
}

#[OpenApi(prefix_path = "/api/account/preferences", tag = "Tag::Account")]
impl PreferencesApi {
    /// Get your own preferences
    #[oai(path = "/", method = "get", operation_id = "getPreferences")]
    async fn get(&self, context: Data<&ApiContext>, auth: UserAuth) -> Result<Json<Preferences>, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        let kept = context.store.preferences(caller.user.id).await?;
        let (json, updated_at) = kept.map_or_else(Default::default, |(json, at)| (json, Some(at)));
        let preferences = serde_json::from_str(&json).unwrap_or_default();
        Ok(Json(Preferences { preferences: Any(preferences), updated_at }))
    }

    /// Set your own preferences
    ///
    /// Replaces the previous ones. Programs decide what is in them; the web console stores its language, theme, time
    /// zone and views there.
    #[oai(path = "/", method = "put", operation_id = "setPreferences")]
    async fn set(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<PreferencesUpdate>,
    ) -> Result<Json<Preferences>, ApiError> {
        let caller = auth.require(Permission::ManageOwnAccount)?;
        let Body(PreferencesUpdate { preferences }) = body;
        let json = serde_json::to_string(&preferences.0).map_err(|error| ApiError::internal(&error))?;
        if BYTES_MAX < json.len() {
            let message = format!("must be at most {BYTES_MAX} bytes of JSON, but are {}", json.len());
            return Err(ApiError::unprocessable("preferences", &message));
        }
        let now = caller.origin.at;
        context.store.set_preferences(caller.user.id, &json, now).await?;
        Ok(Json(Preferences { preferences, updated_at: Some(now) }))
    }
}
