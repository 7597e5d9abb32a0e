//! The meaning of answers: delivered, not now, or not at all.

use std::time::Duration;

use pika_shared::chain;
use serde_json::Value;

use super::super::outbound::{OutboundError, Response};
use super::definition::AnswerRules;
use super::{Kind, Settings};
use crate::domain::text::clean;

/// Statuses that mean: try again later.
const TEMPORARY: [u16; 3] = [408, 425, 429];
/// Statuses that mean that the credentials are rejected.
const UNAUTHORIZED: [u16; 2] = [401, 403];
/// Maximum wait requested by a receiver that is respected.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// The result of an attempt, for the metrics and the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// It was delivered.
    Ok,
    /// There was no answer in time.
    Timeout,
    /// There was no connection, or it broke.
    Connect,
    /// The address may not be connected to.
    RefusedAddress,
    /// The credentials were rejected.
    Auth,
    /// The receiver limits the rate.
    RateLimited,
    /// The receiver rejected it.
    Rejected,
    /// The receiver failed.
    Server,
    /// Nothing was sent: the channel's settings cannot be used.
    Unusable,
}

impl AttemptResult {
    /// All results.
    pub const ALL: [AttemptResult; 9] = [
        AttemptResult::Ok,
        AttemptResult::Timeout,
        AttemptResult::Connect,
        AttemptResult::RefusedAddress,
        AttemptResult::Auth,
        AttemptResult::RateLimited,
        AttemptResult::Rejected,
        AttemptResult::Server,
        AttemptResult::Unusable,
    ];

    /// Returns the result's name in the database and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            AttemptResult::Ok => "ok",
            AttemptResult::Timeout => "timeout",
            AttemptResult::Connect => "connect",
            AttemptResult::RefusedAddress => "refused_address",
            AttemptResult::Auth => "auth",
            AttemptResult::RateLimited => "rate_limited",
            AttemptResult::Rejected => "rejected",
            AttemptResult::Server => "server",
            AttemptResult::Unusable => "unusable",
        }
    }
}

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The result.
    pub result: AttemptResult,
    /// The status of the answer, if there was one.
    pub http_status: Option<u16>,
    /// The error, without secrets; `None` on success.
    pub error: Option<String>,
    /// How long the receiver asked to wait.
    pub retry_after: Option<Duration>,
    /// Whether retrying is useless until something is changed.
    pub is_final: bool,
    /// A setting that has a new value; the message is to be sent again with it.
    pub moved: Option<(String, String)>,
}

impl Outcome {
    /// The message was delivered.
    pub fn told(http_status: Option<u16>) -> Self {
        Self {
            result: AttemptResult::Ok,
            http_status,
            error: None,
            retry_after: None,
            is_final: false,
            moved: None,
        }
    }

    /// The message was not delivered.
    pub fn failed(result: AttemptResult, is_final: bool, error: String) -> Self {
        Self { result, http_status: None, error: Some(error), retry_after: None, is_final, moved: None }
    }

    /// Returns whether it was delivered.
    pub fn is_ok(&self) -> bool {
        self.result == AttemptResult::Ok
    }
}

impl From<&OutboundError> for Outcome {
    fn from(error: &OutboundError) -> Self {
        let result = match error {
            OutboundError::RefusedAddress { .. } | OutboundError::NotEncrypted { .. } => {
                AttemptResult::RefusedAddress
            }
            OutboundError::Destination(_) | OutboundError::Request(_) => AttemptResult::Unusable,
            OutboundError::Timeout => AttemptResult::Timeout,
            OutboundError::NotFound { .. }
            | OutboundError::Connect { .. }
            | OutboundError::Tls { .. }
            | OutboundError::NoAuthorities
            | OutboundError::Proxy(_)
            | OutboundError::Protocol(_)
            | OutboundError::Broken(_) => AttemptResult::Connect,
        };
        Outcome::failed(result, error.is_refusal(), clean(&chain(error).to_string()))
    }
}

