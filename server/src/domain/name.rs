//! The rule for names of users, agents, tags and tokens, and the detection of look-alikes.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::skeleton;

/// Characters that Unicode classifies as visible but that are blank: the Braille pattern without dots, and the null
/// notehead.
const BLANK: [char; 2] = ['\u{2800}', '\u{1d159}'];

/// Why a name is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is empty, or only whitespace.
    #[error("must not be empty")]
    Empty,
    /// It is too long.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// It contains a character that is invisible, changes the direction of the text, or ends the line.
    #[error(
        "must not have characters that are invisible, end a line or change the direction of the text (U+{:04X})",
        u32::from(*.0)
    )]
    Hidden(char),
}

/// Normalizes a name to NFC, and trims whitespace.
///
/// # Errors
/// If it is empty, too long, or contains characters that are not allowed.
pub fn parse_name(text: &str, chars_max: usize) -> Result<String, NameError> {
    let name = parse_optional(text, chars_max)?;
    if name.is_empty() { Err(NameError::Empty) } else { Ok(name) }
}

/// Like [`parse_name`], but allows an empty name.
///
/// # Errors
/// If it is too long, or contains characters that are not allowed.
pub fn parse_optional(text: &str, chars_max: usize) -> Result<String, NameError> {
    let text = normalize(text.trim());
    if chars_max < text.chars().count() {
        return Err(NameError::TooLong(chars_max));
    }
    match text.chars().find(|c| is_hidden(*c)) {
        Some(hidden) => Err(NameError::Hidden(hidden)),
        None => Ok(text),
    }
}

/// Removes the characters that are not allowed in names.
pub fn visible(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).collect()
}

/// Normalizes text to NFC, so that it compares equal however it was typed.
pub fn normalize(text: &str) -> String {
    text.nfc().collect()
}

/// Returns the key by which a username is found, which is independent of case, normalization and surrounding
/// whitespace. Also accepts invalid names: a login may contain anything, and users from before there was a rule keep
/// their names.
pub fn username_key(username: &str) -> String {
    // The database accepts anything but null characters.
    normalize(&normalize(username.trim()).to_lowercase()).replace('\0', "\u{fffd}")
}

/// The confusable skeletons of a name: as written, in lower case and in upper case.
#[derive(Debug)]
pub struct Looks([String; 3]);

impl Looks {
    /// Computes the skeletons of a name.
    pub fn of(name: &str) -> Self {
        let name = normalize(name);
        Self([name.to_lowercase(), name.to_uppercase(), name].map(|name| {
            let skeleton: String = skeleton(&name).collect();
            skeleton.split_whitespace().collect::<Vec<_>>().join(" ")
        }))
    }

    /// Returns whether one name could be mistaken for the other.
    pub fn are_like(&self, other: &Self) -> bool {
        self.0.iter().any(|look| other.0.contains(look))
    }
}

fn is_hidden(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    let is_hidden_category = matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    is_hidden_category
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || BLANK.contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_visible_and_not_empty() {
        assert_eq!(parse_name("  Ana Müller ", 64).as_deref(), Ok("Ana Müller"));
        assert_eq!(parse_name(" \t\u{3000}", 64), Err(NameError::Empty));
        assert_eq!(parse_optional(" ", 64).as_deref(), Ok(""));
        assert_eq!(parse_name(&"ü".repeat(65), 64), Err(NameError::TooLong(64)));
        assert!(parse_name(&"ü".repeat(64), 64).is_ok());
        assert_eq!(
            parse_name(&"u\u{308}".repeat(64), 64),
            Ok("ü".repeat(64)),
            "it is the kept form that counts"
        );
    }

    #[test]
    fn what_nobody_sees_is_named() {
        let hidden = "\n\0\u{7f}\u{ad}\u{34f}\u{61c}\u{115f}\u{17b4}\u{180e}\u{200b}\u{200d}\u{2028}\u{2029}\u{202e}\
                      \u{2060}\u{2066}\u{2800}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{e0041}\u{e0100}";
        for c in hidden.chars() {
            assert_eq!(parse_name(&format!("a{c}b"), 64), Err(NameError::Hidden(c)), "{c:?}");
        }
        assert!(NameError::Hidden('\u{34f}').to_string().ends_with("(U+034F)"));
        for seen in ["Дмитрий", "山田太郎", "أحمد", "דוד", "नेहा", "db-1.example.org", "a_b@c (x)", "🦀"]
        {
            assert_eq!(parse_name(seen, 64).as_deref(), Ok(seen));
        }
    }

    #[test]
    fn a_username_is_found_however_it_is_spelled() {
        for spelling in ["Änne", " änne", "ÄNNE\u{3000}", "A\u{308}nne", "a\u{308}NNE"] {
            assert_eq!(username_key(spelling), "änne", "{spelling:?}");
        }
        assert_ne!(username_key("anne"), "änne");
    }

    #[test]
    fn names_that_look_alike_are_known() {
        let are_like = |one: &str, other: &str| Looks::of(one).are_like(&Looks::of(other));
        for alike in ["ADMIN", "аdmin", "АDMIN", "admın", "ａdmin", "ADMlN", "adrnin", "𝐚𝐝𝐦𝐢𝐧"]
        {
            assert!(are_like("admin", alike) && are_like(alike, "admin"), "{alike}");
        }
        assert!(are_like("Paul  Bill", "Paul\u{a0}Bi11"));
        for other in ["administrator", "edmin", "ana", "nimda", "admin2"] {
            assert!(!are_like("admin", other), "{other}");
        }
    }
}
