//! Alert rules in requests and answers, and their conversion.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ApiError;
use super::alert_body::SeverityName;
use super::checked::checked;
use crate::domain::alert::builtin::default_series;
use crate::domain::alert::condition::Condition;
use crate::domain::alert::rule::{
    CHANNELS_MAX, Definition, NAME_CHARS_MAX, NoData, RUNBOOK_CHARS_MAX, Rule, RuleError, SUMMARY_CHARS_MAX,
    URL_CHARS_MAX,
};
use crate::domain::alert::scope::{Scope, ScopeKind, SeriesFilter};
use crate::domain::family::Family;
use crate::domain::name::{parse_name, parse_optional};
use crate::domain::tier::{DAY_MS, MINUTE_MS};
use crate::store::RuleText;

/// How agents are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[oai(rename = "AlertScopeKind", rename_all = "lowercase")]
enum ScopeKindName {
    /// All agents.
    All,
    /// Agents with any of the tags.
    Tags,
    /// The listed agents.
    Agents,
}

/// A set of agents, determined anew at every evaluation.
#[derive(Clone, Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertScope", rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ScopeBody {
    /// How they are chosen.
    kind: ScopeKindName,
    /// With `tags`: agents with any of these.
    #[serde(default)]
    #[oai(default)]
    tags: Vec<String>,
    /// With `agents`: these agents.
    #[serde(default)]
    #[oai(default)]
    agent_ids: Vec<Uuid>,
    /// Except agents with any of these tags.
    #[serde(default)]
    #[oai(default)]
    except_tags: Vec<String>,
    /// Except these agents.
    #[serde(default)]
    #[oai(default)]
    except_agent_ids: Vec<Uuid>,
}

/// A set of mount points or interfaces, by patterns: `*` matches anything, `?` one character.
#[derive(Clone, Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertSeriesFilter", rename_all = "camelCase", deny_unknown_fields)]
struct SeriesBody {
    /// Names must match any of these (1–32).
    include: Vec<String>,
    /// Names must match none of these.
    #[serde(default)]
    #[oai(default)]
    exclude: Vec<String>,
    /// Excluded types of file systems.
    #[serde(default)]
    #[oai(default)]
    fs_types_exclude: Vec<String>,
}

/// Where a condition starts to hold, and where it ends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertThreshold", rename_all = "camelCase", deny_unknown_fields)]
struct ThresholdBody {
    /// The condition holds beyond this.
    threshold: f64,
    /// The condition ends on the other side of this; between the two nothing changes.
    recovery_threshold: f64,
}

/// A threshold for each severity the condition uses.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertLevels", rename_all = "camelCase", deny_unknown_fields)]
struct LevelsBody {
    /// For information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    info: Option<ThresholdBody>,
    /// Needs attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    warning: Option<ThresholdBody>,
    /// Needs immediate attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    critical: Option<ThresholdBody>,
}

/// What has to hold. Which of the fields there are depends on the kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename = "AlertCondition", rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none)]
struct ConditionBody {
    /// `metric` (`family`, `metric`, `function`, `windowMs`, `operator`, `severities`), `offline` (`severity`), `noData`
    /// (`severity`, `staleMs`), `missingSeries` (`severity`, `family`), `fullWithin` (`severities` in days, `historyMs`), `clockOffset` (`severities`, in milliseconds), `gap` (`severity`, `minSamples` that were dropped
    /// within an hour), `restarted` (`severity`, `times` within `windowMs` that the agent came back after being offline),
    /// `identityConflict` (`severity`), `fleetOutage` or `tagOutage` (`severity`), `system` (`severity`,
    /// `check`).
    kind: String,
    /// With `metric` and `missingSeries`: the family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    family: Option<String>,
    /// With `metric`: the metric, or a derived value; `GET /api/alert-rules/metrics` lists both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metric: Option<String>,
    /// With `metric`: `avg`, `min`, `max` or `last`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    /// With `metric` and `restarted`: the length of the window, in milliseconds (60,000–86,400,000; with `last` at most
    /// 900,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window_ms: Option<i64>,
    /// With `metric`: which side of the threshold is bad, `above` or `below`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operator: Option<String>,
    /// The thresholds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    severities: Option<LevelsBody>,
    /// The severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    severity: Option<SeverityName>,
    /// With `noData`: minimum age of the newest sample, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_ms: Option<i64>,
    /// With `fullWithin`: how much history is examined, in milliseconds (one day to 14 days).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    history_ms: Option<i64>,
    /// With `gap`: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_samples: Option<i64>,
    /// With `restarted`: how often at least (1–100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<i64>,
    /// With `system`: what of Pika itself is not well: `channelFailing` (a channel cannot be told; told over the others),
    /// `databaseJobs` (the database's jobs do not do their work), `maintenance` (none has succeeded for five minutes),
    /// `ingestStalled` (more than half of the connected agents have no new samples), `evaluationSlow` (what rules ask for
    /// cannot be read in time) or `databaseAway` (for a minute at least; told when it is over, whatever `forMs` says).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<String>,
}

