//! A channel's message as values: composed in a language, written in a format, or as JSON.
//!
//! Names come from agents, so they are neutralized before anything else.

mod catalogue;
mod compose;
mod markup;
mod payload;
mod samples;
mod values;

use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::domain::TimestampMs;
use crate::domain::text::is_harmless;

pub use crate::domain::alert::reconcile::Transition;
pub use crate::domain::alert::severity::Severity;

pub use catalogue::{Catalogue, CatalogueError, Language};
pub(super) use compose::Composed;
pub(super) use markup::{Cut, Format, Measure, cut_text};
pub(super) use payload::{alert_json, payload};
pub(super) use samples::test_notice;
pub use samples::{Sample, sample_notices};

/// Maximum length of a name in a message, in characters.
const NAME_CHARS_MAX: usize = 120;

/// The agent of an alert.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields of an agent")]
pub struct NoticeAgent {
    pub id: Uuid,
    pub name: String,
    pub tags: Vec<String>,
}

/// What a rule looks at, as far as messages mention it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// `disk.usagePercent` and the like for a metric, otherwise the kind of the condition.
    pub key: String,
    /// `avg`, `max` and so on; empty for conditions without a window.
    pub function: String,
    /// The window, in milliseconds; 0 for none.
    pub window_ms: i64,
    /// Whether it fires above the threshold or below; `None` for conditions without a threshold.
    pub is_above: Option<bool>,
}

/// A transition of one alert, as sent to a channel.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the columns of alerts, and what the rule says")]
pub struct Notice {
    pub alert_id: Uuid,
    pub transition: Transition,
    /// Whether it fired and ended before the channel could be told of either.
    pub is_unseen: bool,
    pub severity: Severity,
    pub rule_name: String,
    pub rule_summary: String,
    pub subject: Subject,
    pub agent: Option<NoticeAgent>,
    pub series: Option<String>,
    /// `fleet`, `tag:…` or `system:…` if the target is not an agent.
    pub target: String,
    pub value: Option<f64>,
    pub threshold: Option<f64>,
    pub recovery_threshold: Option<f64>,
    pub unit: String,
    pub started_at: TimestampMs,
    pub fired_at: TimestampMs,
    pub ended_at: Option<TimestampMs>,
    pub end_reason: Option<String>,
    pub peak_value: Option<f64>,
    pub peak_at: Option<TimestampMs>,
    pub occurrences: i32,
    pub is_flapping: bool,
    /// Further details, for example how many agents an outage affects.
    pub details: serde_json::Value,
    /// The names of other rules firing for the same agent.
    pub also_firing: Vec<String>,
    pub runbook: String,
    pub runbook_url: Option<String>,
}

/// The content of one message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The language of the texts.
    pub language: Language,
    /// The time zone of the times.
    pub time_zone: TimeZone,
    /// The URL of the console; empty if not configured.
    pub public_url: String,
    /// The channel's name.
    pub channel: String,
    /// The idempotency key, the same for every attempt.
    pub key: Uuid,
    /// The current time.
    pub sent_at: TimestampMs,
    /// When it should have been sent.
    pub due_at: TimestampMs,
    /// Whether this is a test of the channel.
    pub is_test: bool,
    /// At least one notice.
    pub notices: Vec<Notice>,
}

impl Message {
    /// Returns whether all alerts in the message are resolved.
    pub(super) fn is_resolved(&self) -> bool {
        self.notices.iter().all(|notice| notice.transition == Transition::Resolved)
    }

    /// Returns the highest severity of the firing alerts, or of all if none is firing.
    pub(super) fn severity(&self) -> Severity {
        let is_resolved = self.is_resolved();
        let counted =
            self.notices.iter().filter(|notice| is_resolved || notice.transition != Transition::Resolved);
        counted.map(|notice| notice.severity).max().unwrap_or(Severity::Info)
    }

    /// Returns the link to the alert, or to all alerts; empty if the public URL is not configured.
    pub(super) fn link(&self) -> String {
        match (self.public_url.trim_end_matches('/'), self.notices.as_slice()) {
            ("", _) => String::new(),
            (url, [notice]) if !self.is_test => format!("{url}/#/alerts/{}", notice.alert_id),
            (url, _) => format!("{url}/#/alerts"),
        }
    }
}

/// Returns the title as the first line of a text.
pub(super) fn title_line(title: String) -> markup::Line {
    markup::Line::bold(title)
}

/// Neutralizes a name for messages: one line of bounded length, without characters that are invisible or change the
/// direction of the text.
pub(super) fn neutral(name: &str) -> String {
    let mut neutral = String::new();
    for (index, c) in name.trim().chars().enumerate() {
        if NAME_CHARS_MAX <= index {
            neutral.push('…');
            break;
        }
        match c {
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => neutral.push(' '),
            c if is_harmless(c) => neutral.push(c),
            _ => {}
        }
    }
    neutral
}

/// Likewise for a text of several lines, of at most `chars_max` characters.
pub(super) fn neutral_text(text: &str, chars_max: usize) -> String {
    let is_wanted = |c: &char| *c == '\n' || is_harmless(*c);
    let mut chars = text.trim().chars().filter(is_wanted);
    let mut neutral: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() {
        neutral.push('…');
    }
    neutral
}

#[cfg(test)]
mod tests;
