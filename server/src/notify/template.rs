//! Templates of requests, built-in and custom: they see only the values they are given, and do a bounded amount of
//! work.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use sha2::Sha256;

/// Maximum instructions of a template and bytes it handles.
const FUEL: u64 = 50_000;
const RECURSION_MAX: usize = 32;
/// Maximum length of a template.
pub(crate) const SOURCE_BYTES_MAX: usize = 16_384;
/// Maximum length of a result.
const OUTPUT_BYTES_MAX: usize = 262_144;

/// Why a template has no result. Says what is wrong with the template, but discloses no values.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is too long.
    #[error("must be at most {SOURCE_BYTES_MAX} bytes")]
    TooLong,
    /// It is malformed, or fails when rendered.
    #[error("line {line}: {reason}")]
    Failed {
        /// The line.
        line: usize,
        /// The kind of error.
        reason: ErrorKind,
    },
    /// The result is not JSON.
    #[error("the result is not JSON (line {line}, column {column})")]
    NotJson {
        /// The line in the result.
        line: usize,
        /// The column in the line.
        column: usize,
    },
}

impl From<Error> for TemplateError {
    fn from(error: Error) -> Self {
        TemplateError::Failed { line: error.line().unwrap_or(0), reason: error.kind() }
    }
}

/// Renders templates.
#[derive(Clone, Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// With `is_strict`, unknown values are errors rather than empty.
    pub(crate) fn new(is_strict: bool) -> Self {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION_MAX);
        environment.set_undefined_behavior(if is_strict {
            UndefinedBehavior::SemiStrict
        } else {
            UndefinedBehavior::Lenient
        });
        environment.add_filter("segment", |text: String| percent_encode(&text));
        environment.add_filter("base64", |text: String| STANDARD.encode(text));
        environment.add_filter("iso", iso);
        environment.add_function("dingtalk_signature", dingtalk_signature);
        environment.add_function("feishu_signature", feishu_signature);
        Self { environment }
    }

    /// Renders text, without escaping.
    pub(crate) fn text(&self, template: &str, values: &Value) -> Result<String, TemplateError> {
        self.render("text", template, values)
    }

    /// JSON: every value brings its own quotes.
    pub(crate) fn json(&self, template: &str, values: &Value) -> Result<Vec<u8>, TemplateError> {
        let text = self.render("body.json", template, values)?;
        let value: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| TemplateError::NotJson { line: error.line(), column: error.column() })?;
        Ok(value.to_string().into_bytes())
    }

    fn render(&self, name: &str, template: &str, values: &Value) -> Result<String, TemplateError> {
        if SOURCE_BYTES_MAX < template.len() {
            return Err(TemplateError::TooLong);
        }
        let template = self.environment.template_from_named_str(name, template)?;
        let mut output = Bounded(Vec::new());
        template.render_captured_to(values.clone(), &mut output)?;
        String::from_utf8(output.0)
            .map_err(|_| TemplateError::Failed { line: 0, reason: ErrorKind::WriteFailure })
    }
}

/// Accepts a limited number of bytes.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if OUTPUT_BYTES_MAX < self.0.len() + bytes.len() {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Encodes any text as part of a URL's path or query.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Returns the signature of a text, in base64.
pub(crate) fn hmac_sha256(key: &[u8], text: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        // HMAC takes keys of any length.
        return String::new();
    };
    mac.update(text);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Formats milliseconds since the Unix epoch as ISO 8601.
fn iso(at: i64) -> Result<String, Error> {
    let time = Timestamp::from_millisecond(at)
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, "is not a valid time"))?;
    Ok(format!("{time:.3}"))
}

/// `DingTalk`: the secret is the key, and time and secret are the signed text.
fn dingtalk_signature(at_ms: i64, secret: &str) -> String {
    hmac_sha256(secret.as_bytes(), format!("{at_ms}\n{secret}").as_bytes())
}

/// Feishu: time and secret are the key, and the signed text is empty.
fn feishu_signature(at_seconds: i64, secret: &str) -> String {
    hmac_sha256(format!("{at_seconds}\n{secret}").as_bytes(), b"")
}

#[cfg(test)]
mod tests {
    use minijinja::value::Serde;
    use serde_json::json;

    use super::*;

    fn values() -> Value {
        Value::from(Serde(json!({"text": "a\"b</script>\n", "list": [1, 2], "none": null})))
    }

    #[test]
    fn values_bring_their_own_quotes() {
        let body =
            Templates::new(true).json("{\"t\": {{ text }}, \"l\": {{ list }}, \"n\": {{ none }}}", &values());
        assert_eq!(
            String::from_utf8(body.unwrap()).unwrap(),
            "{\"t\":\"a\\\"b</script>\\n\",\"l\":[1,2],\"n\":null}"
        );
        for wrong in ["{\"t\": \"{{ text }}\"}", "{{ text ", "{{ unknown }}", "{% include 'x' %}", "nothing"]
        {
            assert!(Templates::new(true).json(wrong, &values()).is_err(), "{wrong}");
        }
        assert!(Templates::new(false).json("[{% if unknown %}1{% endif %}]", &values()).is_ok());
    }

    #[test]
    fn a_template_does_a_bounded_amount_of_work() {
        for endless in [
            "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
            "{{ 'x' * 1000000000 }}",
            "{% for i in range(9000) %}0123456789012345678901234567890123456789{% endfor %}",
        ] {
            assert!(Templates::new(true).text(endless, &values()).is_err(), "{endless}");
        }
        let long = "x".repeat(SOURCE_BYTES_MAX + 1);
        assert!(matches!(Templates::new(true).text(&long, &values()), Err(TemplateError::TooLong)));
    }

    #[test]
    fn an_error_does_not_disclose_values() {
        let error = Templates::new(true).text("\n{{ text.x.y }}", &values()).unwrap_err();
        assert!(error.to_string().starts_with("line 2: "), "{error}");
        assert!(!format!("{error:?}").contains("script"), "{error:?}");
    }

    /// Vectors computed by hand according to the services' documentation.
    #[test]
    fn signatures_are_those_of_the_services() {
        let templates = Templates::new(true);
        let values = Value::from(Serde(json!({"secret": "SEC0123456789"})));
        let of = |template: &str| templates.text(template, &values).unwrap();
        assert_eq!(
            of("{{ dingtalk_signature(1795403300000, secret) }}"),
            "FkV5kmQ28AuAOZhrY6tAUcWDKzzHQgiBazx/FGBCmNk="
        );
        assert_eq!(
            of("{{ feishu_signature(1795403300, secret) }}"),
            "9L0o9ruX3JC+kooQgn2Gz4s/Bc6IFIAJuLxDwBymIrk="
        );
        assert_eq!(of("{{ 'a b/ü' | segment }}"), "a%20b%2F%C3%BC");
        assert_eq!(of("{{ 'a:b' | base64 }}"), "YTpi");
        assert_eq!(of("{{ 1795534320000 | iso }}"), "2026-11-24T15:32:00.000Z");
    }
}
