//! Renders the requests that send a message to a channel.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use minijinja::Value;
use minijinja::value::Serde;
use serde_json::{Map, json};
use uuid::Uuid;

use super::super::message::{Catalogue, Composed, Cut, Format, Message, alert_json, cut_text, payload};
use super::super::outbound::Request;
use super::super::template::{TemplateError, Templates, hmac_sha256};
use super::definition::RequestTemplate;
use super::fields::parse_headers;
use super::{FieldType, Kind, REDACTED, Settings};
use crate::notify::message::Severity;

/// Maximum size of a body, in bytes.
const BODY_BYTES_MAX: usize = 262_144;
/// Maximum alerts listed in a body; fewer if it would be too large.
const ALERTS_MAX: usize = 100;

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A part of the request cannot be rendered.
    #[error("{part}: {source}")]
    Template {
        /// The part.
        part: &'static str,
        /// The error.
        source: TemplateError,
    },
    /// The method or the headers are invalid.
    #[error("the {0} cannot be used")]
    Part(&'static str),
    /// The body would be too large.
    #[error("the body would be more than {BODY_BYTES_MAX} bytes")]
    TooLarge,
}

/// Renders messages as requests.
#[derive(Clone, Debug)]
pub(crate) struct Renderer {
    pub(crate) catalogue: Catalogue,
    lenient: Templates,
    strict: Templates,
}

impl Renderer {
    pub(crate) fn new(catalogue: Catalogue) -> Self {
        Self { catalogue, lenient: Templates::new(false), strict: Templates::new(true) }
    }

    /// Returns the requests for a message: one, or one per alert.
    ///
    /// # Errors
    /// If the channel's settings or template do not yield any.
    pub(crate) fn requests(
        &self,
        kind: &Kind,
        settings: &Settings,
        message: &Message,
    ) -> Result<Vec<Request>, RenderError> {
        if !kind.is_one_each {
            return Ok(vec![self.request(kind, settings, message, &self.lenient)?]);
        }
        let one = |notice: &super::super::message::Notice| {
            let message = Message { notices: vec![notice.clone()], ..message.clone() };
            self.request(kind, settings, &message, &self.lenient)
        };
        message.notices.iter().map(one).collect()
    }

    /// Like [`Renderer::requests`], but unknown values in the template are errors.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn try_template(
        &self,
        kind: &Kind,
        settings: &Settings,
        message: &Message,
    ) -> Result<(), RenderError> {
        self.request(kind, settings, message, &self.strict).map(drop)
    }

    /// Returns the title, and the text in the kind's format and as plain text.
    pub(crate) fn texts(&self, kind: &Kind, message: &Message) -> Texts {
        let shape = &kind.message;
        let composed = Composed::of(&self.catalogue, message);
        let title = cut_text(&composed.title, shape.title);
        let mut lines = composed.lines;
        if shape.title_in_body {
            lines.insert(0, super::super::message::title_line(title.clone()));
        }
        Texts {
            body: shape.format.write(&lines, shape.body),
            plain: Format::Plain.write(&lines, shape.body),
            marked_title: cut_text(
                &shape.format.escape(&title),
                Cut { max: shape.title.max * 2, ..shape.title },
            ),
            title,
            link: composed.link,
        }
    }

    fn request(
        &self,
        kind: &Kind,
        settings: &Settings,
        message: &Message,
        templates: &Templates,
    ) -> Result<Request, RenderError> {
        let resolved = kind.resolved_request.as_ref().filter(|_| message.is_resolved());
        let template = resolved.or(kind.request.as_ref()).ok_or(RenderError::Part("kind"))?;
        let mut alerts_max = ALERTS_MAX.min(message.notices.len());
        loop {
            let values = self.values(kind, settings, message, alerts_max);
            let request = fill(template, settings, &values, templates, message)?;
            match request.body.len() {
                ..=BODY_BYTES_MAX => return Ok(request),
                _ if alerts_max <= 1 => return Err(RenderError::TooLarge),
                _ => alerts_max /= 2,
            }
        }
    }

    /// Returns the values available to templates.
    fn values(&self, kind: &Kind, settings: &Settings, message: &Message, alerts_max: usize) -> Value {
        let texts = self.texts(kind, message);
        let payload = payload(&self.catalogue, message, alerts_max);
        let (severity, is_resolved) = (message.severity(), message.is_resolved());
        let level = if is_resolved { "resolved" } else { severity.as_str() };
        let (color_name, color_hex, color_number) = color(severity, is_resolved);
        let alert = message.notices.first().map(|notice| alert_json(message, notice));
        let mut all = Map::new();
        for field in &kind.fields {
            let value = match settings.secrets.get(&field.name) {
                Some(_) => Some(serde_json::Value::from(settings.text(&field.name))),
                None => settings.plain.get(&field.name).cloned().or_else(|| field.default.clone()),
            };
            // A path is appended to it.
            let value = match value {
                Some(serde_json::Value::String(url))
                    if field.field_type == FieldType::Url && !field.secret =>
                {
                    Some(url.trim_end_matches('/').into())
                }
                value => value,
            };
            all.insert(field.name.clone(), value.unwrap_or_default());
        }
        Value::from(Serde(json!({
            "settings": all,
            "title": texts.title,
            "markedTitle": texts.marked_title,
            "text": texts.body,
            "plain": texts.plain,
            "link": texts.link,
            "level": level,
            "severity": severity.as_str(),
            "status": if is_resolved { "resolved" } else { "firing" },
            "priority": kind.priority.of(severity, is_resolved),
            "color": {"name": color_name, "hex": color_hex, "number": color_number},
            "key": message.key,
            "nowMs": message.sent_at,
            "nowSeconds": message.sent_at / 1_000,
            "alert": alert,
            "alerts": payload["alerts"],
            "payload": payload,
        })))
    }
}