/// An alert rule to create or change.
#[derive(Clone, Debug, Deserialize, Object)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[oai(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AlertRuleRequest {
    /// The name (1–64 characters), unique regardless of case.
    name: String,
    /// Whether it is evaluated; by default true.
    #[serde(default)]
    enabled: Option<bool>,
    /// The agents it applies to; by default all.
    #[serde(default)]
    scope: Option<ScopeBody>,
    /// The mount points or interfaces it applies to; by default real ones.
    #[serde(default)]
    series: Option<SeriesBody>,
    /// The conditions, all of which must hold (1–4).
    #[oai(validator(min_items = "1", max_items = "4"))]
    conditions: Vec<ConditionBody>,
    /// For how long they must hold, in milliseconds of observed time (at most 7 days; by default 300,000).
    #[serde(default)]
    for_ms: Option<i64>,
    /// For how long they must be clear before an alert ends, in milliseconds (at most a day; by default 300,000).
    #[serde(default)]
    recover_for_ms: Option<i64>,
    /// What happens without data: `keep` (the default: it stays, and ends after `noDataEndMs`) or `resolve`.
    #[serde(default)]
    no_data: Option<String>,
    /// After how long without data an alert ends, in milliseconds (an hour to 30 days; by default a day).
    #[serde(default)]
    no_data_end_ms: Option<i64>,
    /// How much of a window samples must cover, in percent (10–100; by default 60).
    #[serde(default)]
    min_coverage_percent: Option<i64>,
    /// For how long after its end an alert is reopened instead of a new one fired, in milliseconds (at most a day; by
    /// default 600,000).
    #[serde(default)]
    cooldown_ms: Option<i64>,
    /// How often it is repeated while unacknowledged, in milliseconds (5 minutes to 30 days); null means never.
    #[serde(default)]
    repeat_ms: Option<i64>,
    /// Rules (at most 8) whose alerts about the same agent, its tag or the fleet withhold this one's.
    #[serde(default)]
    #[oai(default)]
    depends_on: Vec<Uuid>,
    /// The channels that are notified (at most 16); null means the default ones, an empty list none.
    #[serde(default)]
    channel_ids: Option<Vec<Uuid>>,
    /// Added to messages (at most 200 characters).
    #[serde(default)]
    summary: Option<String>,
    /// Instructions for those who are notified (at most 4,000 characters).
    #[serde(default)]
    runbook: Option<String>,
    /// A URL with further instructions: starts with `https://`.
    #[serde(default)]
    runbook_url: Option<String>,
    /// When changing a rule: the version that was read. If that is outdated, the answer is 409.
    #[serde(default)]
    pub(super) version: Option<i32>,
}

