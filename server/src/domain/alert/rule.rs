//! Rules: their scope, what must hold for how long, and their validation.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::condition::{Condition, Function, RAW_WINDOW_MS_MAX, WINDOW_MS_MAX, WINDOW_MS_MIN};
use super::scope::{ENTRIES_MAX, PATTERN_CHARS_MAX, PATTERNS_MAX, Scope, SeriesFilter};
use super::severity::Severity;
use crate::domain::family::Family;
use crate::domain::tier::{DAY_MS, HOUR_MS, MINUTE_MS};

/// Maximum number of rules.
pub const RULES_MAX: i64 = 500;
/// Maximum length of a rule's name, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Maximum length of a rule's summary, in characters.
pub const SUMMARY_CHARS_MAX: usize = 200;
/// Maximum length of a runbook, in characters.
pub const RUNBOOK_CHARS_MAX: usize = 4_000;
/// Maximum length of a URL, in characters.
pub const URL_CHARS_MAX: usize = 2_048;
/// Maximum conditions of a rule.
pub const CONDITIONS_MAX: usize = 4;
/// Maximum rules that one depends on.
pub const DEPENDENCIES_MAX: usize = 8;
/// Maximum channels of a rule.
pub const CHANNELS_MAX: usize = 16;

/// Minimum time an agent must be offline, in milliseconds: any sooner, nobody can tell how many left together.
pub const OFFLINE_FOR_MS_MIN: i64 = MINUTE_MS;
/// Minimum age of an agent's newest sample to count as missing, in milliseconds.
pub const STALE_MS_MIN: i64 = MINUTE_MS;
/// Maximum number of restarts that a rule waits for.
pub const RESTARTS_MAX: i64 = 100;
/// Maximum interval between judgements of a rule without a trend, in milliseconds.
const PERIOD_MS_MAX: i64 = 5 * MINUTE_MS;

/// What happens to an alert that can no longer be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoData {
    /// It stays as it is, and ends after [`Definition::no_data_end_ms`].
    #[default]
    Keep,
    /// It ends as if its condition were clear.
    Resolve,
}

/// What a rule requires, without its name and texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Definition {
    /// The agents it applies to.
    #[serde(default)]
    pub scope: Scope,
    /// The mount points or interfaces it applies to.
    #[serde(default)]
    pub series: SeriesFilter,
    /// The conditions, all of which must hold.
    pub conditions: Vec<Condition>,
    /// For how long they must hold, in milliseconds of observed time.
    pub for_ms: i64,
    /// For how long they must be clear before the alert ends, in milliseconds.
    pub recover_for_ms: i64,
    /// What happens without data.
    #[serde(default)]
    pub no_data: NoData,
    /// After how long without data it ends, in milliseconds.
    pub no_data_end_ms: i64,
    /// How much of a window samples must cover, in percent.
    pub min_coverage_percent: i64,
    /// For how long after its end an alert is reopened instead of a new one fired, in milliseconds.
    pub cooldown_ms: i64,
    /// How often it is repeated while it fires unacknowledged, in milliseconds.
    #[serde(default)]
    pub repeat_ms: Option<i64>,
    /// Rules whose alerts about the same agent, its tag or the fleet withhold this one's.
    #[serde(default)]
    pub depends_on: Vec<Uuid>,
}

/// An invalid rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RuleError {
    /// The path of the field in JSON.
    pub path: String,
    /// The reason.
    pub message: String,
}

/// A stored rule.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "described by the columns of alert_rules")]
pub struct Rule {
    pub id: Uuid,
    pub name: String,
    pub enabled: bool,
    pub builtin: Option<String>,
    pub builtin_version: Option<i32>,
    pub version: i32,
    pub judged_version: i32,
    pub definition: Definition,
    /// `None` means the default channels.
    pub channel_ids: Option<Vec<Uuid>>,
    pub summary: String,
    pub runbook: String,
    pub runbook_url: Option<String>,
    pub updated_at: i64,
    pub updated_by: String,
}

impl Rule {
    /// Returns an enabled rule that is not stored, for the default channels.
    pub fn unsaved(name: String, definition: Definition) -> Self {
        Self {
            id: Uuid::new_v4(),
            name,
            enabled: true,
            builtin: None,
            builtin_version: None,
            version: 1,
            judged_version: 1,
            definition,
            channel_ids: None,
            summary: String::new(),
            runbook: String::new(),
            runbook_url: None,
            updated_at: 0,
            updated_by: String::new(),
        }
    }
}

fn check(holds: bool, path: impl Into<String>, message: impl Into<String>) -> Result<(), RuleError> {
    if holds { Ok(()) } else { Err(RuleError { path: path.into(), message: message.into() }) }
}

