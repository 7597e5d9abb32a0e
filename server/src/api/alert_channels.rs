//! Channels, to which messages are sent. Their secrets are accepted and never shown.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::alert_channel_body::{
    ChannelBody, ChannelList, ChannelRequest, KindList, PreviewBody, PreviewRequest, SampleName, ShownBody,
    StatusRequest, TestBody, TestRequest, changes, hint,
};
use super::body::Body;
use super::checked::checked;
use super::done::DoneResponse;
use super::security::UserAuth;
use super::{ApiContext, ApiError, Tag};
use crate::domain::audit::{Action, Object, ObjectKind};
use crate::domain::name::parse_name;
use crate::domain::permission::Permission;
use crate::domain::text::clean;
use crate::notify::ChannelLook;
use crate::notify::channels::{FieldError, Kind, Settings};
use crate::notify::message::{Language, Severity};
use crate::secrets::SecretsError;
use crate::store::{AlertChannel, AlertChannelError, AlertChannelSettings};

const NAME_CHARS_MAX: usize = 64;
const GROUP_WAIT_MS: i32 = 30_000;
const GROUP_INTERVAL_MS: i32 = 300_000;
const PER_HOUR_MAX: i32 = 60;
/// Stands for a secret in a preview.
const SAMPLE_SECRET: &str = "secret";
/// Stands for a secret URL in a preview.
const SAMPLE_URL: &str = "https://receiver.example/secret";

/// Channels.
#[derive(Debug)]
pub struct AlertChannelsApi;

#[derive(ApiResponse)]
enum CreateResponse {
    /// The channel was created.
    #[oai(status = 201)]
    Created(
        Json<ChannelBody>,
        /// The URL of the channel.
        #[oai(header = "Location")]
        String,
    ),
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        ApiError::unprocessable(&error.field, &error.message)
    }
}

impl From<SecretsError> for ApiError {
    fn from(error: SecretsError) -> Self {
        match error {
            SecretsError::NoKey | SecretsError::CannotOpen => {
                ApiError::unprocessable("secrets", &error.to_string())
            }
            SecretsError::Random(_) => ApiError::internal(&error),
        }
    }
}

impl From<AlertChannelError> for ApiError {
    fn from(error: AlertChannelError) -> Self {
        match error {
            AlertChannelError::NotFound => ApiError::not_found(error.to_string()),
            AlertChannelError::Changed(_) | AlertChannelError::NameTaken | AlertChannelError::TooMany => {
                ApiError::conflict(error.to_string())
            }
            AlertChannelError::Store(error) => error.into(),
        }
    }
}

async fn find(context: &ApiContext, id: Uuid) -> Result<AlertChannel, ApiError> {
    let found = context.store.alert_channel(id).await?;
    found.ok_or_else(|| ApiError::not_found("there is no such channel"))
}

fn kind_of<'a>(context: &'a ApiContext, name: &str) -> Result<&'a Kind, ApiError> {
    context.notifier.kinds().get(name).ok_or_else(|| {
        let kinds = context.notifier.kinds().all().iter();
        let known: Vec<&str> = kinds.map(|kind| kind.kind.as_str()).collect();
        ApiError::unprocessable("kind", &format!("must be one of {}", known.join(", ")))
    })
}

/// Returns a channel's settings with its secrets opened.
fn opened(context: &ApiContext, channel: &AlertChannel) -> Result<Settings, ApiError> {
    let secrets = context.notifier.open(channel.id, channel.settings.secrets.as_deref())?;
    Ok(Settings::of(channel, secrets))
}

/// Returns the settings in a request, with the secrets kept from the stored channel.
fn requested(
    context: &ApiContext,
    request: &ChannelRequest,
    before: Option<&AlertChannel>,
) -> Result<(Kind, Settings), ApiError> {
    let kind = kind_of(context, &request.kind)?;
    let nothing = serde_json::Map::new();
    let plain = kind.check_settings(request.settings.as_ref().map_or(&nothing, |settings| &settings.0))?;
    let body_template = request.templates.as_ref().and_then(|templates| templates.body.clone());
    if body_template.is_some() && !kind.has_body_template {
        return Err(ApiError::unprocessable("templates.body", "cannot be set for this kind of channel"));
    }
    let given = request.secrets.as_ref().map_or(&nothing, |secrets| &secrets.0);
    let mut secrets = BTreeMap::new();
    for (name, value) in given {
        match value {
            Value::Null => {}
            Value::String(secret) => {
                kind.check_secret(name, secret)?;
                secrets.insert(name.clone(), SecretString::from(secret.as_str()));
            }
            _ => return Err(ApiError::unprocessable(&format!("secrets.{name}"), "must be text or null")),
        }
    }
    let mut settings = Settings { plain, secrets, body_template };
    if let Some(before) = before {
        keep_secrets(context, kind, given, before, &mut settings)?;
    }
    let names: BTreeSet<String> = settings.secrets.keys().cloned().collect();
    kind.check_whole(&settings.plain, &names)?;
    Ok((kind.clone(), settings))
}