/// An alert rule.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AlertRule", rename_all = "camelCase")]
pub(super) struct AlertRuleBody {
    /// The rule's id.
    id: Uuid,
    /// Incremented by every change.
    version: i32,
    /// The key among the built-in rules; null if it is not built in.
    builtin: Option<String>,
    /// Whether it is built in and unchanged.
    is_unchanged: bool,
    /// The name.
    name: String,
    /// Whether it is evaluated.
    enabled: bool,
    /// The agents it applies to.
    scope: ScopeBody,
    /// The mount points or interfaces it applies to.
    series: SeriesBody,
    /// The conditions, all of which must hold.
    conditions: Vec<ConditionBody>,
    /// For how long they must hold, in milliseconds of observed time.
    for_ms: i64,
    /// For how long they must be clear before an alert ends, in milliseconds.
    recover_for_ms: i64,
    /// What happens without data: `keep` or `resolve`.
    no_data: String,
    /// After how long without data an alert ends, in milliseconds.
    no_data_end_ms: i64,
    /// How much of a window samples must cover, in percent.
    min_coverage_percent: i64,
    /// For how long after its end an alert is reopened, in milliseconds.
    cooldown_ms: i64,
    /// How often it is repeated while unacknowledged, in milliseconds; null means never.
    repeat_ms: Option<i64>,
    /// Rules whose alerts withhold this one's.
    depends_on: Vec<Uuid>,
    /// The channels that are notified; null means the default ones.
    channel_ids: Option<Vec<Uuid>>,
    /// Added to messages.
    summary: String,
    /// Instructions for those who are notified.
    runbook: String,
    /// A URL with further instructions.
    runbook_url: Option<String>,
    /// When it was last changed, in milliseconds since the Unix epoch.
    updated_at: i64,
    /// Who last changed it; empty for Pika itself.
    updated_by: String,
}

impl From<RuleError> for ApiError {
    fn from(error: RuleError) -> Self {
        ApiError::unprocessable(&error.path, &error.message)
    }
}

impl ScopeBody {
    pub(super) fn scope(self) -> Scope {
        let kind = match self.kind {
            ScopeKindName::All => ScopeKind::All,
            ScopeKindName::Tags => ScopeKind::Tags,
            ScopeKindName::Agents => ScopeKind::Agents,
        };
        let Self { tags, agent_ids, except_tags, except_agent_ids, .. } = self;
        Scope { kind, tags, agent_ids, except_tags, except_agent_ids }
    }
}

impl From<Scope> for ScopeBody {
    fn from(scope: Scope) -> Self {
        let kind = match scope.kind {
            ScopeKind::All => ScopeKindName::All,
            ScopeKind::Tags => ScopeKindName::Tags,
            ScopeKind::Agents => ScopeKindName::Agents,
        };
        let Scope { tags, agent_ids, except_tags, except_agent_ids, .. } = scope;
        Self { kind, tags, agent_ids, except_tags, except_agent_ids }
    }
}

impl ConditionBody {
    /// What a condition is inside; its description and serde know which fields each kind has.
    fn condition(&self, index: usize) -> Result<Condition, ApiError> {
        let condition = serde_json::to_value(self).and_then(serde_json::from_value);
        condition
            .map_err(|error| ApiError::unprocessable(&format!("conditions[{index}]"), &error.to_string()))
    }

    fn of(condition: &Condition) -> Self {
        serde_json::to_value(condition).and_then(serde_json::from_value).unwrap_or_default()
    }
}