impl Definition {
    /// Returns a rule with one condition and defaults for everything else.
    pub fn of(condition: Condition) -> Self {
        Self {
            scope: Scope::default(),
            series: SeriesFilter::default(),
            conditions: vec![condition],
            for_ms: 5 * MINUTE_MS,
            recover_for_ms: 5 * MINUTE_MS,
            no_data: NoData::Keep,
            no_data_end_ms: DAY_MS,
            min_coverage_percent: 60,
            cooldown_ms: 10 * MINUTE_MS,
            repeat_ms: None,
            depends_on: Vec::new(),
        }
    }

    /// Validates the rule.
    ///
    /// # Errors
    /// Names the path of the first invalid field, as written in JSON.
    pub fn check(&self) -> Result<(), RuleError> {
        self.check_lists()?;
        let n_conditions = self.conditions.len();
        check(
            (1..=CONDITIONS_MAX).contains(&n_conditions),
            "conditions",
            format!("must be 1–{CONDITIONS_MAX}"),
        )?;
        for (index, condition) in self.conditions.iter().enumerate() {
            check_condition(condition, &format!("conditions[{index}]"))?;
        }
        self.check_together()?;
        self.check_times()
    }

    fn check_lists(&self) -> Result<(), RuleError> {
        check_scope(&self.scope, "scope")?;
        let lists = [
            ("series.include", &self.series.include),
            ("series.exclude", &self.series.exclude),
            ("series.fsTypesExclude", &self.series.fs_types_exclude),
        ];
        for (path, patterns) in lists {
            check(patterns.len() <= PATTERNS_MAX, path, format!("must be at most {PATTERNS_MAX} patterns"))?;
            let fits = |pattern: &String| {
                (1..=PATTERN_CHARS_MAX).contains(&pattern.chars().count()) && !pattern.contains('\0')
            };
            let allowed = format!("patterns must have 1–{PATTERN_CHARS_MAX} characters");
            check(patterns.iter().all(fits), path, allowed)?;
        }
        check(
            !self.series.include.is_empty(),
            "series.include",
            "must not be empty; `*` matches everything",
        )?;
        let n_rules = self.depends_on.len();
        check(n_rules <= DEPENDENCIES_MAX, "dependsOn", format!("must be at most {DEPENDENCIES_MAX} rules"))
    }

