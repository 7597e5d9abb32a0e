//! A message in a language: a title, and lines of which each says one thing.

use super::catalogue::{Catalogue, Texts, fill};
use super::markup::{Line, Span};
use super::{Message, Notice, Transition, neutral, neutral_text, values};

/// Maximum lines of a message about several alerts.
const LINES_MAX: usize = 20;
/// Maximum names listed of an outage, or of other firing rules.
const NAMES_MAX: usize = 10;
const RUNBOOK_CHARS_MAX: usize = 1_000;
/// A message later than this says so.
const LATE_MS: i64 = 2 * 60 * 1_000;
/// Number of firings within an hour from which on the alert is said to come and go.
const OCCURRENCES_MIN: i32 = 2;

/// A message in a language.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Composed {
    /// The title, short enough for a watch.
    pub(crate) title: String,
    /// The lines below it. The first says what happened.
    pub(crate) lines: Vec<Line>,
    /// A link to more; empty if the public URL is not configured.
    pub(crate) link: String,
}

impl Composed {
    /// Composes a message.
    pub(crate) fn of(catalogue: &Catalogue, message: &Message) -> Self {
        let composer = Composer { texts: catalogue.texts(message.language), message };
        let (mut title, mut lines) = match message.notices.as_slice() {
            [notice] if message.is_test && notice.agent.is_none() => (composer.title(notice), Vec::new()),
            [notice] => (composer.title(notice), composer.lines_of(notice)),
            notices => (composer.group_title(), composer.group_lines(notices)),
        };
        if message.is_test {
            title = composer.say("title_test", &[("title", &title)]);
            let text = composer.say("test", &[("channel", &neutral(&message.channel))]);
            lines.insert(0, Line::text(text).kept());
        }
        lines.extend(composer.late().map(Line::text));
        let link = message.link();
        lines.push(if link.is_empty() {
            Line::text(composer.say("no_link", &[]))
        } else {
            Line {
                spans: vec![Span::Link { label: composer.say("link", &[]), url: link.clone() }],
                is_kept: true,
            }
        });
        Self { title, lines, link }
    }
}

struct Composer<'a> {
    texts: &'a Texts,
    message: &'a Message,
}