/// Keeps the secrets that are not given, unless the channel leads elsewhere now: otherwise anybody could have them sent
/// to a destination of their choice.
fn keep_secrets(
    context: &ApiContext,
    kind: &Kind,
    given: &serde_json::Map<String, Value>,
    before: &AlertChannel,
    settings: &mut Settings,
) -> Result<(), ApiError> {
    let hints: BTreeMap<String, Value> =
        serde_json::from_str(&before.settings.secret_hints).unwrap_or_default();
    let kept: Vec<&String> = hints.keys().filter(|name| !given.contains_key(*name)).collect();
    if kept.is_empty() {
        return Ok(());
    }
    let is_same_kind = before.settings.kind == kind.kind;
    let old = if is_same_kind { opened(context, before)? } else { Settings::default() };
    for name in &kept {
        if let Some(secret) = old.secrets.get(*name) {
            settings.secrets.insert((*name).clone(), secret.clone());
        }
    }
    if !is_same_kind || kind.places(&old) != kind.places(settings) {
        let name = kept.first().map_or("", |name| name.as_str());
        let message = "must be given again, because the channel leads elsewhere now; null removes it";
        return Err(ApiError::unprocessable(&format!("secrets.{name}"), message));
    }
    Ok(())
}

/// Returns the columns of a channel.
fn columns(
    context: &ApiContext,
    id: Uuid,
    request: &ChannelRequest,
    settings: &Settings,
) -> Result<AlertChannelSettings, ApiError> {
    let name = checked("name", parse_name(&request.name, NAME_CHARS_MAX))?;
    let hints: BTreeMap<&String, String> =
        settings.secrets.iter().map(|(name, secret)| (name, hint(secret.expose_secret()))).collect();
    let templates = settings.body_template.as_ref().map(|body| json!({"body": body}).to_string());
    Ok(AlertChannelSettings {
        name,
        kind: request.kind.clone(),
        enabled: request.enabled.unwrap_or(true),
        is_default: request.is_default.unwrap_or(true),
        tells_outages: false,
        min_severity: request.min_severity.map_or(Severity::Info, Severity::from).number(),
        tells_resolved: request.tells_resolved.unwrap_or(true),
        language: request.language.map(|language| language.as_str().to_owned()),
        time_zone: request.time_zone.clone().map(|zone| checked_zone(&zone)).transpose()?,
        settings: Value::from(settings.plain.clone()).to_string(),
        secrets: context.notifier.seal(id, &settings.secrets)?,
        secret_hints: json!(hints).to_string(),
        templates,
        group_wait_ms: request.group_wait_ms.unwrap_or(GROUP_WAIT_MS),
        group_interval_ms: request.group_interval_ms.unwrap_or(GROUP_INTERVAL_MS),
        min_interval_ms: request.min_interval_ms.unwrap_or(0),
        per_hour_max: request.per_hour_max.unwrap_or(PER_HOUR_MAX),
        includes_addresses: false,
    })
}

fn checked_zone(name: &str) -> Result<String, ApiError> {
    match TimeZone::get(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err(ApiError::unprocessable("timeZone", "must be a time zone such as Europe/Berlin")),
    }
}

