//! Displays an error with all of its sources on one line.

use std::error::Error;
use std::fmt;

use crate::text;

/// Maximum length of the text, in characters.
const CHARS_MAX: usize = 2_000;

/// Displays an error with all of its sources on one line of bounded length. Errors of this workspace do not repeat
/// their source in their own message, so whoever handles one logs or prints it this way, once.
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(&'a (dyn Error + 'a));

/// Returns a value that displays `error` with its sources.
pub fn chain<'a>(error: &'a (dyn Error + 'a)) -> ErrorChain<'a> {
    ErrorChain(error)
}

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = self.0.to_string();
        let mut shown = written.clone();
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Some libraries do repeat their source.
            if !written.contains(&text) {
                shown.push_str(": ");
                shown.push_str(&text);
            }
            written = text;
            source = error.source();
        }
        f.write_str(&text::clean_to(&shown, CHARS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layer(text: &'static str, source: Option<Layer>) -> Layer {
        Layer { text, source: source.map(Box::new) }
    }

    #[test]
    fn every_cause_is_shown_once() {
        let error = layer("cannot save", Some(layer("disk: full", Some(layer("full", None)))));
        assert_eq!(chain(&error).to_string(), "cannot save: disk: full");
        let error = layer("cannot save", Some(layer("full", None)));
        assert_eq!(chain(&error).to_string(), "cannot save: full");
    }
}