impl Kind {
    /// Judges an answer.
    pub(crate) fn judge(&self, settings: &Settings, response: &Response) -> Outcome {
        let rules = &self.answer;
        let body = Body::new(&response.body);
        let code = rules.code.as_deref().and_then(|pointer| body.text(pointer)).unwrap_or_default();
        let is_status_right = match rules.statuses.as_slice() {
            [] => (200..300).contains(&response.status),
            statuses => statuses.contains(&response.status),
        };
        if is_status_right && rules.is_success(settings, &body) {
            return Outcome::told(Some(response.status));
        }
        let said = rules.error.iter().find_map(|pointer| body.text(pointer)).unwrap_or_default();
        let is_rate = response.status == 429 || rules.rate_codes.contains(&code);
        let result = match response.status {
            _ if is_rate => AttemptResult::RateLimited,
            status if UNAUTHORIZED.contains(&status) => AttemptResult::Auth,
            500.. => AttemptResult::Server,
            _ => AttemptResult::Rejected,
        };
        let is_final = !is_rate && rules.is_final(response.status, is_status_right, &code, &said);
        let moved =
            rules.moved.as_ref().and_then(|(pointer, field)| Some((field.clone(), body.text(pointer)?)));
        Outcome {
            result,
            http_status: Some(response.status),
            error: Some(clean(&settings.redact(&describe(response, &code, &said)))),
            retry_after: rules.wait(response, &body, is_rate).map(|wait| wait.min(RETRY_AFTER_MAX)),
            is_final,
            moved,
        }
    }
}

impl AnswerRules {
    fn is_success(&self, settings: &Settings, body: &Body<'_>) -> bool {
        if !self.texts.is_empty() && !self.texts.iter().any(|text| text == body.trimmed) {
            return false;
        }
        if let Some(pointer) = &self.pointer {
            let found = body.value(pointer);
            let is_right = match &self.equals {
                Some(equals) => found == Some(equals),
                None => found.is_some_and(|found| !found.is_null()),
            };
            if !is_right {
                return false;
            }
        }
        match &self.success_fields {
            Some((pointer, value)) => match (settings.text(pointer), settings.text(value)) {
                ("", _) => true,
                (pointer, "") => body.value(pointer).is_some_and(|found| !found.is_null()),
                (pointer, value) => body.text(pointer).is_some_and(|found| found == value),
            },
            None => true,
        }
    }

    fn is_final(&self, status: u16, is_status_right: bool, code: &str, said: &str) -> bool {
        let is_named = self.final_codes.iter().any(|known| known == code)
            || self.final_texts.iter().any(|known| said.contains(known.as_str()));
        match status {
            _ if is_named => true,
            _ if is_status_right => self.is_error_final,
            status => status < 500 && !TEMPORARY.contains(&status),
        }
    }

    fn wait(&self, response: &Response, body: &Body<'_>, is_rate: bool) -> Option<Duration> {
        let from_body = self.retry_after.as_deref().and_then(|pointer| body.value(pointer)?.as_f64());
        let seconds = from_body.map(|wait| if self.is_retry_after_ms { wait / 1_000.0 } else { wait });
        let by_rule = self.rate_wait_ms.filter(|_| is_rate).map(Duration::from_millis);
        seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .or(response.retry_after)
            .or(by_rule)
    }
}

/// Describes an answer by its status and error text, without the rest of it.
fn describe(response: &Response, code: &str, said: &str) -> String {
    if let (300..400, Some(host)) = (response.status, &response.moved_to) {
        return format!("{}: the URL has moved to {host}", response.status);
    }
    let mut text = match response.status {
        200..300 => format!("{}, but the answer does not say that it was taken", response.status),
        status => status.to_string(),
    };
    if !code.is_empty() {
        text = format!("{text}; code {code}");
    }
    if !said.is_empty() {
        text = format!("{text}: {said}");
    }
    text
}

/// The body of an answer.
struct Body<'a> {
    trimmed: &'a str,
    json: Option<Value>,
}

impl<'a> Body<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let trimmed = std::str::from_utf8(bytes).unwrap_or_default().trim();
        Self { trimmed, json: serde_json::from_str(trimmed).ok() }
    }

    fn value(&self, pointer: &str) -> Option<&Value> {
        self.json.as_ref()?.pointer(pointer)
    }

    /// Returns a value as text. The empty pointer means a body that is not JSON.
    fn text(&self, pointer: &str) -> Option<String> {
        if pointer.is_empty() && self.json.is_none() {
            return Some(self.trimmed.to_owned()).filter(|text| !text.is_empty());
        }
        match self.value(pointer)? {
            Value::String(text) => Some(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => None,
        }
    }
}
