//! Cleans log lines before they are written, whatever they contain.

use std::borrow::Cow;
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use crate::domain::text::{harmless, is_harmless};

/// Starts terminal sequences, for colors and others.
const ESCAPE: char = '\u{1b}';

/// Makes writers that put each event on one line and replace harmful characters, so that text that was not cleaned
/// before cannot forge a line.
#[derive(Debug)]
pub(super) struct CleanLines<M> {
    inner: M,
    is_colored: bool,
}

impl<M> CleanLines<M> {
    pub(super) fn new(inner: M, is_colored: bool) -> Self {
        Self { inner, is_colored }
    }
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for CleanLines<M> {
    type Writer = CleanWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        CleanWriter { inner: self.inner.make_writer(), is_colored: self.is_colored }
    }
}

/// Receives whole events: the formatter writes each in one call.
#[derive(Debug)]
pub(super) struct CleanWriter<W> {
    inner: W,
    is_colored: bool,
}

impl<W: Write> Write for CleanWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.inner.write_all(clean_event(event, self.is_colored).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn clean_event(event: &[u8], is_colored: bool) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(event);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    if line.chars().all(is_harmless) {
        return text;
    }
    let mut cleaned = String::with_capacity(text.len());
    for (at, c) in line.char_indices() {
        let is_color = c == ESCAPE && is_colored && begins_with_color(&line[at..]);
        cleaned.push(if is_color { c } else { harmless(c) });
    }
    cleaned.push('\n');
    Cow::Owned(cleaned)
}

/// Returns whether the text begins with a sequence that only changes colors or weight: `ESC [ 31 ; 1 m`.
fn begins_with_color(text: &str) -> bool {
    let parameters = text.strip_prefix(ESCAPE).and_then(|text| text.strip_prefix('['));
    parameters.is_some_and(|text| {
        text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Returns the log of these events.
    fn logged(is_colored: bool, log: impl FnOnce()) -> String {
        let written = std::sync::Arc::new(Mutex::new(Vec::new()));
        let shared = std::sync::Arc::clone(&written);
        let writer = CleanLines::new(move || Shared(std::sync::Arc::clone(&shared)), is_colored);
        let subscriber = tracing_subscriber::fmt().without_time().with_ansi(is_colored).with_writer(writer);
        tracing::subscriber::with_default(subscriber.finish(), log);
        String::from_utf8(written.lock().unwrap().clone()).unwrap()
    }

    struct Shared(std::sync::Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_is_put_into_it() {
        let forged = "a\n2026 INFO forged\r\u{85}\u{2028}\u{202e}b";
        let log = logged(false, || tracing::info!(shown = %forged, "{forged}"));
        assert_eq!(log.lines().count(), 1, "{log:?}");
        assert!(!log.trim_end().contains(|c| !is_harmless(c)), "{log:?}");
        assert!(log.contains("forged") && log.ends_with('\n'), "{log:?}");
    }

    #[test]
    fn colors_stay_and_what_moves_the_cursor_does_not() {
        let log = logged(true, || tracing::info!(shown = %"\u{1b}[2K\u{1b}]0;title\u{7}", "fine"));
        assert!(log.contains("\u{1b}[32m INFO"), "{log:?}");
        assert!(!log.contains("\u{1b}[2K") && !log.contains("\u{1b}]"), "{log:?}");
        let plain = logged(false, || tracing::info!(shown = %"\u{1b}[31mred", "fine"));
        assert!(!plain.contains(ESCAPE) && plain.contains("fine"), "{plain:?}");
    }
}