/// Returns how messages of a channel look, which may not be stored yet.
async fn look(context: &ApiContext, request: &ChannelRequest) -> Result<ChannelLook, ApiError> {
    let (language, zone) = context.store.alert_language().await?;
    let zone = request.time_zone.as_deref().map(checked_zone).transpose()?.unwrap_or(zone);
    let language = request.language.map_or(language, |language| language.as_str().to_owned());
    Ok(ChannelLook {
        name: request.name.clone(),
        language: Language::parse(&language).unwrap_or(Language::English),
        time_zone: TimeZone::get(&zone).unwrap_or(TimeZone::UTC),
    })
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Alerting")]
impl AlertChannelsApi {
    /// List kinds of channels
    ///
    /// The kinds of channels, and the fields of each.
    #[oai(path = "/alert-channel-kinds", method = "get", operation_id = "listAlertChannelKinds")]
    async fn kinds(&self, context: Data<&ApiContext>, auth: UserAuth) -> Result<Json<KindList>, ApiError> {
        auth.require(Permission::Read)?;
        Ok(Json(KindList::of(context.notifier.kinds().all())))
    }

    /// List channels
    ///
    /// For administrators. Secrets are never shown.
    #[oai(path = "/alert-channels", method = "get", operation_id = "listAlertChannels")]
    async fn list(&self, context: Data<&ApiContext>, auth: UserAuth) -> Result<Json<ChannelList>, ApiError> {
        auth.require(Permission::ReadAdministration)?;
        let channels = context.store.alert_channels().await?;
        let items: Vec<ChannelBody> = channels.into_iter().map(ChannelBody::from).collect();
        Ok(Json(ChannelList { total: items.len() as u64, items }))
    }

    /// Create a channel
    ///
    /// For administrators. If its kind has secrets, the server's configuration must have a key to seal them with. It
    /// may lead to the public internet, and to networks allowed by the configuration.
    #[oai(path = "/alert-channels", method = "post", operation_id = "createAlertChannel")]
    async fn create(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<ChannelRequest>,
    ) -> Result<CreateResponse, ApiError> {
        let caller = auth.require(Permission::WriteChannels)?;
        let Body(request) = body;
        let (kind, settings) = requested(&context, &request, None)?;
        let id = Uuid::new_v4();
        let new = columns(&context, id, &request, &settings)?;
        context.notifier.check(&kind, &settings).await?;
        let event = caller.event(Action::AlertChannelCreated).with(json!({"kind": kind.kind}));
        context.store.insert_alert_channel(id, &new, event).await?;
        tracing::info!(channel = %id, kind = kind.kind, user = clean(&caller.user.username), "created a channel");
        let made = find(&context, id).await?;
        Ok(CreateResponse::Created(Json(made.into()), format!("/api/alert-channels/{id}")))
    }

    /// Get a channel
    ///
    /// For administrators. Secrets are never shown.
    #[oai(path = "/alert-channels/:id", method = "get", operation_id = "getAlertChannel")]
    async fn get(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The channel's id.
        id: Path<Uuid>,
    ) -> Result<Json<ChannelBody>, ApiError> {
        auth.require(Permission::ReadAdministration)?;
        Ok(Json(find(&context, id.0).await?.into()))
    }

    /// Change a channel
    ///
    /// For administrators. Replaces everything but its secrets. Its pending messages are tried at once.
    #[oai(path = "/alert-channels/:id", method = "put", operation_id = "updateAlertChannel")]
    async fn update(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The channel's id.
        id: Path<Uuid>,
        body: Body<ChannelRequest>,
    ) -> Result<Json<ChannelBody>, ApiError> {
        let caller = auth.require(Permission::WriteChannels)?;
        let Body(request) = body;
        let before = find(&context, id.0).await?;
        let version = request
            .version
            .ok_or_else(|| ApiError::unprocessable("version", "must be the channel's current version"))?;
        let (kind, settings) = requested(&context, &request, Some(&before))?;
        let new = columns(&context, id.0, &request, &settings)?;
        context.notifier.check(&kind, &settings).await?;
        let event = caller.event(Action::AlertChannelUpdated).with(changes(&before, &request, &new));
        context.store.update_alert_channel(id.0, version, &new, event).await?;
        tracing::info!(channel = %id.0, user = clean(&caller.user.username), "changed a channel");
        Ok(Json(find(&context, id.0).await?.into()))
    }

    /// Delete a channel
    ///
    /// For administrators. Its pending messages are deleted, too.
    #[oai(path = "/alert-channels/:id", method = "delete", operation_id = "deleteAlertChannel")]
    async fn delete(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The channel's id.
        id: Path<Uuid>,
    ) -> Result<DoneResponse, ApiError> {
        let caller = auth.require(Permission::WriteChannels)?;
        if !context.store.delete_alert_channel(id.0, caller.event(Action::AlertChannelDeleted)).await? {
            return Err(ApiError::not_found("there is no such channel"));
        }
        tracing::info!(channel = %id.0, user = clean(&caller.user.username), "deleted a channel");
        Ok(DoneResponse::NoContent)
    }

    /// Enable or disable a channel
    ///
    /// For administrators. While it is disabled, messages wait for at most a day.
    #[oai(path = "/alert-channels/:id/status", method = "post", operation_id = "setAlertChannelStatus")]
    async fn set_status(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The channel's id.
        id: Path<Uuid>,
        body: Body<StatusRequest>,
    ) -> Result<Json<ChannelBody>, ApiError> {
        let caller = auth.require(Permission::WriteChannels)?;
        let enabled = body.0.enabled;
        let action = if enabled { Action::AlertChannelEnabled } else { Action::AlertChannelDisabled };
        if !context.store.set_alert_channel_enabled(id.0, enabled, caller.event(action)).await? {
            return Err(ApiError::not_found("there is no such channel"));
        }
        tracing::info!(channel = %id.0, enabled, user = clean(&caller.user.username), "changed a channel");
        Ok(Json(find(&context, id.0).await?.into()))
    }

    /// Test a channel
    ///
    /// For administrators. Sends one real message now and returns the receiver's answer. If it is accepted, the channel
    /// works, and its pending messages are sent. At most three times a minute.
    #[oai(path = "/alert-channels/:id/test", method = "post", operation_id = "testAlertChannel")]
    async fn test(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        /// The channel's id.
        id: Path<Uuid>,
    ) -> Result<Json<TestBody>, ApiError> {
        let caller = auth.require(Permission::WriteChannels)?;
        let channel = find(&context, id.0).await?;
        let kind = kind_of(&context, &channel.settings.kind)?;
        let settings = opened(&context, &channel)?;
        context.channel_tests.begin(caller.user.id)?;
        let look = context.notifier.look(&channel).await?;
        let result = context.notifier.test(kind, &settings, &look).await;
        let details = json!({"result": result.outcome.result.as_str()});
        let object = Object::new(ObjectKind::AlertChannel, &id.0, &channel.settings.name);
        context.store.record(&caller.event(Action::AlertChannelTested).about(object).with(details)).await?;
        if result.outcome.is_ok() {
            context.store.mark_alert_channel_ok(id.0, context.clock.now()).await?;
        }
        Ok(Json(result.into()))
    }

    /// Test an unsaved channel
    ///
    /// For administrators. Like testing a stored one, for editors.
    #[oai(path = "/alert-channels/test", method = "post", operation_id = "testNewAlertChannel")]
    async fn test_new(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<TestRequest>,
    ) -> Result<Json<TestBody>, ApiError> {
        let caller = auth.require(Permission::WriteChannels)?;
        let Body(TestRequest { channel: request, id }) = body;
        let before = match id {
            Some(id) => Some(find(&context, id).await?),
            None => None,
        };
        let (kind, settings) = requested(&context, &request, before.as_ref())?;
        let name = checked("name", parse_name(&request.name, NAME_CHARS_MAX))?;
        let look = look(&context, &request).await?;
        context.notifier.check(&kind, &settings).await?;
        context.channel_tests.begin(caller.user.id)?;
        let result = context.notifier.test(&kind, &settings, &look).await;
        let details = json!({"kind": kind.kind, "result": result.outcome.result.as_str()});
        let object =
            Object::new(ObjectKind::AlertChannel, &id.map(|id| id.to_string()).unwrap_or_default(), name);
        context.store.record(&caller.event(Action::AlertChannelTested).about(object).with(details)).await?;
        Ok(Json(result.into()))
    }

    /// Preview a channel's messages
    ///
    /// For administrators. Returns the requests of a sample message; nothing is sent.
    #[oai(path = "/alert-channels/preview", method = "post", operation_id = "previewAlertChannel")]
    async fn preview(
        &self,
        context: Data<&ApiContext>,
        auth: UserAuth,
        body: Body<PreviewRequest>,
    ) -> Result<Json<PreviewBody>, ApiError> {
        auth.require(Permission::WriteChannels)?;
        let Body(PreviewRequest { mut channel, sample }) = body;
        let kind = kind_of(&context, &channel.kind)?;
        let secrets =
            &mut channel.secrets.get_or_insert_with(|| poem_openapi::types::Any(Default::default())).0;
        for field in kind.fields.iter().filter(|field| field.secret && field.required) {
            let made_up = if field.field_type.as_str() == "url" { SAMPLE_URL } else { SAMPLE_SECRET };
            secrets.entry(field.name.clone()).or_insert_with(|| made_up.into());
        }
        let (kind, settings) = requested(&context, &channel, None)?;
        let look = look(&context, &channel).await?;
        let sample = sample.unwrap_or(SampleName::Firing).into();
        let shown = context.notifier.preview(&kind, &settings, &look, sample);
        let shown = shown.map_err(|error| ApiError::unprocessable("channel", &error.to_string()))?;
        Ok(Json(PreviewBody { requests: shown.into_iter().map(ShownBody::from).collect() }))
    }
}
