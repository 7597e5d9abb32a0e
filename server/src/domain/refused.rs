//! Refusals of what an agent sent, and validation of its texts.

use std::fmt;

use pika_protocol::{ErrorCode, limits};

use super::text;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The code, for programs and metrics.
    pub code: ErrorCode,
    /// The message for people, which names the field.
    pub message: String,
}

impl Refused {
    /// Creates a refusal. The message is [cleaned](text::clean), since it may quote what was sent and goes into
    /// responses and logs.
    pub fn new(code: ErrorCode, message: impl AsRef<str>) -> Self {
        Self { code, message: text::clean(message.as_ref()) }
    }

    pub(super) fn out_of_range(message: impl AsRef<str>) -> Self {
        Self::new(ErrorCode::OutOfRange, message)
    }
}

/// Checks that the database can store a text, and that its length is within bounds.
pub(super) fn check_text(
    field: impl fmt::Display,
    value: &str,
    chars_min: usize,
    chars_max: usize,
) -> Result<(), Refused> {
    let chars = value.chars().count();
    if chars < chars_min {
        return Err(Refused::out_of_range(format!("{field} is empty")));
    }
    if chars_max < chars {
        return Err(Refused::out_of_range(format!(
            "{field} has {chars} characters; {chars_max} is the most"
        )));
    }
    // An index entry may have about 2,700 bytes, and four-byte characters fill it sooner than ASCII.
    if limits::NAME_BYTES_MAX < value.len() {
        return Err(Refused::out_of_range(format!(
            "{field} has {} bytes; {} is the most",
            value.len(),
            limits::NAME_BYTES_MAX
        )));
    }
    // PostgreSQL's text cannot hold NUL, and control characters would forge log lines.
    if value.chars().any(char::is_control) {
        return Err(Refused::out_of_range(format!("{field} has control characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short_and_on_one_line() {
        let refused = Refused::new(ErrorCode::Malformed, "é\n".repeat(1_000));
        assert_eq!(refused.message.chars().count(), 201);
        assert!(refused.message.starts_with("é\u{fffd}é"), "{}", refused.message);
        assert_eq!(Refused::new(ErrorCode::Malformed, "short").message, "short");
    }
}
