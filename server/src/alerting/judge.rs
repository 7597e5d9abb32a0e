//! Judges the targets of rules by what was read of the fleet.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::intervals::Intervals;
use crate::domain::TimestampMs;
use crate::domain::alert::condition::{Condition, Function, MetricCondition, SystemCheck};
use crate::domain::alert::outage::{Outage, TAG_AGENTS_MIN};
use crate::domain::alert::reading::{Readings, WatchedAgent, WatchedSeries, WindowQuery};
use crate::domain::alert::rule::{Definition, Rule};
use crate::domain::alert::severity::Severity;
use crate::domain::alert::trend::{DAYS_MAX, History, start_of};
use crate::domain::alert::verdict::{Outcome, Reason, Verdict, all};
use crate::domain::family::{Family, Metric};
use crate::domain::tier::{HOUR_MS, MINUTE_MS};
use crate::store::{ChannelHealth, SystemHealth};

/// The target of an outage of the fleet.
pub const FLEET: &str = "fleet";
/// What the target of an outage of a tag begins with.
pub const TAG_PREFIX: &str = "tag:";
/// How long ago maintenance must have succeeded last to be missed, in milliseconds.
const MAINTENANCE_MS: i64 = 5 * MINUTE_MS;
/// How long two machines with one identity count after that was last seen, in milliseconds.
const CONFLICT_MS: i64 = HOUR_MS;
/// How far back dropped samples count, in milliseconds.
pub(super) const GAP_MS: i64 = HOUR_MS;
/// Minimum agents of which more than half must lack data for Pika itself to be at fault.
const STALLED_AGENTS_MIN: usize = 3;
/// How old the newest sample of such an agent is, in milliseconds.
const STALLED_MS: i64 = 2 * MINUTE_MS;

/// How long ago a disk or interface must last have been reported to count as missing, in milliseconds.
const MISSING_MS: i64 = 10 * MINUTE_MS;
/// Maximum age of the newest hour of a trend, in milliseconds: hourly rollups follow an hour later.
const STALE_TREND_MS: i64 = 4 * HOUR_MS;

const MS_PER_DAY: f64 = 86_400_000.0;

/// A window that was read, or could not be.
pub(super) type Read = Option<(WindowQuery, Readings)>;

/// What is known of the fleet at one time.
#[derive(Debug, Default)]
pub struct Sight {
    /// The time up to which everything was read.
    pub(super) now: TimestampMs,
    /// Since when the fleet has been watched.
    pub(super) observed_from: TimestampMs,
    /// Whether that is long enough ago to tell who is missing.
    pub(super) is_settled: bool,
    /// All agents.
    pub(super) agents: Vec<WatchedAgent>,
    /// The disks or interfaces of each agent.
    pub(super) series: HashMap<Family, HashMap<i32, Vec<WatchedSeries>>>,
    /// The windows read, by family and length.
    pub(super) windows: HashMap<(Family, i64), Read>,
    /// How many samples agents have recently dropped.
    pub(super) gaps: HashMap<i32, i64>,
    /// When agents have come back after being offline.
    pub(super) restarts: HashMap<i32, Vec<TimestampMs>>,
    /// Outages that have begun, and whether they hold.
    pub(super) outages: BTreeMap<String, (Option<Outage>, Outcome)>,
    /// The free space of disks over time.
    pub(super) histories: HashMap<i32, History>,
    /// The sample intervals of agents.
    pub(super) intervals: Intervals,
    /// So many agents lack data that it must be Pika's own fault.
    pub(super) is_stalled: bool,
    /// What is known of Pika itself; `None` where no rule asks.
    pub(super) health: Option<SystemHealth>,
    /// Something could not be read in time, now or when it was last due.
    pub(super) is_slow: bool,
}

/// A target of a rule.
#[derive(Clone, Debug)]
pub(super) struct Target<'a> {
    pub(super) agent: Option<&'a WatchedAgent>,
    pub(super) series: Option<&'a WatchedSeries>,
    /// What it is, where it is no agent; otherwise empty.
    pub(super) name: String,
    /// What people call it, where it is a channel.
    pub(super) channel: Option<&'a str>,
}

