//! Reads what rules need of the fleet, for evaluations and dry runs.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use pika_shared::chain;

use super::judge::{FLEET, GAP_MS, Sight, TAG_PREFIX, history_ms, queries, restarts_ms, series_family};
use crate::domain::alert::condition::Condition;
use crate::domain::alert::outage::{Measure, Presence, judge};
use crate::domain::alert::reading::WatchedSeries;
use crate::domain::alert::rule::Rule;
use crate::domain::alert::settings::AlertSettings;
use crate::domain::alert::trend::start_of;
use crate::domain::alert::verdict::Outcome;
use crate::domain::family::Family;
use crate::store::{AlertClock, Error, Evaluation};
use crate::telemetry::Instruments;

/// Reads what rules need, up to `sight.now`. Returns whether everything could be read.
pub(super) async fn look(
    evaluation: &mut Evaluation<'_>,
    sight: &mut Sight,
    rules: &[&Rule],
    instruments: &Instruments,
) -> Result<bool, Error> {
    let now = sight.now;
    sight.agents = evaluation.agents().await?;
    let conditions = || rules.iter().flat_map(|rule| &rule.definition.conditions);
    if conditions().any(|condition| matches!(condition, Condition::Gap { .. })) {
        sight.gaps = evaluation.gaps(now - GAP_MS, now).await?;
    }
    if let Some(window_ms) = restarts_ms(rules.iter().map(|rule| &rule.definition)) {
        sight.restarts = evaluation.restarts(now - window_ms, now).await?;
    }
    if conditions().any(|condition| matches!(condition, Condition::System { .. })) {
        sight.health = Some(evaluation.health().await?);
    }
    for family in rules.iter().filter_map(|rule| series_family(&rule.definition)) {
        if let Entry::Vacant(place) = sight.series.entry(family) {
            let mut by_agent: HashMap<i32, Vec<WatchedSeries>> = HashMap::new();
            for series in evaluation.series(family).await? {
                by_agent.entry(series.agent).or_default().push(series);
            }
            place.insert(by_agent);
        }
    }
    let mut is_complete = true;
    let mut miss = |error: &Error, family: Family, window_ms: i64| {
        is_complete = false;
        instruments.add_rule_failure();
        tracing::warn!(error = %chain(error), family = family.name(), window_ms, "a window could not be read in time");
    };
    if let Some(history_ms) = history_ms(rules.iter().map(|rule| &rule.definition)) {
        match evaluation.disk_histories(start_of(now, history_ms)).await {
            Ok(histories) => sight.histories = histories,
            Err(error @ Error::TimedOut(_)) => miss(&error, Family::Disk, history_ms),
            Err(error) => return Err(error),
        }
    }
    for query in queries(rules.iter().copied()) {
        let place = (query.family, query.window_ms);
        match evaluation.read(&query, now).await {
            Ok(rows) => {
                for ((agent, _), reading) in &rows {
                    sight.intervals.add(query.family, *agent, &reading.window);
                }
                sight.windows.insert(place, Some((query, rows)));
            }
            Err(error @ Error::TimedOut(_)) => {
                miss(&error, query.family, query.window_ms);
                sight.windows.insert(place, None);
            }
            Err(error) => return Err(error),
        }
    }
    sight.find_stall();
    Ok(is_complete)
}

/// Returns whether a rule is about outages.
pub(super) fn is_of_outages(rule: &Rule) -> bool {
    let first = rule.definition.conditions.first();
    matches!(first, Some(Condition::FleetOutage { .. } | Condition::TagOutage { .. }))
}

/// Finds agents that have left together, among all and among those with each tag.
pub(super) fn find_outages(
    sight: &mut Sight,
    rules: &[&Rule],
    settings: &AlertSettings,
    clock: &mut AlertClock,
) {
    let number = |value: i32| usize::try_from(value).unwrap_or(0);
    let min = number(settings.fleet_min);
    let mut targets: Vec<(String, &Rule, Measure)> = Vec::new();
    for rule in rules {
        if matches!(rule.definition.conditions.first(), Some(Condition::FleetOutage { .. })) {
            let measure = Measure { min, percent: number(settings.fleet_percent) };
            targets.push((FLEET.to_owned(), rule, measure));
        } else {
            let measure = Measure { min, percent: number(settings.tag_percent) };
            let tags = sight.tags(rule).into_iter();
            targets.extend(tags.map(|tag| (format!("{TAG_PREFIX}{tag}"), *rule, measure)));
        }
    }
    let mut found = BTreeMap::new();
    for (target, rule, measure) in targets {
        let tag = target.strip_prefix(TAG_PREFIX);
        let agents: Vec<Presence> = sight
            .agents
            .iter()
            .filter(|agent| !agent.is_revoked && rule.definition.scope.has(agent.id, &agent.tags))
            .filter(|agent| tag.is_none_or(|tag| agent.tags.iter().any(|own| own == tag)))
            .map(|agent| Presence {
                agent: agent.key,
                online: agent.online,
                last_seen_at: agent.last_seen_at,
            })
            .collect();
        let running = clock.outages.get(&target);
        // Agents gone before the watch began have not left just now.
        let (outage, outcome) = if running.is_none() && !sight.is_settled {
            (None, Outcome::Clear)
        } else {
            judge(running, &agents, measure, sight.now)
        };
        if let Some(outage) = &outage {
            clock.outages.insert(target.clone(), outage.clone());
        }
        found.insert(target, (outage, outcome));
    }
    sight.outages = found;
}
