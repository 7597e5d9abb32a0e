//! Channels in requests and answers.

use std::collections::BTreeMap;

use poem_openapi::types::Any;
use poem_openapi::{Enum, Object};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::alert_body::SeverityName;
use crate::domain::alert::severity::Severity;
use crate::notify::TestResult;
use crate::notify::channels::{Field, Kind, Shown};
use crate::notify::message::Sample;
use crate::store::AlertChannel;

/// Secrets shorter than this get no hint, since it would be half of them.
const HINTED_CHARS_MIN: usize = 12;
const HINT_CHARS: usize = 4;

/// The language of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename = "MessageLanguage", rename_all = "lowercase")]
pub(super) enum LanguageName {
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl LanguageName {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            LanguageName::En => "en",
            LanguageName::Zh => "zh",
        }
    }
}

/// Custom templates.
#[derive(Clone, Debug, Default, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertChannelTemplates", rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TemplatesBody {
    /// The body of requests, for kinds that allow it: JSON containing `{{ … }}`, where every value is quoted as needed.
    /// Available are `title`, `text`, `plain`, `link`, `severity`, `status`, `alerts`, `payload` and more.
    #[serde(default)]
    pub(super) body: Option<String>,
}

/// A channel to create, change, test or preview.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertChannelRequest", rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChannelRequest {
    /// The name (1–64 characters), unique regardless of case.
    pub(super) name: String,
    /// The kind, one of `GET /api/alert-channel-kinds`.
    pub(super) kind: String,
    /// The version to change; only for changes.
    #[serde(default)]
    pub(super) version: Option<i32>,
    /// Whether messages are sent (the default); otherwise they wait, for at most a day.
    #[serde(default)]
    pub(super) enabled: Option<bool>,
    /// Whether it receives alerts of rules that name no channels (the default).
    #[serde(default)]
    pub(super) is_default: Option<bool>,
    /// The lowest severity it receives; by default `info`.
    #[serde(default)]
    pub(super) min_severity: Option<SeverityName>,
    /// Whether it is told when alerts end (the default).
    #[serde(default)]
    pub(super) tells_resolved: Option<bool>,
    /// The language of messages; null means that of the settings.
    #[serde(default)]
    pub(super) language: Option<LanguageName>,
    /// The time zone of messages, such as `Europe/Berlin`; null means that of the settings.
    #[serde(default)]
    pub(super) time_zone: Option<String>,
    /// The kind's fields that are not secret.
    #[serde(default)]
    pub(super) settings: Option<Any<Map<String, Value>>>,
    /// The kind's secret fields, as texts. An omitted name keeps its secret, null removes it. If the channel now leads
    /// to another host or port, or is of another kind, all must be given again.
    #[serde(default)]
    pub(super) secrets: Option<Any<Map<String, Value>>>,
    /// Custom templates; null for none.
    #[serde(default)]
    pub(super) templates: Option<TemplatesBody>,
    /// How long to wait for more before a first message, in milliseconds (0–3600000; by default 30000).
    #[serde(default)]
    #[oai(validator(minimum(value = "0"), maximum(value = "3600000")))]
    pub(super) group_wait_ms: Option<i32>,
    /// Minimum time between messages of a group, in milliseconds (0–86400000; by default 300000).
    #[serde(default)]
    #[oai(validator(minimum(value = "0"), maximum(value = "86400000")))]
    pub(super) group_interval_ms: Option<i32>,
    /// Minimum time between requests, in milliseconds (0–3600000; by default 0). The service's own limits apply in any
    /// case.
    #[serde(default)]
    #[oai(validator(minimum(value = "0"), maximum(value = "3600000")))]
    pub(super) min_interval_ms: Option<i32>,
    /// Maximum messages within an hour (1–1000; by default 60). Beyond that, one message every 15 minutes covers
    /// everything new.
    #[serde(default)]
    #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
    pub(super) per_hour_max: Option<i32>,
}