    /// Validates combinations of conditions.
    fn check_together(&self) -> Result<(), RuleError> {
        let families: Vec<Family> = self.conditions.iter().filter_map(Condition::series_family).collect();
        let is_one = families.windows(2).all(|pair| pair[0] == pair[1]);
        check(is_one, "conditions", "must not judge disks and interfaces in one rule")?;
        let is_of_no_agent = |condition: &Condition| {
            use Condition::{FleetOutage, System, TagOutage};
            matches!(condition, FleetOutage { .. } | TagOutage { .. } | System { .. })
        };
        let is_alone = self.conditions.len() == 1 || !self.conditions.iter().any(is_of_no_agent);
        let message = "an outage of the fleet or of a tag, or Pika's own health, must be the only condition";
        check(is_alone, "conditions", message)?;
        for severity in self.levels() {
            for (index, condition) in self.conditions.iter().enumerate() {
                check(
                    condition.has_at(severity),
                    format!("conditions[{index}]"),
                    format!(
                        "says nothing of {} or anything less, as another condition does",
                        severity.as_str()
                    ),
                )?;
            }
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), RuleError> {
        let is_offline = |condition: &Condition| matches!(condition, Condition::Offline { .. });
        let for_ms_min = if self.conditions.iter().any(is_offline) { OFFLINE_FOR_MS_MIN } else { 0 };
        let within = |value: i64, min: i64, max: i64, path: &str| {
            check((min..=max).contains(&value), path, format!("must be {min}–{max}"))
        };
        within(self.for_ms, for_ms_min, 7 * DAY_MS, "forMs")?;
        within(self.recover_for_ms, 0, DAY_MS, "recoverForMs")?;
        within(self.no_data_end_ms, HOUR_MS, 30 * DAY_MS, "noDataEndMs")?;
        within(self.min_coverage_percent, 10, 100, "minCoveragePercent")?;
        within(self.cooldown_ms, 0, DAY_MS, "cooldownMs")?;
        match self.repeat_ms {
            Some(repeat_ms) => within(repeat_ms, 5 * MINUTE_MS, 30 * DAY_MS, "repeatMs"),
            None => Ok(()),
        }
    }

    /// Returns the severities the rule uses, the lowest first.
    pub fn levels(&self) -> Vec<Severity> {
        let has = |severity: &Severity| self.conditions.iter().any(|condition| condition.has_own(*severity));
        Severity::ALL.into_iter().filter(has).collect()
    }

    /// Returns how often the rule is judged, in milliseconds: a tenth of its longest window, but at least every five
    /// minutes and at most every `tick_ms`; a trend of days every hour.
    pub fn period_ms(&self, tick_ms: i64) -> i64 {
        if self.conditions.iter().any(|condition| matches!(condition, Condition::FullWithin(_))) {
            return HOUR_MS.max(tick_ms);
        }
        let window_ms = self.conditions.iter().map(Condition::window_ms).max().unwrap_or(0);
        (window_ms / 10).clamp(tick_ms, PERIOD_MS_MAX.max(tick_ms))
    }

    /// Returns whether alerts of one rule are meaningless for the other, because something else is judged.
    pub fn judges_otherwise(&self, other: &Self) -> bool {
        let is_same = |(one, other): (&Condition, &Condition)| match (one, other) {
            (Condition::Metric(one), Condition::Metric(other)) => {
                (&one.family, &one.metric, one.function, one.window_ms, one.operator)
                    == (&other.family, &other.metric, other.function, other.window_ms, other.operator)
            }
            (
                Condition::MissingSeries { family: one, .. },
                Condition::MissingSeries { family: other, .. },
            ) => one == other,
            (Condition::FullWithin(one), Condition::FullWithin(other)) => one.history_ms == other.history_ms,
            (Condition::System { check: one, .. }, Condition::System { check: other, .. }) => one == other,
            _ => one.kind() == other.kind(),
        };
        self.scope != other.scope
            || self.series != other.series
            || self.conditions.len() != other.conditions.len()
            || !self.conditions.iter().zip(&other.conditions).all(is_same)
    }
}

/// Validates the lists of a scope, which is found at `path`.
///
/// # Errors
/// Names the first list that is too long.
pub fn check_scope(scope: &Scope, path: &str) -> Result<(), RuleError> {
    let lists = [
        ("tags", scope.tags.len()),
        ("agentIds", scope.agent_ids.len()),
        ("exceptTags", scope.except_tags.len()),
        ("exceptAgentIds", scope.except_agent_ids.len()),
    ];
    for (name, length) in lists {
        check(length <= ENTRIES_MAX, format!("{path}.{name}"), format!("must be at most {ENTRIES_MAX}"))?;
    }
    let has_null = scope.tags.iter().chain(&scope.except_tags).any(|tag| tag.contains('\0'));
    check(!has_null, format!("{path}.tags"), "must not contain null characters")
}

fn check_condition(condition: &Condition, path: &str) -> Result<(), RuleError> {
    match condition {
        Condition::Metric(metric) => {
            let message = format!("there is no metric {}.{}", metric.family, metric.metric);
            let Some(measure) = metric.measure() else {
                return Err(RuleError { path: format!("{path}.metric"), message });
            };
            check(
                measure.functions().contains(&metric.function),
                format!("{path}.function"),
                format!("cannot be computed of {}", measure.name),
            )?;
            let window_ms_max =
                if metric.function == Function::Last { RAW_WINDOW_MS_MAX } else { WINDOW_MS_MAX };
            check(
                (WINDOW_MS_MIN..=window_ms_max).contains(&metric.window_ms),
                format!("{path}.windowMs"),
                format!("must be {WINDOW_MS_MIN}–{window_ms_max}"),
            )?;
        }
        Condition::NoData { stale_ms, .. } => check(
            (STALE_MS_MIN..=DAY_MS).contains(stale_ms),
            format!("{path}.staleMs"),
            format!("must be {STALE_MS_MIN}–{DAY_MS}"),
        )?,
        Condition::MissingSeries { family, .. } => check(
            condition.series_family().is_some(),
            format!("{path}.family"),
            format!("{family} is no family with disks or interfaces"),
        )?,
        Condition::FullWithin(trend) => check(
            (DAY_MS..=14 * DAY_MS).contains(&trend.history_ms),
            format!("{path}.historyMs"),
            format!("must be {DAY_MS}–{}", 14 * DAY_MS),
        )?,
        Condition::Gap { min_samples, .. } => {
            check(1 <= *min_samples, format!("{path}.minSamples"), "must be at least 1")?;
        }
        Condition::Restarted { times, window_ms, .. } => {
            let range = 1..=RESTARTS_MAX;
            check(range.contains(times), format!("{path}.times"), format!("must be 1–{RESTARTS_MAX}"))?;
            check(
                (WINDOW_MS_MIN..=WINDOW_MS_MAX).contains(window_ms),
                format!("{path}.windowMs"),
                format!("must be {WINDOW_MS_MIN}–{WINDOW_MS_MAX}"),
            )?;
        }
        _ => {}
    }
    match condition.levels() {
        Some(_) => check_levels(condition, path),
        None => Ok(()),
    }
}

fn check_levels(condition: &Condition, path: &str) -> Result<(), RuleError> {
    let Some(levels) = condition.levels() else {
        return Ok(());
    };
    let operator = condition.operator();
    let own = Severity::ALL.into_iter().filter_map(|severity| Some((severity, levels.own(severity)?)));
    let own: Vec<_> = own.collect();
    check(!own.is_empty(), format!("{path}.severities"), "must name a threshold")?;
    for (severity, threshold) in &own {
        let path = format!("{path}.severities.{}", severity.as_str());
        let is_finite = threshold.threshold.is_finite() && threshold.recovery_threshold.is_finite();
        check(is_finite, path.clone(), "must be finite numbers")?;
        let is_over_later = !operator.is_beyond(threshold.recovery_threshold, threshold.threshold);
        check(
            is_over_later,
            format!("{path}.recoveryThreshold"),
            "must not lie beyond the threshold: what is over would hold again at once",
        )?;
    }
    let is_stricter = |pair: &[(Severity, super::condition::Threshold)]| {
        !operator.is_beyond(pair[0].1.threshold, pair[1].1.threshold)
    };
    check(
        own.windows(2).all(is_stricter),
        format!("{path}.severities"),
        "a higher severity must have a threshold at least as far out",
    )
}

#[cfg(test)]
mod tests {
    use super::super::condition::{Levels, MetricCondition, Operator, Threshold};
    use super::*;