impl AlertRuleRequest {
    /// Validates and converts the rule.
    pub(super) fn check(self) -> Result<RuleText, ApiError> {
        let conditions: Vec<Condition> = (0..)
            .zip(&self.conditions)
            .map(|(index, condition)| condition.condition(index))
            .collect::<Result<_, _>>()?;
        let family = conditions.iter().find_map(Condition::series_family);
        let series = match self.series {
            Some(SeriesBody { include, exclude, fs_types_exclude }) => {
                SeriesFilter { include, exclude, fs_types_exclude }
            }
            None => default_series(family.map_or("", Family::name)),
        };
        let no_data = match self.no_data.as_deref() {
            None | Some("keep") => NoData::Keep,
            Some("resolve") => NoData::Resolve,
            Some(_) => return Err(ApiError::unprocessable("noData", "must be keep or resolve")),
        };
        let definition = Definition {
            scope: self.scope.map(ScopeBody::scope).unwrap_or_default(),
            series,
            conditions,
            for_ms: self.for_ms.unwrap_or(5 * MINUTE_MS),
            recover_for_ms: self.recover_for_ms.unwrap_or(5 * MINUTE_MS),
            no_data,
            no_data_end_ms: self.no_data_end_ms.unwrap_or(DAY_MS),
            min_coverage_percent: self.min_coverage_percent.unwrap_or(60),
            cooldown_ms: self.cooldown_ms.unwrap_or(10 * MINUTE_MS),
            repeat_ms: self.repeat_ms,
            depends_on: self.depends_on,
        };
        definition.check()?;
        if self.channel_ids.as_ref().is_some_and(|ids| CHANNELS_MAX < ids.len()) {
            return Err(ApiError::unprocessable("channelIds", &format!("must be at most {CHANNELS_MAX}")));
        }
        let summary = self.summary.unwrap_or_default();
        Ok(RuleText {
            name: checked("name", parse_name(&self.name, NAME_CHARS_MAX))?,
            enabled: self.enabled.unwrap_or(true),
            definition,
            channel_ids: self.channel_ids,
            summary: checked("summary", parse_optional(&summary, SUMMARY_CHARS_MAX))?,
            runbook: text("runbook", self.runbook.unwrap_or_default(), RUNBOOK_CHARS_MAX)?,
            runbook_url: self.runbook_url.map(runbook_url).transpose()?,
        })
    }
}

/// Validates a text of several lines.
pub(super) fn text(parameter: &str, text: String, chars_max: usize) -> Result<String, ApiError> {
    if chars_max < text.chars().count() || text.contains('\0') {
        let message = format!("must be at most {chars_max} characters of text");
        return Err(ApiError::unprocessable(parameter, &message));
    }
    Ok(text)
}

fn runbook_url(url: String) -> Result<String, ApiError> {
    let is_https = url::Url::parse(&url).is_ok_and(|url| url.scheme() == "https");
    if !is_https || URL_CHARS_MAX < url.chars().count() {
        let message =
            format!("must be an address of at most {URL_CHARS_MAX} characters that begins with https://");
        return Err(ApiError::unprocessable("runbookUrl", &message));
    }
    Ok(url)
}

impl From<Rule> for AlertRuleBody {
    fn from(rule: Rule) -> Self {
        let definition = rule.definition;
        let SeriesFilter { include, exclude, fs_types_exclude } = definition.series;
        Self {
            id: rule.id,
            version: rule.version,
            is_unchanged: rule.builtin_version.is_some(),
            builtin: rule.builtin,
            name: rule.name,
            enabled: rule.enabled,
            scope: definition.scope.into(),
            series: SeriesBody { include, exclude, fs_types_exclude },
            conditions: definition.conditions.iter().map(ConditionBody::of).collect(),
            for_ms: definition.for_ms,
            recover_for_ms: definition.recover_for_ms,
            no_data: match definition.no_data {
                NoData::Keep => "keep".to_owned(),
                NoData::Resolve => "resolve".to_owned(),
            },
            no_data_end_ms: definition.no_data_end_ms,
            min_coverage_percent: definition.min_coverage_percent,
            cooldown_ms: definition.cooldown_ms,
            repeat_ms: definition.repeat_ms,
            depends_on: definition.depends_on,
            channel_ids: rule.channel_ids,
            summary: rule.summary,
            runbook: rule.runbook,
            runbook_url: rule.runbook_url,
            updated_at: rule.updated_at,
            updated_by: rule.updated_by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::builtin;

    #[test]
    fn conditions_are_answered_as_they_are_written() {
        for rule in builtin::rules() {
            for condition in &rule.definition.conditions {
                let body = ConditionBody::of(condition);
                assert_eq!(body.condition(0).unwrap(), *condition, "{body:?}");
            }
        }
    }
}