/// A stored secret, which is not shown.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AlertChannelSecret", rename_all = "camelCase")]
pub(super) struct SecretBody {
    /// Whether there is one.
    set: bool,
    /// The end of it, if it is long enough; otherwise empty.
    hint: String,
}

/// A channel, to which messages are sent.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AlertChannel", rename_all = "camelCase")]
pub(super) struct ChannelBody {
    /// The channel's id.
    id: Uuid,
    /// Incremented by every change.
    version: i32,
    /// The name.
    name: String,
    /// The kind, one of `GET /api/alert-channel-kinds`.
    kind: String,
    /// Whether messages are sent; otherwise they wait.
    enabled: bool,
    /// Whether it receives alerts of rules that name no channels.
    is_default: bool,
    /// The lowest severity it receives.
    min_severity: SeverityName,
    /// Whether it is told when alerts end.
    tells_resolved: bool,
    /// The language of messages, `en` or `zh`; null means that of the settings.
    language: Option<String>,
    /// The time zone of messages; null means that of the settings.
    time_zone: Option<String>,
    /// The settings that are not secret.
    settings: Any<Map<String, Value>>,
    /// The secrets that are set. They are never shown.
    secrets: BTreeMap<String, SecretBody>,
    /// Custom templates; null for none.
    templates: Option<TemplatesBody>,
    /// How long to wait for more before a first message, in milliseconds.
    group_wait_ms: i32,
    /// Minimum time between messages of a group, in milliseconds.
    group_interval_ms: i32,
    /// Minimum time between requests, in milliseconds.
    min_interval_ms: i32,
    /// Maximum messages within an hour.
    per_hour_max: i32,
    /// Its state: `ok`, `failing` (being retried) or `broken` (needs a change); others may follow.
    state: String,
    /// Since when it has not been ok, in milliseconds since the Unix epoch.
    failing_since: Option<i64>,
    /// When a message was last delivered, in milliseconds since the Unix epoch.
    last_ok_at: Option<i64>,
    /// The last error.
    last_error: Option<String>,
    /// When it was created, in milliseconds since the Unix epoch.
    created_at: i64,
    /// When it was last changed, in milliseconds since the Unix epoch.
    updated_at: i64,
}

impl From<AlertChannel> for ChannelBody {
    fn from(channel: AlertChannel) -> Self {
        let AlertChannel { id, settings, version, state, failing_since, last_ok_at, last_error, .. } =
            channel;
        let hints: BTreeMap<String, String> =
            serde_json::from_str(&settings.secret_hints).unwrap_or_default();
        let secret = |(name, hint)| (name, SecretBody { set: true, hint });
        let templates = settings.templates.as_deref().and_then(|json| serde_json::from_str(json).ok());
        Self {
            id,
            version,
            name: settings.name,
            kind: settings.kind,
            enabled: settings.enabled,
            is_default: settings.is_default,
            min_severity: Severity::of_number(settings.min_severity).unwrap_or(Severity::Info).into(),
            tells_resolved: settings.tells_resolved,
            language: settings.language,
            time_zone: settings.time_zone,
            settings: Any(serde_json::from_str(&settings.settings).unwrap_or_default()),
            secrets: hints.into_iter().map(secret).collect(),
            templates,
            group_wait_ms: settings.group_wait_ms,
            group_interval_ms: settings.group_interval_ms,
            min_interval_ms: settings.min_interval_ms,
            per_hour_max: settings.per_hour_max,
            state,
            failing_since,
            last_ok_at,
            last_error,
            created_at: channel.created_at,
            updated_at: channel.updated_at,
        }
    }
}

/// Returns the end of a secret, if that discloses little.
pub(super) fn hint(secret: &str) -> String {
    let n_chars = secret.chars().count();
    if n_chars < HINTED_CHARS_MIN || secret.contains('\n') {
        return String::new();
    }
    secret.chars().skip(n_chars - HINT_CHARS).collect()
}