impl Target<'_> {
    pub(super) fn agent_key(&self) -> Option<i32> {
        self.agent.map(|agent| agent.key)
    }

    pub(super) fn series_key(&self) -> i32 {
        self.series.map_or(0, |series| series.key)
    }

    /// The name of the mount point, the interface or the channel.
    pub(super) fn series_name(&self) -> Option<&str> {
        self.series.map(|series| series.name.as_str()).or(self.channel)
    }
}

/// What a condition finds.
#[derive(Clone, Copy, Debug)]
enum Found {
    Value(f64),
    Outcome(Outcome),
    /// How often something has happened, and whether that is often enough.
    Count(i64, Outcome),
    Unknown(Reason),
}

/// The target of an alert about Pika itself.
pub(super) fn system_target(check: SystemCheck) -> String {
    format!("system:{}", check.as_str())
}

/// The target of an alert about a channel.
pub(super) fn channel_target(id: Uuid) -> String {
    format!("system:channel:{id}")
}

/// The windows that rules ask for.
pub(super) fn queries<'a>(rules: impl Iterator<Item = &'a Rule>) -> Vec<WindowQuery> {
    let mut queries: Vec<WindowQuery> = Vec::new();
    let mut add = |family: Family, window_ms: i64, value: Option<(&'static Metric, Function)>| {
        let position =
            queries.iter().position(|query| query.family == family && query.window_ms == window_ms);
        let position = position.unwrap_or_else(|| {
            queries.push(WindowQuery { family, window_ms, values: Vec::new() });
            queries.len() - 1
        });
        if let (Some(query), Some((metric, function))) = (queries.get_mut(position), value) {
            query.add(metric, function);
        }
    };
    for condition in rules.flat_map(|rule| &rule.definition.conditions) {
        match condition {
            Condition::Metric(metric) => {
                if let Some(measure) = metric.measure() {
                    for (family, input, function) in measure.inputs(metric.function) {
                        add(family, metric.window_ms, Some((input, function)));
                    }
                }
            }
            // Only the times of the last reports are needed.
            Condition::MissingSeries { .. } => {
                if let Some(family) = condition.series_family() {
                    add(family, condition.window_ms(), None);
                }
            }
            _ => {}
        }
    }
    queries
}

/// Returns the longest window in which rules count restarts, in milliseconds.
pub(super) fn restarts_ms<'a>(rules: impl Iterator<Item = &'a Definition>) -> Option<i64> {
    let windows = rules.flat_map(|rule| &rule.conditions).filter_map(|condition| match condition {
        Condition::Restarted { window_ms, .. } => Some(*window_ms),
        _ => None,
    });
    windows.max()
}

/// The longest history of disks that rules ask for, in milliseconds.
pub(super) fn history_ms<'a>(rules: impl Iterator<Item = &'a Definition>) -> Option<i64> {
    let trends = rules.flat_map(|rule| &rule.conditions).filter_map(|condition| match condition {
        Condition::FullWithin(trend) => Some(trend.history_ms),
        _ => None,
    });
    trends.max()
}

/// Returns the family whose disks or interfaces a rule judges individually.
pub(super) fn series_family(definition: &Definition) -> Option<Family> {
    definition.conditions.iter().find_map(Condition::series_family)
}

impl Sight {
    /// Determines whether so many agents lack data that Pika itself must be at fault.
    pub(super) fn find_stall(&mut self) {
        let online: Vec<&WatchedAgent> = self.agents.iter().filter(|agent| agent.online).collect();
        let is_mute = |agent: &&&WatchedAgent| {
            agent.newest_at.is_none_or(|newest_at| STALLED_MS < self.now - newest_at)
        };
        let n_mute = online.iter().filter(is_mute).count();
        self.is_stalled = STALLED_AGENTS_MIN <= online.len() && online.len() < 2 * n_mute;
    }

