//! Validation of a channel's fields.

use std::collections::BTreeSet;

use lettre::Address;
use serde_json::{Map, Value};

use super::super::outbound::{Destination, parse_url};
use super::{Field, FieldType, Kind, Settings};

/// Maximum length of a text.
const TEXT_CHARS_MAX: usize = 2_048;
const HEADERS_BYTES_MAX: usize = 8_192;
const HEADERS_MAX: usize = 16;
const ITEMS_MAX: usize = 20;

/// Headers set by the request itself.
const OWN_HEADERS: [&str; 6] =
    ["connection", "content-length", "host", "te", "transfer-encoding", "user-agent"];

/// An invalid field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// The field, as its path in the request.
    pub field: String,
    /// The reason.
    pub message: String,
}

impl FieldError {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl Kind {
    /// Validates the settings that are not secret. Returns them without those that are not set.
    ///
    /// # Errors
    /// Names the first invalid field.
    pub fn check_settings(&self, settings: &Map<String, Value>) -> Result<Map<String, Value>, FieldError> {
        let is_known = |name: &&String| self.field(name).is_some_and(|field| !field.secret);
        if let Some(unknown) = settings.keys().find(|name| !is_known(name)) {
            let is_secret = self.field(unknown).is_some();
            let message = if is_secret { "is a secret: give it in secrets" } else { "is not known" };
            return Err(FieldError::new(format!("settings.{unknown}"), message));
        }
        let mut checked = Map::new();
        for field in self.fields.iter().filter(|field| !field.secret) {
            let path = format!("settings.{}", field.name);
            match settings.get(&field.name).filter(|value| !is_nothing(value)) {
                Some(value) => {
                    let value = field.check(value).map_err(|message| FieldError::new(path, message))?;
                    checked.insert(field.name.clone(), value);
                }
                None if field.required && field.default.is_none() => {
                    return Err(FieldError::new(path, "must be set"));
                }
                None => {}
            }
        }
        Ok(checked)
    }

    /// Validates one secret.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check_secret(&self, name: &str, secret: &str) -> Result<(), FieldError> {
        let path = format!("secrets.{name}");
        let Some(field) = self.field(name).filter(|field| field.secret) else {
            return Err(FieldError::new(path, "is not known"));
        };
        if secret.is_empty() {
            return Err(FieldError::new(path, "must not be empty; null removes it"));
        }
        field.check(&Value::from(secret)).map_err(|message| FieldError::new(path, message))?;
        Ok(())
    }

    /// Validates combinations of fields, given the names of all secrets after the change.
    ///
    /// # Errors
    /// Names what is missing.
    pub fn check_whole(
        &self,
        settings: &Map<String, Value>,
        secrets: &BTreeSet<String>,
    ) -> Result<(), FieldError> {
        let is_missing = |field: &&Field| field.secret && field.required && !secrets.contains(&field.name);
        if let Some(missing) = self.fields.iter().find(is_missing) {
            return Err(FieldError::new(format!("secrets.{}", missing.name), "must be set"));
        }
        let text = |name: &str| settings.get(name).and_then(Value::as_str).unwrap_or_default();
        if self.is_mail() {
            let has_password = secrets.contains("password");
            if has_password != settings.contains_key("username") {
                return Err(FieldError::new(
                    "settings.username",
                    "goes with secrets.password, both or neither",
                ));
            }
            if text("security") == "none" && has_password {
                return Err(FieldError::new(
                    "settings.security",
                    "a password is not sent without encryption",
                ));
            }
        }
        if text("successPointer").is_empty() && !text("successValue").is_empty() {
            return Err(FieldError::new("settings.successPointer", "must be set where successValue is"));
        }
        Ok(())
    }

    /// Returns the destinations in the settings: if one of them changes, secrets must be entered again.
    pub fn places(&self, settings: &Settings) -> Vec<String> {
        let is_place = |field: &&Field| {
            matches!(field.field_type, FieldType::Url | FieldType::Host) || field.name == "port"
        };
        let place = |field: &Field| {
            let value = settings.plain.get(&field.name).or(field.default.as_ref());
            let text = value.and_then(Value::as_str).unwrap_or_default();
            match (field.field_type, settings.text(&field.name)) {
                (FieldType::Url, "") => origin(text),
                (FieldType::Url, url) => origin(url),
                _ => value.map(Value::to_string).unwrap_or_default(),
            }
        };
        self.fields.iter().filter(is_place).map(place).collect()
    }
}