/// All channels.
#[derive(Debug, Object)]
#[oai(rename = "AlertChannelList", rename_all = "camelCase")]
pub(super) struct ChannelList {
    /// The channels, by name.
    pub(super) items: Vec<ChannelBody>,
    /// Number of channels.
    pub(super) total: u64,
}

/// Whether messages are sent.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertChannelStatus", rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StatusRequest {
    /// Whether messages are sent; otherwise they wait, for at most a day.
    pub(super) enabled: bool,
}

/// A channel to test before it is saved.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertChannelTestRequest", rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TestRequest {
    /// The channel.
    pub(super) channel: ChannelRequest,
    /// The channel whose secrets are used where they are omitted, as when changing it.
    #[serde(default)]
    pub(super) id: Option<Uuid>,
}

/// A sample message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename = "AlertSample", rename_all = "lowercase")]
pub(super) enum SampleName {
    /// A firing alert.
    Firing,
    /// A resolved alert.
    Resolved,
    /// Many alerts.
    Group,
}

impl From<SampleName> for Sample {
    fn from(name: SampleName) -> Self {
        match name {
            SampleName::Firing => Sample::Firing,
            SampleName::Resolved => Sample::Resolved,
            SampleName::Group => Sample::Group,
        }
    }
}

/// A channel whose messages are to be previewed.
#[derive(Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertChannelPreviewRequest", rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PreviewRequest {
    /// The channel. Omitted secrets are replaced by samples.
    pub(super) channel: ChannelRequest,
    /// The sample message; by default `firing`.
    #[serde(default)]
    pub(super) sample: Option<SampleName>,
}

/// A request, without secrets.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AlertRequestShown", rename_all = "camelCase")]
pub(super) struct ShownBody {
    /// The method; `MAIL` for a mail.
    method: String,
    /// The URL.
    url: String,
    /// The headers.
    headers: BTreeMap<String, String>,
    /// The body; for a mail, the text.
    body: String,
}

impl From<Shown> for ShownBody {
    fn from(shown: Shown) -> Self {
        let Shown { method, url, headers, body } = shown;
        Self { method, url, headers, body }
    }
}

/// The requests that would be sent.
#[derive(Debug, Object)]
#[oai(rename = "AlertChannelPreview", rename_all = "camelCase")]
pub(super) struct PreviewBody {
    /// The requests: one, or one per alert if the service manages incidents.
    pub(super) requests: Vec<ShownBody>,
}

/// The result of testing a channel.
#[derive(Debug, Object)]
#[oai(rename = "AlertChannelTest", rename_all = "camelCase")]
pub(super) struct TestBody {
    /// Whether the receiver accepted the message.
    ok: bool,
    /// The result: `ok`, `timeout`, `connect`, `refused_address`, `auth`, `rate_limited`, `rejected`, `server` or
    /// `unusable`; others may follow.
    result: String,
    /// The status of the answer; absent if there was none.
    http_status: Option<i32>,
    /// The duration, in milliseconds.
    attempt_ms: i64,
    /// The error.
    error: Option<String>,
    /// The requests sent.
    requests: Vec<ShownBody>,
}

impl From<TestResult> for TestBody {
    fn from(result: TestResult) -> Self {
        let TestResult { outcome, attempt_ms, request } = result;
        Self {
            ok: outcome.is_ok(),
            result: outcome.result.as_str().to_owned(),
            http_status: outcome.http_status.map(i32::from),
            attempt_ms,
            error: outcome.error,
            requests: request.into_iter().map(ShownBody::from).collect(),
        }
    }
}

