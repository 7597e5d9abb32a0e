//! What a kind of channel is: the shape of the files in `notify/channels`.

use serde::Deserialize;
use serde_json::Value;

use super::super::message::{Cut, Format, Severity};

/// A kind of channel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// What it is called in the API.
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// What has to be set.
    pub fields: Vec<Field>,
    /// Whether somebody may write the body of its requests.
    #[serde(default)]
    pub has_body_template: bool,
    pub(crate) message: MessageShape,
    /// `None` for mail, which is no request.
    pub(crate) request: Option<RequestTemplate>,
    /// The request for what is over, where it is another one.
    pub(crate) resolved_request: Option<RequestTemplate>,
    /// One request for each alert, not one for all: the receiver keeps incidents of its own.
    #[serde(default)]
    pub(crate) is_one_each: bool,
    #[serde(default)]
    pub(crate) answer: AnswerRules,
    /// Least time between two requests.
    pub(crate) pace_ms: i64,
    #[serde(default)]
    pub(crate) priority: Priority,
}

/// Something that has to be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Field {
    /// What it is called.
    pub name: String,
    /// What it may be.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// It is sealed, and never answered.
    #[serde(default)]
    pub secret: bool,
    /// Nothing goes without it.
    #[serde(default)]
    pub required: bool,
    /// What it is where it is not set.
    pub default: Option<Value>,
    /// What it may be, of a choice.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Bounds of a number.
    pub min: Option<i64>,
    /// Bounds of a number.
    pub max: Option<i64>,
}

/// What a field may be.
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
    /// Yes or no.
    Boolean,
    /// One of several texts.
    Choice,
    /// Headers of a request, a line each: `Name: value`.
    Headers,
    /// A mail address.
    MailAddress,
    /// A list of mail addresses.
    MailAddresses,
    /// A list of texts.
    Texts,
}

impl FieldType {
    /// The type as the API names it.
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

/// How messages are written.
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
    /// Those whose value turns out empty are left out.
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    /// The field with further headers.
    pub(crate) headers_field: Option<String>,
    /// The field with the key that requests are signed with, as Standard Webhooks do it.
    pub(crate) signing_field: Option<String>,
    pub(crate) body: String,
}

fn post() -> String {
    "POST".to_owned()
}

/// How answers are to be taken.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AnswerRules {
    /// Statuses of success; none: 200–299.
    pub(crate) statuses: Vec<u16>,
    /// What the body must be, one of these.
    pub(crate) texts: Vec<String>,
    /// Where in the body success shows.
    pub(crate) pointer: Option<String>,
    /// What it must be there; `None`: anything but null.
    pub(crate) equals: Option<Value>,
    /// The fields with such a pointer and value, where somebody has set them.
    pub(crate) success_fields: Option<(String, String)>,
    /// Where the code of an error is.
    pub(crate) code: Option<String>,
    /// Where what went wrong is said.
    pub(crate) error: Vec<String>,
    /// Codes of errors that stay.
    pub(crate) final_codes: Vec<String>,
    /// Every error that the body tells of stays.
    pub(crate) is_error_final: bool,
    /// Texts of errors that stay.
    pub(crate) final_texts: Vec<String>,
    /// Codes that mean: too fast.
    pub(crate) rate_codes: Vec<String>,
    /// How long to wait after one of these, where the answer does not say.
    pub(crate) rate_wait_ms: Option<u64>,
    /// Where the answer says how long to wait.
    pub(crate) retry_after: Option<String>,
    /// That is milliseconds, not seconds.
    pub(crate) is_retry_after_ms: bool,
    /// Where the answer says that a setting has a new value, and which one.
    pub(crate) moved: Option<(String, String)>,
}

/// What severities are called there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Priority {
    critical: Value,
    warning: Value,
    info: Value,
    /// That something of little severity is over.
    lowest: Value,
}

impl Priority {
    /// The priority of what burns; what is over is one lower.
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
    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether it is mail.
    pub fn is_mail(&self) -> bool {
        self.request.is_none()
    }
}
