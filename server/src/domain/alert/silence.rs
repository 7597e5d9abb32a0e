//! Times without notifications: one-time silences and maintenance, and recurring quiet hours.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::reconcile::Withheld;
use super::recurrence::Recurrence;
use super::rule::{RuleError, check_scope};
use super::scope::Scope;
use super::severity::Severity;
use crate::domain::TimestampMs;

/// Maximum number of silences.
pub const SILENCES_MAX: i64 = 500;
/// Maximum length of a silence's name, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Maximum length of a comment, in characters.
pub const COMMENT_CHARS_MAX: usize = 1_000;
/// Maximum rules in a silence.
pub const RULES_MAX: usize = 500;

/// The kind of a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceKind {
    /// A one-time silence.
    Silence,
    /// A one-time maintenance of machines.
    Maintenance,
    /// Recurring quiet hours.
    Quiet,
}

impl SilenceKind {
    /// Returns the kind's name in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            SilenceKind::Silence => "silence",
            SilenceKind::Maintenance => "maintenance",
            SilenceKind::Quiet => "quiet",
        }
    }

    /// Parses the name of a kind.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [SilenceKind::Silence, SilenceKind::Maintenance, SilenceKind::Quiet];
        all.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns the reason with which it withholds alerts.
    pub fn withholds_as(self) -> Withheld {
        match self {
            SilenceKind::Silence => Withheld::Silenced,
            SilenceKind::Maintenance => Withheld::Maintenance,
            SilenceKind::Quiet => Withheld::QuietHours,
        }
    }
}

/// A set of alerts; empty lists match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Matcher {
    /// Only alerts of these rules.
    pub rule_ids: Vec<Uuid>,
    /// Only alerts about these agents.
    pub scope: Scope,
    /// Only alerts with these severities.
    pub severities: Vec<Severity>,
}

impl Matcher {
    /// Returns whether an alert matches. `agent` is its agent's id and tags; an alert about no agent matches only
    /// scopes that include all agents.
    pub fn has(&self, rule: Option<Uuid>, agent: Option<(Uuid, &[String])>, severity: Severity) -> bool {
        let is_rule = self.rule_ids.is_empty() || rule.is_some_and(|rule| self.rule_ids.contains(&rule));
        let is_severity = self.severities.is_empty() || self.severities.contains(&severity);
        let is_agent = match agent {
            Some((id, tags)) => self.scope.has(id, tags),
            None => self.scope.is_everybody(),
        };
        is_rule && is_severity && is_agent
    }
}

/// A time without notifications.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// The silence's id.
    pub id: Uuid,
    /// The kind.
    pub kind: SilenceKind,
    /// The name shown to people.
    pub name: String,
    /// The reason.
    pub comment: String,
    /// The alerts it applies to.
    pub matcher: Matcher,
    /// The start; `None` means always.
    pub starts_at: Option<TimestampMs>,
    /// The end; `None` means never.
    pub ends_at: Option<TimestampMs>,
    /// The recurring times within that; `None` means all of the time.
    pub recurrence: Option<Recurrence>,
    /// Alerts from this severity on are sent nevertheless.
    pub min_severity_through: Option<Severity>,
    /// The username of its creator.
    pub created_by: String,
    /// When it was created.
    pub created_at: TimestampMs,
    /// When it was last changed.
    pub updated_at: TimestampMs,
    /// Incremented by every change.
    pub version: i32,
}

impl Silence {
    /// Returns whether it is active at a time.
    pub fn is_active(&self, at: TimestampMs) -> bool {
        self.starts_at.is_none_or(|start| start <= at)
            && self.ends_at.is_none_or(|end| at < end)
            && self.recurrence.as_ref().is_none_or(|recurrence| recurrence.is_active(at))
    }

    /// Returns whether it will never be active again.
    pub fn is_over(&self, at: TimestampMs) -> bool {
        self.ends_at.is_some_and(|end| end <= at)
    }

    /// Returns whether it withholds an alert while it is active.
    pub fn withholds(
        &self,
        rule: Option<Uuid>,
        agent: Option<(Uuid, &[String])>,
        severity: Severity,
    ) -> bool {
        let passes = self.min_severity_through.is_some_and(|through| through <= severity);
        !passes && self.matcher.has(rule, agent, severity)
    }