/// A field of a kind of channel.
#[derive(Debug, Object)]
#[oai(rename = "AlertChannelField", rename_all = "camelCase")]
struct FieldBody {
    /// The field's name, in `settings` or in `secrets`.
    name: String,
    /// `text`, `url`, `host`, `integer`, `boolean`, `choice`, `headers` (one per line, `Name: value`), `mailAddress`,
    /// `mailAddresses` or `texts`; others may follow.
    r#type: String,
    /// Whether it belongs in `secrets`.
    secret: bool,
    /// Whether it is required.
    required: bool,
    /// The default value.
    default: Option<Any<Value>>,
    /// The accepted values of a choice.
    choices: Vec<String>,
    /// The minimum of a number.
    min: Option<i64>,
    /// The maximum of a number.
    max: Option<i64>,
}

impl From<&Field> for FieldBody {
    fn from(field: &Field) -> Self {
        Self {
            name: field.name.clone(),
            r#type: field.field_type.as_str().to_owned(),
            secret: field.secret,
            required: field.required,
            default: field.default.clone().map(Any),
            choices: field.choices.clone(),
            min: field.min,
            max: field.max,
        }
    }
}

/// A kind of channel.
#[derive(Debug, Object)]
#[oai(rename = "AlertChannelKind", rename_all = "camelCase")]
struct KindBody {
    /// The name in the API.
    kind: String,
    /// The name shown to people.
    name: String,
    /// The fields to set.
    fields: Vec<FieldBody>,
    /// Whether `templates.body` may be set.
    has_body_template: bool,
}

/// All kinds of channels.
#[derive(Debug, Object)]
#[oai(rename = "AlertChannelKindList", rename_all = "camelCase")]
pub(super) struct KindList {
    /// The kinds.
    items: Vec<KindBody>,
    /// Number of kinds.
    total: u64,
}

impl KindList {
    pub(super) fn of(kinds: &[Kind]) -> Self {
        let kind = |kind: &Kind| KindBody {
            kind: kind.kind.clone(),
            name: kind.name.clone(),
            fields: kind.fields.iter().map(FieldBody::from).collect(),
            has_body_template: kind.has_body_template,
        };
        Self { items: kinds.iter().map(kind).collect(), total: kinds.len() as u64 }
    }
}

/// Returns the names of the fields that differ between two channels, for the audit log. Never a value.
pub(super) fn changes(
    old: &AlertChannel,
    request: &ChannelRequest,
    new: &crate::store::AlertChannelSettings,
) -> Value {
    let was = &old.settings;
    let settings = |json: &str| serde_json::from_str::<Map<String, Value>>(json).unwrap_or_default();
    let (before, after) = (settings(&was.settings), settings(&new.settings));
    let mut names: Vec<String> = [
        ("name", was.name != new.name),
        ("kind", was.kind != new.kind),
        ("enabled", was.enabled != new.enabled),
        ("isDefault", was.is_default != new.is_default),
        ("minSeverity", was.min_severity != new.min_severity),
        ("tellsResolved", was.tells_resolved != new.tells_resolved),
        ("language", was.language != new.language),
        ("timeZone", was.time_zone != new.time_zone),
        ("templates", was.templates.is_some() || new.templates.is_some()),
        ("groupWaitMs", was.group_wait_ms != new.group_wait_ms),
        ("groupIntervalMs", was.group_interval_ms != new.group_interval_ms),
        ("minIntervalMs", was.min_interval_ms != new.min_interval_ms),
        ("perHourMax", was.per_hour_max != new.per_hour_max),
    ]
    .into_iter()
    .filter(|(_, has_changed)| *has_changed)
    .map(|(name, _)| name.to_owned())
    .collect();
    let differing =
        after.iter().filter(|(name, value)| before.get(*name) != Some(value)).map(|(name, _)| name);
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    names.extend(differing.chain(gone).map(|name| format!("settings.{name}")));
    let secrets = request.secrets.iter().flat_map(|secrets| secrets.0.keys());
    names.extend(secrets.map(|name| format!("secrets.{name}")));
    json!({"changed": names})
}