    /// What a rule judges. `is_known` says of a disk or interface without samples whether it was judged before.
    pub(super) fn targets(&self, rule: &Rule, is_known: impl Fn(i32, i32) -> bool) -> Vec<Target<'_>> {
        let of_fleet = |name: String| Target { agent: None, series: None, name, channel: None };
        match rule.definition.conditions.first() {
            Some(Condition::FleetOutage { .. }) => return vec![of_fleet(FLEET.to_owned())],
            Some(Condition::TagOutage { .. }) => {
                let tags = self.tags(rule).into_iter();
                return tags.map(|tag| of_fleet(format!("{TAG_PREFIX}{tag}"))).collect();
            }
            Some(Condition::System { check: SystemCheck::ChannelFailing, .. }) => {
                let channels = self.health.iter().flat_map(|health| &health.channels);
                let target = |channel: &'_ ChannelHealth| of_fleet(channel_target(channel.id));
                return channels
                    .map(|channel| Target { channel: Some(&channel.name), ..target(channel) })
                    .collect();
            }
            // It is over when it is noticed.
            Some(Condition::System { check: SystemCheck::DatabaseAway, .. }) => return Vec::new(),
            Some(Condition::System { check, .. }) => {
                return vec![of_fleet(system_target(*check))];
            }
            _ => {}
        }
        let in_scope =
            |agent: &&WatchedAgent| !agent.is_revoked && rule.definition.scope.has(agent.id, &agent.tags);
        let agents = self.agents.iter().filter(in_scope);
        let Some(family) = series_family(&rule.definition) else {
            let of_agent = |agent| Target { agent: Some(agent), ..of_fleet(String::new()) };
            return agents.map(of_agent).collect();
        };
        let by_agent = self.series.get(&family);
        let has_samples = |series: &WatchedSeries| {
            let mut windows = self.windows.iter().filter(|((of, _), _)| *of == family);
            let is_read = windows.any(|(_, read)| {
                read.as_ref().is_some_and(|(_, rows)| rows.contains_key(&(series.agent, series.key)))
            });
            is_read || (family == Family::Disk && self.histories.contains_key(&series.key))
        };
        agents
            .flat_map(|agent| {
                let series = by_agent.and_then(|by_agent| by_agent.get(&agent.key)).into_iter().flatten();
                series.map(move |series| (agent, series))
            })
            .filter(|(_, series)| rule.definition.series.has(&series.name, &series.fs_type))
            .filter(|(agent, series)| has_samples(series) || is_known(agent.key, series.key))
            .map(|(agent, series)| Target {
                agent: Some(agent),
                series: Some(series),
                ..of_fleet(String::new())
            })
            .collect()
    }

    /// Returns the tags with enough agents in a rule's scope.
    pub(super) fn tags(&self, rule: &Rule) -> BTreeSet<String> {
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        for agent in self.agents.iter().filter(|agent| rule.definition.scope.has(agent.id, &agent.tags)) {
            for tag in &agent.tags {
                *counts.entry(tag).or_default() += 1;
            }
        }
        counts.into_iter().filter(|(_, n)| TAG_AGENTS_MIN <= *n).map(|(tag, _)| tag.clone()).collect()
    }

    /// Judges a rule for a target.
    pub(super) fn verdict(&self, rule: &Rule, target: &Target<'_>) -> Verdict {
        let definition = &rule.definition;
        let found: Vec<(&Condition, Found)> = definition
            .conditions
            .iter()
            .map(|condition| (condition, self.find(condition, definition.min_coverage_percent, target)))
            .collect();
        let mut levels = [None; 3];
        for severity in definition.levels() {
            let outcomes = found.iter().map(|(condition, found)| outcome(condition, *found, severity));
            levels[severity.index()] = Some(all(outcomes));
        }
        let value = found.first().and_then(|(_, found)| match found {
            Found::Value(value) => Some(*value),
            #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
            Found::Count(count, _) => Some(*count as f64),
            _ => None,
        });
        let reason = found.iter().find_map(|(_, found)| match found {
            Found::Unknown(reason) => Some(*reason),
            _ => None,
        });
        let is_unknown = levels.contains(&Some(Outcome::Unknown));
        Verdict {
            levels,
            value: value.or_else(|| self.n_away(target)),
            reason: reason.filter(|_| is_unknown),
            observed_ms: self.observed_ms(definition, target),
        }
    }

    /// Returns how many agents of an outage are offline.
    fn n_away(&self, target: &Target<'_>) -> Option<f64> {
        let (outage, _) = self.outages.get(&target.name)?;
        let members = &outage.as_ref()?.members;
        let is_away = |agent: &&WatchedAgent| !agent.online && members.contains(&agent.key);
        u32::try_from(self.agents.iter().filter(is_away).count()).ok().map(f64::from)
    }

    /// An offline agent has been so since it was last heard, as far as the fleet was watched.
    fn observed_ms(&self, definition: &Definition, target: &Target<'_>) -> i64 {
        match (&definition.conditions[..], target.agent) {
            ([Condition::Offline { .. }], Some(agent)) => {
                (self.now - agent.last_seen_at.max(self.observed_from)).max(0)
            }
            _ => 0,
        }
    }

    fn find(&self, condition: &Condition, min_coverage_percent: i64, target: &Target<'_>) -> Found {
        if let Condition::FleetOutage { .. } | Condition::TagOutage { .. } = condition {
            return match self.outages.get(&target.name) {
                Some((_, outcome)) if self.is_settled => Found::Outcome(*outcome),
                Some(_) => Found::Unknown(Reason::Settling),
                None => Found::Outcome(Outcome::Clear),
            };
        }
        if let Condition::System { check, .. } = condition {
            return self.find_health(*check, target);
        }
        let Some(agent) = target.agent else {
            return Found::Outcome(Outcome::Clear);
        };
        let is = |holds: bool| Found::Outcome(if holds { Outcome::Holds } else { Outcome::Clear });
        match condition {
            Condition::Offline { .. } if agent.online => is(false),
            Condition::Offline { .. } if self.is_settled => is(true),
            Condition::Offline { .. } => Found::Unknown(Reason::Settling),
            Condition::NoData { stale_ms, .. } => self.find_no_data(agent, *stale_ms),
            Condition::ClockOffset { .. } if !agent.online => Found::Unknown(Reason::Offline),
            #[expect(clippy::cast_precision_loss, reason = "milliseconds far below 2^52")]
            Condition::ClockOffset { .. } => Found::Value(agent.clock_offset_ms.saturating_abs() as f64),
            Condition::Gap { min_samples, .. } => {
                count(self.gaps.get(&agent.key).copied().unwrap_or(0), *min_samples)
            }
            Condition::Restarted { times, window_ms, .. } => {
                let lately = self.restarts.get(&agent.key).into_iter().flatten();
                let lately = lately.filter(|at| self.now - window_ms < **at && **at <= self.now).count();
                count(i64::try_from(lately).unwrap_or(i64::MAX), *times)
            }
            Condition::IdentityConflict { .. } => {
                is(agent.identity_conflict_at.is_some_and(|at| self.now - at < CONFLICT_MS))
            }
            Condition::Metric(metric) => self.find_value(metric, min_coverage_percent, agent, target),
            Condition::MissingSeries { .. } => self.find_missing(condition, agent, target),
            Condition::FullWithin(trend) => self.find_trend(trend.history_ms, agent, target),
            Condition::FleetOutage { .. } | Condition::TagOutage { .. } | Condition::System { .. } => {
                is(false)
            }
        }
    }

    /// How Pika itself is.
    fn find_health(&self, check: SystemCheck, target: &Target<'_>) -> Found {
        let is = |holds: bool| Found::Outcome(if holds { Outcome::Holds } else { Outcome::Clear });
        let Some(health) = &self.health else {
            return Found::Unknown(Reason::NoData);
        };
        match check {
            SystemCheck::ChannelFailing => {
                let mut failing = health.channels.iter().filter(|channel| channel.is_failing);
                is(failing.any(|channel| channel_target(channel.id) == target.name))
            }
            SystemCheck::DatabaseJobs => is(0 < health.unhealthy_jobs),
            SystemCheck::EvaluationSlow => is(self.is_slow),
            SystemCheck::DatabaseAway => is(false),
            // Nobody could have done it while nobody was there.
            SystemCheck::Maintenance => {
                let since = health.maintained_at.unwrap_or(0).max(self.observed_from);
                is(MAINTENANCE_MS < self.now - since)
            }
            // Agents take a while to come back.
            SystemCheck::IngestStalled if !self.is_settled => Found::Unknown(Reason::Settling),
            SystemCheck::IngestStalled => is(self.is_stalled),
        }
    }

    fn find_no_data(&self, agent: &WatchedAgent, stale_ms: i64) -> Found {
        let is_fresh = agent.newest_at.is_some_and(|newest_at| self.now - newest_at <= stale_ms);
        if is_fresh {
            Found::Outcome(Outcome::Clear)
        } else if !agent.online {
            Found::Unknown(Reason::Offline)
        } else if !self.is_settled {
            Found::Unknown(Reason::Settling)
        } else if self.is_stalled {
            Found::Unknown(Reason::IngestStalled)
        } else {
            Found::Outcome(Outcome::Holds)
        }
    }

    /// Returns whether a disk or interface is no longer reported, while others of the agent are.
    fn find_missing(&self, condition: &Condition, agent: &WatchedAgent, target: &Target<'_>) -> Found {
        if !agent.online {
            return Found::Unknown(Reason::Offline);
        }
        let Some(family) = condition.series_family() else {
            return Found::Unknown(Reason::NoData);
        };
        let Some(Some((_, rows))) = self.windows.get(&(family, condition.window_ms())) else {
            return Found::Unknown(Reason::EvaluationFailed);
        };
        let age_ms = |series| rows.get(&(agent.key, series)).map(|reading| self.now - reading.window.newest);
        let Some(age) = age_ms(target.series_key()) else {
            return Found::Unknown(Reason::NoData);
        };
        let own = self.series.get(&family).and_then(|by_agent| by_agent.get(&agent.key));
        let newest = own.into_iter().flatten().filter_map(|series| age_ms(series.key)).min();
        match newest {
            _ if age <= MISSING_MS => Found::Outcome(Outcome::Clear),
            // The others are as old: the agent is gone, or its data are late.
            Some(newest) if newest <= MISSING_MS => Found::Outcome(Outcome::Holds),
            _ => Found::Unknown(Reason::NoData),
        }
    }

    /// Returns in how many days a disk will be full.
    fn find_trend(&self, history_ms: i64, agent: &WatchedAgent, target: &Target<'_>) -> Found {
        if !agent.online {
            return Found::Unknown(Reason::Offline);
        }
        let Some(history) = self.histories.get(&target.series_key()) else {
            return Found::Unknown(Reason::NoData);
        };
        let start = start_of(self.now, history_ms);
        let points = history.points.iter().filter(|(at, _)| start <= *at).copied().collect();
        let is_stale = history.points.last().is_none_or(|(newest, _)| STALE_TREND_MS < self.now - newest);
        match (History { points, ..*history }).days_left() {
            Some(days) if !is_stale => Found::Value(days),
            Some(_) => Found::Unknown(Reason::Stale),
            None => Found::Unknown(Reason::LowCoverage),
        }
    }

    /// When the disk of a rule about trends will be full, where there is an end in sight.
    pub(super) fn full_at(&self, definition: &Definition, target: &Target<'_>) -> Option<TimestampMs> {
        let history_ms = history_ms(std::iter::once(definition))?;
        let Found::Value(days) = self.find_trend(history_ms, target.agent?, target) else {
            return None;
        };
        let (newest, _) = self.histories.get(&target.series_key())?.points.last()?;
        #[expect(clippy::cast_possible_truncation, reason = "saturates, as it should")]
        (days < DAYS_MAX).then(|| newest.saturating_add((days * MS_PER_DAY).round() as i64))
    }

    fn find_value(
        &self,
        condition: &MetricCondition,
        min_coverage_percent: i64,
        agent: &WatchedAgent,
        target: &Target<'_>,
    ) -> Found {
        if !agent.online {
            return Found::Unknown(Reason::Offline);
        }
        let Some(measure) = condition.measure() else {
            return Found::Unknown(Reason::NoData);
        };
        let inputs: Result<Vec<f64>, Reason> = measure
            .inputs(condition.function)
            .map(|input| self.find_input(input, condition.window_ms, min_coverage_percent, agent, target))
            .collect();
        match inputs.map(|inputs| measure.value(&inputs)) {
            Ok(Some(value)) if value.is_finite() => Found::Value(value),
            Ok(_) => Found::Unknown(Reason::NoData),
            Err(reason) => Found::Unknown(reason),
        }
    }

    /// Returns the value of one metric in a window, or why it is not known.
    fn find_input(
        &self,
        (family, metric, function): (Family, &Metric, Function),
        window_ms: i64,
        min_coverage_percent: i64,
        agent: &WatchedAgent,
        target: &Target<'_>,
    ) -> Result<f64, Reason> {
        let read = self.windows.get(&(family, window_ms)).and_then(Option::as_ref);
        let (query, rows) = read.ok_or(Reason::EvaluationFailed)?;
        let series = if family.series_column().is_some() { target.series_key() } else { 0 };
        let reading = rows.get(&(agent.key, series)).ok_or(Reason::NoData)?;
        let interval_ms = self.intervals.of(family, agent.key);
        if let Some(reason) = reading.window.insufficiency(interval_ms, min_coverage_percent) {
            return Err(reason);
        }
        let position = query.position(metric.name, function);
        position.and_then(|position| reading.values.get(position).copied().flatten()).ok_or(Reason::NoData)
    }

    /// Returns how much of its window the samples of a rule's first metric cover, in percent.
    pub(super) fn coverage_percent(&self, definition: &Definition, target: &Target<'_>) -> Option<i64> {
        let condition = definition.conditions.iter().find_map(|condition| match condition {
            Condition::Metric(metric) => Some(metric),
            _ => None,
        })?;
        let family = condition.measure()?.family;
        let (_, rows) = self.windows.get(&(family, condition.window_ms))?.as_ref()?;
        let series = if family.series_column().is_some() { target.series_key() } else { 0 };
        let agent = target.agent_key()?;
        let window = rows.get(&(agent, series))?.window;
        let interval_ms = self.intervals.of(family, agent).or_else(|| window.interval_ms())?;
        Some(window.coverage_percent(interval_ms))
    }
}

/// Returns whether something has happened often enough.
fn count(n: i64, min: i64) -> Found {
    Found::Count(n, if min <= n { Outcome::Holds } else { Outcome::Clear })
}

/// Returns the outcome for a severity.
fn outcome(condition: &Condition, found: Found, severity: Severity) -> Outcome {
    match found {
        Found::Outcome(outcome) | Found::Count(_, outcome) => outcome,
        Found::Unknown(_) => Outcome::Unknown,
        Found::Value(value) => match condition.levels().and_then(|levels| levels.at(severity)) {
            Some(threshold) => condition.operator().outcome(value, threshold),
            None => Outcome::Unknown,
        },
    }
}

/// Returns the unit of a rule's value, as named in the API.
pub fn unit(definition: &Definition) -> &'static str {
    match definition.conditions.first() {
        Some(Condition::Metric(metric)) => metric.measure().map_or("", |measure| measure.unit.name()),
        Some(Condition::FullWithin(_)) => "days",
        Some(Condition::ClockOffset { .. }) => "milliseconds",
        Some(Condition::FleetOutage { .. } | Condition::TagOutage { .. }) => "agents",
        _ => "",
    }
}