    fn metric(family: &str, name: &str, window_ms: i64) -> Condition {
        Condition::Metric(MetricCondition {
            family: family.to_owned(),
            metric: name.to_owned(),
            function: Function::Avg,
            window_ms,
            operator: Operator::Above,
            levels: Levels {
                warning: Some(Threshold { threshold: 80.0, recovery_threshold: 70.0 }),
                critical: Some(Threshold { threshold: 90.0, recovery_threshold: 85.0 }),
                info: None,
            },
        })
    }

    fn path(definition: &Definition) -> Option<String> {
        definition.check().err().map(|error| error.path)
    }

    #[test]
    fn invalid_fields_are_named() {
        let good = Definition::of(metric("cpu", "usagePercent", 300_000));
        assert_eq!(path(&good), None);
        let with = |condition| Definition::of(condition);
        assert_eq!(path(&with(metric("cpu", "load1", 300_000))).as_deref(), Some("conditions[0].metric"));
        assert_eq!(path(&with(metric("cpu", "usagePercent", 1))).as_deref(), Some("conditions[0].windowMs"));
        let offline = Condition::Offline { severity: Severity::Critical };
        let too_soon = Definition { for_ms: 1_000, ..Definition::of(offline.clone()) };
        assert_eq!(path(&too_soon).as_deref(), Some("forMs"));
        let two =
            vec![metric("disk", "usagePercent", 60_000), metric("network", "receivedBytesPerSecond", 60_000)];
        assert_eq!(path(&Definition { conditions: two, ..good.clone() }).as_deref(), Some("conditions"));
        let lacks_warning = vec![metric("cpu", "usagePercent", 60_000), offline];
        assert_eq!(
            path(&Definition { conditions: lacks_warning, ..good.clone() }).as_deref(),
            Some("conditions[1]")
        );
        let Condition::Metric(mut upside_down) = metric("cpu", "usagePercent", 60_000) else {
            unreachable!()
        };
        upside_down.operator = Operator::Below;
        let upside_down = with(Condition::Metric(upside_down));
        assert_eq!(path(&upside_down).as_deref(), Some("conditions[0].severities.warning.recoveryThreshold"));
        assert_eq!(path(&Definition { repeat_ms: Some(1), ..good }).as_deref(), Some("repeatMs"));
    }

    #[test]
    fn definitions_are_read_as_they_are_written() {
        let definition = Definition::of(metric("disk", "usagePercent", 300_000));
        let text = serde_json::to_string(&definition).unwrap();
        assert_eq!(serde_json::from_str::<Definition>(&text).unwrap(), definition);
    }

    #[test]
    fn only_what_is_judged_ends_alerts() {
        let one = Definition::of(metric("cpu", "usagePercent", 300_000));
        assert!(!one.judges_otherwise(&Definition { for_ms: 1, cooldown_ms: 0, ..one.clone() }));
        assert!(one.judges_otherwise(&Definition::of(metric("cpu", "usagePercent", 60_000))));
    }

    #[test]
    fn long_windows_are_judged_less_often() {
        let period = |window| Definition::of(metric("cpu", "usagePercent", window)).period_ms(15_000);
        assert_eq!((period(60_000), period(600_000), period(DAY_MS)), (15_000, 60_000, 300_000));
    }
}
