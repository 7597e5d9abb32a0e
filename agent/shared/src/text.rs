//! Cleans text from outside for log lines and responses.

/// Maximum length of a cleaned text, in characters.
const CHARS_MAX: usize = 200;

/// The replacement for characters that are not harmless.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Truncates the text to 200 characters (a longer one ends with `…`) and replaces each character that is not
/// [harmless](is_harmless) by U+FFFD.
///
/// Every text from a client, an agent or the database goes through here before it is logged.
pub fn clean(text: &str) -> String {
    clean_to(text, CHARS_MAX)
}

/// Like [`clean`], with another maximum length.
pub fn clean_to(text: &str, chars_max: usize) -> String {
    let mut chars = text.chars();
    let mut cleaned: String = chars.by_ref().take(chars_max).map(harmless).collect();
    if chars.next().is_some() {
        cleaned.push('…');
    }
    cleaned
}

/// Returns the character, or U+FFFD if it is not [harmless](is_harmless).
pub fn harmless(c: char) -> char {
    if is_harmless(c) { c } else { REPLACEMENT }
}

/// Returns whether a character is visible and does not affect others: neither a control character, a line or paragraph
/// separator, a bidirectional control, nor invisible.
pub fn is_harmless(c: char) -> bool {
    let is_format = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_line_or_turns_it_around_is_replaced() {
        for harmful in [
            '\n', '\r', '\0', '\t', '\u{1b}', '\u{7f}', '\u{85}', '\u{2028}', '\u{2029}', '\u{202e}',
            '\u{2066}',
        ] {
            assert_eq!(clean(&format!("a{harmful}b")), "a\u{fffd}b", "{harmful:?}");
        }
        for harmless in ["", "web 1", "Grüße", "e\u{301}", "日本", "😀", "a\\nb \"c\""] {
            assert_eq!(clean(harmless), harmless);
        }
    }

    #[test]
    fn what_is_long_is_cut() {
        let exact = "é".repeat(CHARS_MAX);
        assert_eq!(clean(&exact), exact);
        assert_eq!(clean(&format!("{exact}x")), format!("{exact}…"));
        assert_eq!(clean_to("abc", 2), "ab…");
    }
}