impl Composer<'_> {
    fn say(&self, key: &str, values: &[(&str, &str)]) -> String {
        self.texts.say(key, values)
    }

    fn time(&self, at: i64) -> String {
        values::time(&self.message.time_zone, at)
    }

    fn duration(&self, from: i64, to: i64) -> String {
        values::duration(self.texts, to.saturating_sub(from))
    }

    fn value_of(&self, notice: &Notice, value: f64) -> String {
        values::value(self.texts, value, &notice.unit)
    }

    /// Returns the agent, the tag, the fleet, or Pika itself.
    fn place(&self, notice: &Notice) -> String {
        if let Some(agent) = &notice.agent {
            return neutral(&agent.name);
        }
        match notice.target.split_once(':') {
            Some(("tag", tag)) => self.say("tag", &[("tag", &neutral(tag))]),
            _ if notice.target == "fleet" => self.say("fleet", &[]),
            _ => self.say("system", &[]),
        }
    }

    /// Returns what it is, and its state in a few words.
    fn subject(&self, notice: &Notice) -> (String, String) {
        let key = &notice.subject.key;
        let generic = if key.contains('.') { "metric" } else { "system" };
        let Some(text) = self.texts.subjects.get(key).or_else(|| self.texts.subjects.get(generic)) else {
            return (neutral(&notice.rule_name), String::new());
        };
        let value = notice.value.map(|value| self.value_of(notice, value)).unwrap_or_default();
        let (rule, series) =
            (neutral(&notice.rule_name), neutral(notice.series.as_deref().unwrap_or_default()));
        let values = [("rule", rule.as_str()), ("series", &series), ("value", &value)];
        (fill(&text.what, &values), fill(&text.short, &values).trim().to_owned())
    }

    fn title(&self, notice: &Notice) -> String {
        self.one_line(notice, ["title_firing", "title_resolved", "title_unseen"])
    }

    /// Returns a notice in one line, using the key for firing, resolved, or resolved before it was reported.
    fn one_line(&self, notice: &Notice, keys: [&str; 3]) -> String {
        let (what, short) = self.subject(notice);
        let place = self.place(notice);
        let severity = self.say(notice.severity.as_str(), &[]);
        let ended_at = notice.ended_at.unwrap_or(self.message.sent_at);
        let clock = |at| values::clock(&self.message.time_zone, at);
        let key = match (notice.transition, notice.is_unseen) {
            (Transition::Resolved, true) => keys[2],
            (Transition::Resolved, false) => keys[1],
            _ => keys[0],
        };
        let series = notice.series.as_deref().map(neutral);
        let what = series.map_or_else(|| what.clone(), |series| format!("{what} ({series})"));
        self.say(
            key,
            &[
                ("severity", &severity),
                ("where", &place),
                ("what", &what),
                ("short", &short),
                ("duration", &self.duration(notice.fired_at, ended_at)),
                ("from", &clock(notice.fired_at)),
                ("to", &clock(ended_at)),
                ("time", &clock(notice.fired_at)),
            ],
        )
    }

    fn group_title(&self) -> String {
        let is_resolved = |notice: &&Notice| notice.transition == Transition::Resolved;
        let n_resolved = self.message.notices.iter().filter(is_resolved).count();
        let n_firing = self.message.notices.len() - n_resolved;
        let key = match (n_firing, n_resolved) {
            (_, 0) => "title_group_firing",
            (0, _) => "title_group_resolved",
            _ => "title_group",
        };
        self.say(key, &[("firing", &n_firing.to_string()), ("resolved", &n_resolved.to_string())])
    }

    /// Returns one line per notice: firing before resolved, the worst first, then by time.
    fn group_lines(&self, notices: &[Notice]) -> Vec<Line> {
        let mut ordered: Vec<&Notice> = notices.iter().collect();
        ordered.sort_by_key(|notice| {
            let is_over = notice.transition == Transition::Resolved;
            (is_over, std::cmp::Reverse(notice.severity), notice.fired_at, notice.alert_id)
        });
        let line = |notice: &&Notice| {
            Line::text(self.one_line(notice, ["line_firing", "line_resolved", "line_unseen"]))
        };
        let mut lines: Vec<Line> = ordered.iter().take(LINES_MAX).map(line).collect();
        let n_more = ordered.len().saturating_sub(LINES_MAX);
        if 0 < n_more {
            lines.push(Line::text(self.say("more", &[("count", &n_more.to_string())])).kept());
        }
        lines
    }

    fn lines_of(&self, notice: &Notice) -> Vec<Line> {
        let mut lines = vec![Line::text(self.what_and_where(notice)).kept()];
        let mut add = |text: Option<String>| lines.extend(text.map(Line::text));
        if notice.transition == Transition::Resolved {
            add(Some(self.how_long(notice)));
            add(self.peak(notice));
            add(self.end_reason(notice));
        } else {
            add(self.value_and_threshold(notice));
            add(self.members(notice));
            add(Some(self.since(notice)));
            add(self.full_on(notice));
            add(self.why_now(notice));
            add(self.comings(notice));
            add(self.also_firing(notice));
            add(self.runbook(notice));
        }
        if let Some(url) = notice.runbook_url.as_ref().filter(|_| notice.transition != Transition::Resolved) {
            let label = self.say("runbook_link", &[]);
            lines.push(Line { spans: vec![Span::Link { label, url: url.clone() }], is_kept: false });
        }
        lines.push(Line::text(self.say("rule", &[("rule", &neutral(&notice.rule_name))])));
        lines
    }

    fn what_and_where(&self, notice: &Notice) -> String {
        let (what, _) = self.subject(notice);
        let place = self.place(notice);
        let series = notice.series.as_deref().map(neutral).unwrap_or_default();
        let key = match (&notice.agent, series.is_empty()) {
            (Some(_), true) => "where_agent",
            (Some(_), false) => "where_series",
            (None, _) => "where_target",
        };
        let what =
            if notice.agent.is_none() && !series.is_empty() { format!("{what} ({series})") } else { what };
        let mut text =
            self.say(key, &[("what", &what), ("agent", &place), ("where", &place), ("series", &series)]);
        let tags = notice.agent.iter().flat_map(|agent| &agent.tags);
        let tags: Vec<String> = tags.take(NAMES_MAX).map(|tag| neutral(tag)).collect();
        if !tags.is_empty() {
            text = format!("{text} {}", self.say("tags", &[("tags", &self.list(&tags, tags.len()))]));
        }
        match neutral_text(&notice.rule_summary, 200) {
            summary if summary.is_empty() => text,
            summary => format!("{text} {}", summary.replace('\n', " ")),
        }
    }

    fn value_and_threshold(&self, notice: &Notice) -> Option<String> {
        let value = self.value_of(notice, notice.value?);
        let (Some(threshold), Some(is_above)) = (notice.threshold, notice.subject.is_above) else {
            // A mere number is in the title.
            return (!notice.unit.is_empty()).then(|| self.say("value", &[("value", &value)]));
        };
        let function = self.texts.functions.get(&notice.subject.function);
        let has_window = 0 < notice.subject.window_ms && function.is_some();
        let key = match (is_above, has_window) {
            (true, true) => "value_above_window",
            (true, false) => "value_above",
            (false, true) => "value_below_window",
            (false, false) => "value_below",
        };
        let window = values::duration(self.texts, notice.subject.window_ms);
        let threshold = self.value_of(notice, threshold);
        let function = function.map_or("", String::as_str);
        let values = [
            ("value", value.as_str()),
            ("threshold", &threshold),
            ("function", function),
            ("window", &window),
        ];
        let mut text = self.say(key, &values);
        if let Some(recovery) = notice.recovery_threshold {
            let key = if is_above { "recovers_below" } else { "recovers_above" };
            let recovery = self.value_of(notice, recovery);
            text = format!("{text} {}", self.say(key, &[("recovery", &recovery)]));
        }
        Some(text)
    }

    /// Returns how many agents an outage affects, and which.
    fn members(&self, notice: &Notice) -> Option<String> {
        let names = notice.details.get("names")?.as_array()?.iter().filter_map(|name| name.as_str());
        let names: Vec<String> = names.map(neutral).collect();
        let n_away = notice.details.get("away")?.as_u64()?;
        (!names.is_empty()).then(|| {
            let shown = self.list(&names, usize::try_from(n_away).unwrap_or(names.len()));
            self.say("members", &[("count", &n_away.to_string()), ("names", &shown)])
        })
    }

    fn since(&self, notice: &Notice) -> String {
        let duration = self.duration(notice.fired_at, self.message.sent_at);
        self.say("since", &[("started", &self.time(notice.started_at)), ("duration", &duration)])
    }

    fn full_on(&self, notice: &Notice) -> Option<String> {
        let at = notice.details.get("fullAt")?.as_i64()?;
        Some(self.say("full_on", &[("date", &values::date(&self.message.time_zone, at))]))
    }

    fn why_now(&self, notice: &Notice) -> Option<String> {
        match notice.transition {
            Transition::Escalated => {
                let severity = self.say(notice.severity.as_str(), &[]);
                Some(self.say("escalated", &[("severity", &severity)]))
            }
            Transition::Repeat => {
                let duration = self.duration(notice.fired_at, self.message.sent_at);
                Some(self.say("repeat", &[("duration", &duration)]))
            }
            Transition::Firing | Transition::Resolved => None,
        }
    }

    fn comings(&self, notice: &Notice) -> Option<String> {
        let key = match (notice.is_flapping, notice.occurrences) {
            (true, _) => "flapping",
            (false, OCCURRENCES_MIN..) => "again",
            (false, _) => return None,
        };
        Some(self.say(key, &[("count", &notice.occurrences.to_string())]))
    }

    fn also_firing(&self, notice: &Notice) -> Option<String> {
        if notice.also_firing.is_empty() {
            return None;
        }
        let names: Vec<String> = notice.also_firing.iter().map(|name| neutral(name)).collect();
        Some(self.say(
            "also_firing",
            &[("agent", &self.place(notice)), ("names", &self.list(&names, names.len()))],
        ))
    }

    fn runbook(&self, notice: &Notice) -> Option<String> {
        let text = neutral_text(&notice.runbook, RUNBOOK_CHARS_MAX);
        (!text.is_empty()).then(|| self.say("runbook", &[("text", &text)]))
    }

    fn how_long(&self, notice: &Notice) -> String {
        let ended_at = notice.ended_at.unwrap_or(self.message.sent_at);
        let (started, ended) = (self.time(notice.fired_at), self.time(ended_at));
        let duration = self.duration(notice.fired_at, ended_at);
        let key = if notice.is_unseen { "unseen" } else { "lasted" };
        self.say(key, &[("started", &started), ("ended", &ended), ("duration", &duration)])
    }

    fn peak(&self, notice: &Notice) -> Option<String> {
        let (peak, at) = (notice.peak_value?, notice.peak_at?);
        Some(self.say("peak", &[("peak", &self.value_of(notice, peak)), ("time", &self.time(at))]))
    }

    fn end_reason(&self, notice: &Notice) -> Option<String> {
        let reason = notice.end_reason.as_deref().filter(|reason| *reason != "recovered")?;
        let reason = self.texts.end_reasons.get(reason).map_or(reason, String::as_str);
        Some(self.say("ended", &[("reason", reason)]))
    }

    fn late(&self) -> Option<String> {
        let late_ms = self.message.sent_at - self.message.due_at;
        (LATE_MS <= late_ms)
            .then(|| self.say("late", &[("duration", &values::duration(self.texts, late_ms))]))
    }

    /// Returns the first names of a list, and how many of `total` remain.
    fn list(&self, names: &[String], total: usize) -> String {
        let comma = self.say("comma", &[]);
        let shown = names.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(&comma);
        match total.saturating_sub(names.len().min(NAMES_MAX)) {
            0 => shown,
            n_more => format!("{shown} {}", self.say("more", &[("count", &n_more.to_string())])),
        }
    }
}
