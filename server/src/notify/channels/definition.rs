//! The definition of a kind of channel: the format of the files in `notify/channels`.

use serde::Deserialize;
use serde_json::Value;

use super::super::message::{Cut, Format, Severity};

/// A kind of channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// The name in the API.
    pub kind: String,
    /// The name shown to people.
    pub name: String,
    /// The fields to set.
    pub fields: Vec<Field>,
    /// Whether the body of its requests may be customized.
    #[serde(default)]
    pub has_body_template: bool,
    pub(crate) message: MessageShape,
    /// `None` for mail.
    pub(crate) request: Option<RequestTemplate>,
    /// The request for resolved alerts, if different.
    pub(crate) resolved_request: Option<RequestTemplate>,
    /// Whether each alert is a separate request, since the receiver manages incidents.
    #[serde(default)]
    pub(crate) is_one_each: bool,
    #[serde(default)]
    pub(crate) answer: AnswerRules,
    /// Minimum time between two requests.
    pub(crate) pace_ms: i64,
    #[serde(default)]
    pub(crate) priority: Priority,
}

/// A field of a channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Field {
    /// The field's name.
    pub name: String,
    /// The type of its value.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Whether it is sealed and never returned.
    #[serde(default)]
    pub secret: bool,
    /// Whether it is required.
    #[serde(default)]
    pub required: bool,
    /// The default value.
    pub default: Option<Value>,
    /// The accepted values of a choice.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Minimum of a number.
    pub min: Option<i64>,
    /// Maximum of a number.
    pub max: Option<i64>,
}

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FieldType {
    /// A line of text.
    Text,
    /// A URL to connect to.
    Url,
    /// A host to connect to.
    Host,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// One of several texts.
    Choice,
    /// Headers of a request, one per line: `Name: value`.
    Headers,
    /// A mail address.
    MailAddress,
    /// A list of mail addresses.
    MailAddresses,
    /// A list of texts.
    Texts,
}

impl FieldType {
    /// Returns the type's name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldType::Text => "text",
            FieldType::Url => "url",
            FieldType::Host => "host",
            FieldType::Integer => "integer",
            FieldType::Boolean => "boolean",
            FieldType::Choice => "choice",
            FieldType::Headers => "headers",
            FieldType::MailAddress => "mailAddress",
            FieldType::MailAddresses => "mailAddresses",
            FieldType::Texts => "texts",
        }
    }
}

/// The format of messages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageShape {
    pub(crate) format: Format,
    pub(crate) title: Cut,
    pub(crate) body: Cut,
    /// The title is the body's first line.
    #[serde(default)]
    pub(crate) title_in_body: bool,
}

/// A request, each part of it a template.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestTemplate {
    #[serde(default = "post")]
    pub(crate) method: String,
    pub(crate) url: String,
    /// Headers whose value is empty are omitted.
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    /// The field with additional headers.
    pub(crate) headers_field: Option<String>,
    /// The field with the key that requests are signed with, following Standard Webhooks.
    pub(crate) signing_field: Option<String>,
    pub(crate) body: String,
}

fn post() -> String {
    "POST".to_owned()
}

/// How answers are judged.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AnswerRules {
    /// Statuses of success; if empty, 200–299.
    pub(crate) statuses: Vec<u16>,
    /// The accepted bodies.
    pub(crate) texts: Vec<String>,
    /// The pointer to the value in the body that shows success.
    pub(crate) pointer: Option<String>,
    /// The value it must have; `None` accepts anything but null.
    pub(crate) equals: Option<Value>,
    /// The fields with a custom pointer and value.
    pub(crate) success_fields: Option<(String, String)>,
    /// The pointer to the error code.
    pub(crate) code: Option<String>,
    /// The pointers to the error text.
    pub(crate) error: Vec<String>,
    /// Codes of permanent errors.
    pub(crate) final_codes: Vec<String>,
    /// Whether every error in the body is permanent.
    pub(crate) is_error_final: bool,
    /// Texts of permanent errors.
    pub(crate) final_texts: Vec<String>,
    /// Codes of rate limiting.
    pub(crate) rate_codes: Vec<String>,
    /// How long to wait after one of these, unless the answer says.
    pub(crate) rate_wait_ms: Option<u64>,
    /// The pointer to how long to wait.
    pub(crate) retry_after: Option<String>,
    /// Whether that is milliseconds rather than seconds.
    pub(crate) is_retry_after_ms: bool,
    /// The pointer to a setting's new value, and the setting's name.
    pub(crate) moved: Option<(String, String)>,
}

/// The service's names of severities.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Priority {
    critical: Value,
    warning: Value,
    info: Value,
    /// For resolved alerts of low severity.
    lowest: Value,
}

impl Priority {
    /// Returns the priority of a firing alert; a resolved one is one lower.
    pub(crate) fn of(&self, severity: Severity, is_resolved: bool) -> &Value {
        match (severity, is_resolved) {
            (Severity::Critical, false) => &self.critical,
            (Severity::Critical, true) | (Severity::Warning, false) => &self.warning,
            (Severity::Warning, true) | (Severity::Info, false) => &self.info,
            (Severity::Info, true) => &self.lowest,
        }
    }
}

impl Kind {
    /// Returns the field with this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns whether it is mail.
    pub fn is_mail(&self) -> bool {
        self.request.is_none()
    }
}