/// The texts of a message.
pub(crate) struct Texts {
    pub(crate) title: String,
    /// The title in the kind's format.
    marked_title: String,
    pub(crate) body: String,
    pub(crate) plain: String,
    link: String,
}

fn fill(
    template: &RequestTemplate,
    settings: &Settings,
    values: &Value,
    templates: &Templates,
    message: &Message,
) -> Result<Request, RenderError> {
    let failed = |part: &'static str| move |source| RenderError::Template { part, source };
    let text = |part: &'static str, template: &str| templates.text(template, values).map_err(failed(part));
    let method = text("method", &template.method)?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| RenderError::Part("method"))?;
    let body = settings.body_template.as_deref().unwrap_or(&template.body);
    let body = templates.json(body, values).map_err(failed("templates.body"))?;
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    for (name, value) in &template.headers {
        let value = text("header", value)?;
        if !value.is_empty() {
            headers.push((name.clone(), value));
        }
    }
    if let Some(field) = &template.headers_field {
        let more = parse_headers(settings.text(field)).map_err(|_| RenderError::Part("headers"))?;
        headers.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        headers.extend(more);
    }
    if let Some(field) = &template.signing_field {
        headers.extend(signed(settings.text(field), message.key, message.sent_at / 1_000, &body));
    }
    Ok(Request { method, url: text("url", &template.url)?.trim().to_owned(), headers, body })
}

/// Returns the headers of Standard Webhooks: always id and time, and the signature if there is a key.
fn signed(key: &str, id: Uuid, at_seconds: i64, body: &[u8]) -> Vec<(String, String)> {
    let header = |name: &str, value: String| (name.to_owned(), value);
    let mut headers =
        vec![header("webhook-id", id.to_string()), header("webhook-timestamp", at_seconds.to_string())];
    if !key.is_empty() {
        let bytes = match key.strip_prefix("whsec_").map(|text| STANDARD.decode(text)) {
            Some(Ok(bytes)) => bytes,
            _ => key.as_bytes().to_vec(),
        };
        let content = [format!("{id}.{at_seconds}.").as_bytes(), body].concat();
        headers.push(header("webhook-signature", format!("v1,{}", hmac_sha256(&bytes, &content))));
    }
    headers
}

fn color(severity: Severity, is_resolved: bool) -> (&'static str, &'static str, u32) {
    match severity {
        _ if is_resolved => ("green", "#2e9e5b", 0x2e_9e_5b),
        Severity::Critical => ("red", "#d43a3a", 0xd4_3a_3a),
        Severity::Warning => ("orange", "#e08a1e", 0xe0_8a_1e),
        Severity::Info => ("blue", "#3a7bd4", 0x3a_7b_d4),
    }
}

/// A request without secrets, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the parts of a request")]
pub struct Shown {
    pub method: String,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Shown {
    pub(crate) fn of(settings: &Settings, request: &Request) -> Self {
        let shown = |(name, value): &(String, String)| {
            let is_open = name == "content-type" || name == "webhook-id" || name == "webhook-timestamp";
            (name.clone(), if is_open { value.clone() } else { REDACTED.to_owned() })
        };
        Self {
            method: request.method.to_string(),
            url: settings.redact(&request.url),
            headers: request.headers.iter().map(shown).collect(),
            body: settings.redact(&String::from_utf8_lossy(&request.body)),
        }
    }
}
