//! Writes a message's lines in the format of a channel, and cuts them to its limits: by whole lines, and a line that is
//! too long by characters, but never within a link or a tag.

/// A piece of a line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Span {
    /// Text.
    Text(String),
    /// Emphasized text.
    Bold(String),
    /// A link.
    Link {
        /// The link text.
        label: String,
        /// The URL.
        url: String,
    },
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) spans: Vec<Span>,
    /// Whether it is removed last if there is too little room.
    pub(crate) is_kept: bool,
}

impl Line {
    pub(crate) fn text(text: String) -> Self {
        Self { spans: vec![Span::Text(text)], is_kept: false }
    }

    pub(crate) fn bold(text: String) -> Self {
        Self { spans: vec![Span::Bold(text)], is_kept: true }
    }

    pub(crate) fn kept(mut self) -> Self {
        self.is_kept = true;
        self
    }
}

/// The markup of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// Plain text.
    Plain,
    /// Markdown as understood by Discord, ntfy, Gotify and Teams.
    Markdown,
    /// The Markdown of `DingTalk`, `WeCom`, Feishu and `ServerChan`, which has no escapes.
    SimpleMarkdown,
    /// HTML.
    Html,
    /// Slack's mrkdwn.
    Slack,
}

/// The unit of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// Characters.
    Characters,
    /// UTF-16 code units: characters beyond the first 65,536 count twice.
    Utf16,
    /// Bytes of UTF-8.
    Bytes,
}

/// A limit on a text's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cut {
    /// The unit.
    pub(crate) measure: Measure,
    /// The maximum.
    pub(crate) max: usize,
}

const ELLIPSIS: &str = "…";

impl Cut {
    fn size(self, text: &str) -> usize {
        match self.measure {
            Measure::Characters => text.chars().count(),
            Measure::Utf16 => text.encode_utf16().count(),
            Measure::Bytes => text.len(),
        }
    }

    fn fits(self, text: &str) -> bool {
        self.size(text) <= self.max
    }
}

/// Cuts a text at a character boundary, ending it with `…` if something is missing.
pub(crate) fn cut_text(text: &str, cut: Cut) -> String {
    if cut.fits(text) {
        return text.to_owned();
    }
    let mut end = text.len();
    loop {
        let shorter = text.get(..end).unwrap_or_default().trim_end();
        let candidate = format!("{shorter}{ELLIPSIS}");
        if cut.fits(&candidate) {
            return candidate;
        }
        // Below the limit, or nothing left.
        match text.get(..end).and_then(|text| text.char_indices().next_back()) {
            Some((index, _)) => end = index,
            None => return String::new(),
        }
    }
}

impl Format {
    /// Writes lines. If they do not fit, the last ones not marked as kept are removed first, then others from the end;
    /// a first line that is too long by itself is cut.
    pub(crate) fn write(self, lines: &[Line], cut: Cut) -> String {
        let mut lines: Vec<&Line> = lines.iter().collect();
        let mut is_cut = false;
        loop {
            let text = self.join(&lines, is_cut);
            if cut.fits(&text) {
                return text;
            }
            is_cut = true;
            let dispensable = lines.iter().rposition(|line| !line.is_kept);
            match dispensable
                .or_else(|| (2..lines.len()).next_back())
                .or_else(|| (1..lines.len()).next_back())
            {
                Some(index) if 1 < lines.len() => {
                    lines.remove(index);
                }
                _ => return lines.first().map(|line| self.cut_line(line, cut)).unwrap_or_default(),
            }
        }
    }

    fn join(self, lines: &[&Line], is_cut: bool) -> String {
        let mut written: Vec<String> = lines.iter().map(|line| self.line(line)).collect();
        if is_cut {
            written.push(ELLIPSIS.to_owned());
        }
        written.join(self.line_break())
    }