/// Returns scheme, host and port.
fn origin(url: &str) -> String {
    parse_url(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

impl Field {
    fn check(&self, value: &Value) -> Result<Value, String> {
        let text = || value.as_str().ok_or_else(|| "must be text".to_owned());
        match self.field_type {
            FieldType::Text => check_text(text()?).map(Value::from),
            FieldType::Url => {
                let url = text()?.trim();
                parse_url(url).map(|_| Value::from(url)).map_err(|error| error.to_string())
            }
            FieldType::Host => {
                let host = text()?.trim();
                Destination::new(host, 443).map(|_| Value::from(host)).map_err(|error| error.to_string())
            }
            FieldType::Integer => self.check_integer(value),
            FieldType::Boolean => {
                value.as_bool().map(Value::from).ok_or_else(|| "must be true or false".to_owned())
            }
            FieldType::Choice => {
                let is_known =
                    value.as_str().is_some_and(|text| self.choices.iter().any(|known| known == text));
                if is_known {
                    Ok(value.clone())
                } else {
                    Err(format!("must be {}", self.choices.join(" or ")))
                }
            }
            FieldType::Headers => parse_headers(text()?).map(|_| value.clone()),
            FieldType::MailAddress => check_address(text()?).map(Value::from),
            FieldType::MailAddresses => check_items(value, check_address),
            FieldType::Texts => check_items(value, check_text),
        }
    }

    fn check_integer(&self, value: &Value) -> Result<Value, String> {
        let (min, max) = (self.min.unwrap_or(i64::MIN), self.max.unwrap_or(i64::MAX));
        match value.as_i64() {
            Some(number) if (min..=max).contains(&number) => Ok(Value::from(number)),
            _ => Err(format!("must be a whole number, {min}–{max}")),
        }
    }
}

fn check_text(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || TEXT_CHARS_MAX < text.chars().count() || text.chars().any(char::is_control) {
        return Err(format!("must be 1–{TEXT_CHARS_MAX} characters on one line"));
    }
    Ok(text.to_owned())
}

fn check_address(text: &str) -> Result<String, String> {
    let text = text.trim();
    text.parse::<Address>().map(|_| text.to_owned()).map_err(|_| "is not a mail address".to_owned())
}

fn check_items(value: &Value, check: fn(&str) -> Result<String, String>) -> Result<Value, String> {
    let items = value.as_array().filter(|items| items.len() <= ITEMS_MAX);
    let items = items.ok_or_else(|| format!("must be a list of at most {ITEMS_MAX}"))?;
    let checked = items.iter().enumerate().map(|(index, item)| {
        let text = item.as_str().ok_or_else(|| format!("item {index} must be text"))?;
        check(text).map(Value::from).map_err(|message| format!("item {index} {message}"))
    });
    checked.collect::<Result<Vec<_>, _>>().map(Value::from)
}

/// Parses headers, one per line.
pub(super) fn parse_headers(text: &str) -> Result<Vec<(String, String)>, String> {
    if HEADERS_BYTES_MAX < text.len() {
        return Err(format!("must be at most {HEADERS_BYTES_MAX} bytes"));
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if HEADERS_MAX < lines.len() {
        return Err(format!("must be at most {HEADERS_MAX} headers"));
    }
    let header = |line: &&str| {
        let (name, value) = line.split_once(':')?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        let is_name = hyper::header::HeaderName::from_bytes(name.as_bytes()).is_ok();
        let is_value = hyper::header::HeaderValue::from_str(value).is_ok();
        let is_own = OWN_HEADERS.contains(&name.as_str()) || name.starts_with("webhook-");
        (is_name && is_value && !is_own).then(|| (name, value.to_owned()))
    };
    let headers = lines.iter().enumerate().map(|(index, line)| {
        header(line)
            .ok_or_else(|| format!("line {} is not a header that may be set (Name: value)", index + 1))
    });
    headers.collect()
}