    /// Validates it.
    ///
    /// # Errors
    /// Names the first invalid field.
    pub fn check(&self) -> Result<(), RuleError> {
        let refuse =
            |path: &str, message: &str| Err(RuleError { path: path.to_owned(), message: message.to_owned() });
        check_scope(&self.matcher.scope, "matcher.scope")?;
        if RULES_MAX < self.matcher.rule_ids.len() {
            return refuse("matcher.ruleIds", "must be at most 500");
        }
        match (self.kind, &self.recurrence) {
            (SilenceKind::Quiet, None) => return refuse("recurrence", "quiet hours must say when they are"),
            (SilenceKind::Silence | SilenceKind::Maintenance, Some(_)) => {
                return refuse("recurrence", "only quiet hours recur");
            }
            (SilenceKind::Silence | SilenceKind::Maintenance, None) if self.ends_at.is_none() => {
                return refuse("endsAt", "must be given: a silence without an end is forgotten");
            }
            _ => {}
        }
        if let (Some(start), Some(end)) = (self.starts_at, self.ends_at)
            && end <= start
        {
            return refuse("endsAt", "must be after startsAt");
        }
        match &self.recurrence {
            Some(recurrence) => recurrence.check(),
            None => Ok(()),
        }
    }

    /// Returns start and end of the next times it is active, from `now` on; the end is `None` if it never ends.
    pub fn next_windows(&self, now: TimestampMs, n: usize) -> Vec<(TimestampMs, Option<TimestampMs>)> {
        if self.is_over(now) {
            return Vec::new();
        }
        let from = self.starts_at.unwrap_or(now).max(now);
        let Some(recurrence) = &self.recurrence else {
            return vec![(self.starts_at.unwrap_or(now), self.ends_at)];
        };
        let windows = recurrence.windows(from, n);
        let within = windows.into_iter().filter(|(start, _)| self.ends_at.is_none_or(|end| *start < end));
        let clip = |(start, end): (TimestampMs, TimestampMs)| {
            let start = self.starts_at.map_or(start, |first| first.max(start));
            (start, Some(self.ends_at.map_or(end, |last| last.min(end))))
        };
        within.map(clip).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence() -> Silence {
        Silence {
            id: Uuid::nil(),
            kind: SilenceKind::Silence,
            name: "x".to_owned(),
            comment: String::new(),
            matcher: Matcher::default(),
            starts_at: Some(100),
            ends_at: Some(200),
            recurrence: None,
            min_severity_through: None,
            created_by: String::new(),
            created_at: 0,
            updated_at: 0,
            version: 1,
        }
    }

    #[test]
    fn it_is_quiet_from_its_start_to_its_end() {
        let silence = silence();
        assert_eq!([99, 100, 199, 200].map(|at| silence.is_active(at)), [false, true, true, false]);
        assert!(silence.is_over(200) && !silence.is_over(199));
        assert_eq!(silence.next_windows(0, 5), [(100, Some(200))]);
        assert_eq!(silence.next_windows(200, 5), []);
    }

    #[test]
    fn severe_alerts_pass() {
        let quiet = Silence { min_severity_through: Some(Severity::Critical), ..silence() };
        assert!(quiet.withholds(None, None, Severity::Warning));
        assert!(!quiet.withholds(None, None, Severity::Critical));
        let of_rule = Silence {
            matcher: Matcher { rule_ids: vec![Uuid::from_u128(1)], ..Matcher::default() },
            ..silence()
        };
        assert!(of_rule.withholds(Some(Uuid::from_u128(1)), None, Severity::Critical));
        assert!(!of_rule.withholds(Some(Uuid::from_u128(2)), None, Severity::Critical));
    }

    #[test]
    fn invalid_fields_are_named() {
        let path = |silence: Silence| silence.check().err().map(|error| error.path);
        assert_eq!(path(silence()), None);
        assert_eq!(path(Silence { ends_at: None, ..silence() }).as_deref(), Some("endsAt"));
        assert_eq!(path(Silence { ends_at: Some(100), ..silence() }).as_deref(), Some("endsAt"));
        assert_eq!(path(Silence { kind: SilenceKind::Quiet, ..silence() }).as_deref(), Some("recurrence"));
    }
}