    fn line_break(self) -> &'static str {
        match self {
            Format::Plain | Format::Html | Format::Slack => "\n",
            // A single line break continues the paragraph.
            Format::Markdown | Format::SimpleMarkdown => "\n\n",
        }
    }

    fn line(self, line: &Line) -> String {
        line.spans.iter().map(|span| self.span(span)).collect()
    }

    /// Returns one line, its text cut until it fits.
    fn cut_line(self, line: &Line, cut: Cut) -> String {
        let text: String = line
            .spans
            .iter()
            .map(|span| match span {
                Span::Text(text) | Span::Bold(text) | Span::Link { label: text, .. } => text.as_str(),
            })
            .collect();
        let mut n_chars = text.chars().count();
        while 0 < n_chars {
            n_chars -= 1;
            let shorter: String = text.chars().take(n_chars).chain(ELLIPSIS.chars()).collect();
            let written = self.escape(&shorter);
            if cut.fits(&written) {
                return written;
            }
        }
        String::new()
    }

    fn span(self, span: &Span) -> String {
        match (self, span) {
            (_, Span::Text(text)) => self.escape(text),
            (Format::Plain, Span::Bold(text)) => text.clone(),
            (Format::Html, Span::Bold(text)) => format!("<b>{}</b>", self.escape(text)),
            (Format::Slack, Span::Bold(text)) => format!("*{}*", self.escape(text)),
            (_, Span::Bold(text)) => format!("**{}**", self.escape(text)),
            (Format::Plain, Span::Link { label, url }) => format!("{label}: {url}"),
            (Format::Html, Span::Link { label, url }) => {
                format!("<a href=\"{}\">{}</a>", self.escape(url), self.escape(label))
            }
            (Format::Slack, Span::Link { label, url }) => {
                format!("<{}|{}>", self.escape(url), self.escape(label))
            }
            (_, Span::Link { label, url }) => {
                let url = url.replace('(', "%28").replace(')', "%29").replace(' ', "%20");
                format!("[{}]({url})", self.escape(label))
            }
        }
    }

    /// Escapes a text so that nothing in it is markup.
    pub(crate) fn escape(self, text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            match (self, c) {
                (Format::Html | Format::Slack, '&') => escaped.push_str("&amp;"),
                (Format::Html | Format::Slack, '<') => escaped.push_str("&lt;"),
                (Format::Html | Format::Slack, '>') => escaped.push_str("&gt;"),
                (Format::Html, '"') => escaped.push_str("&quot;"),
                (Format::Markdown, c) if "\\`*_[]<>#|~".contains(c) => {
                    escaped.push('\\');
                    escaped.push(c);
                }
                (Format::SimpleMarkdown, c) => escaped.push(full_width(c)),
                (_, c) => escaped.push(c),
            }
        }
        escaped
    }
}

/// Replaces what starts a link, a tag or a mention by its full-width form, for formats without escapes.
fn full_width(c: char) -> char {
    match c {
        '<' => '＜',
        '>' => '＞',
        '@' => '＠',
        '[' => '［',
        ']' => '］',
        '`' => '｀',
        '*' => '＊',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Format; 5] =
        [Format::Plain, Format::Markdown, Format::SimpleMarkdown, Format::Html, Format::Slack];

    fn lines(text: &str) -> Vec<Line> {
        let link = Span::Link { label: "open".to_owned(), url: "https://pika.example/#/alerts".to_owned() };
        vec![
            Line::text(format!("first {text}")).kept(),
            Line::text(format!("second {text}")),
            Line::text(format!("third {text}")),
            Line { spans: vec![link], is_kept: true },
        ]
    }

    #[test]
    fn hostile_names_are_not_markup() {
        let name = "<!channel> @everyone [x](http://evil) `*_~ & \"</a>";
        for (format, expected) in [
            (Format::Plain, name),
            (Format::Html, "&lt;!channel&gt; @everyone [x](http://evil) `*_~ &amp; &quot;&lt;/a&gt;"),
            (Format::Slack, "&lt;!channel&gt; @everyone [x](http://evil) `*_~ &amp; \"&lt;/a&gt;"),
            (Format::Markdown, "\\<!channel\\> @everyone \\[x\\](http://evil) \\`\\*\\_\\~ & \"\\</a\\>"),
            (Format::SimpleMarkdown, "＜!channel＞ ＠everyone ［x］(http://evil) ｀＊_~ & \"＜/a＞"),
        ] {
            assert_eq!(format.escape(name), expected, "{format:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_by_lines_and_keep_the_link() {
        for format in ALL {
            let whole = format.write(&lines("xyz"), Cut { measure: Measure::Characters, max: 1_000 });
            assert!(whole.contains("third") && !whole.contains('…'), "{format:?}: {whole}");
            let max = whole.chars().count() - 1;
            let cut = format.write(&lines("xyz"), Cut { measure: Measure::Characters, max });
            assert!(cut.contains("second") && !cut.contains("third"), "{format:?}: {cut}");
            assert!(cut.contains("https://pika.example/#/alerts") && cut.ends_with('…'), "{format:?}: {cut}");
        }
    }

    #[test]
    fn no_limit_is_exceeded_in_any_unit() {
        for measure in [Measure::Characters, Measure::Utf16, Measure::Bytes] {
            for max in 0..160 {
                let cut = Cut { measure, max };
                for format in ALL {
                    let text = format.write(&lines("磁盘🦫&<>"), cut);
                    assert!(cut.fits(&text), "{measure:?} {max} {format:?}: {text}");
                    assert!(text.matches("<a ").count() == text.matches("</a>").count(), "{text}");
                }
                let text = cut_text("磁盘🦫 xyz", cut);
                assert!(cut.fits(&text), "{measure:?} {max}: {text}");
            }
        }
        let bytes = |max| cut_text("磁盘🦫", Cut { measure: Measure::Bytes, max });
        assert_eq!((bytes(10).as_str(), bytes(9).as_str(), bytes(8).as_str()), ("磁盘🦫", "磁盘…", "磁…"));
    }
}
