//! Why an alert is withheld: it follows from another one, is silenced, or cannot be judged.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::judge::{FLEET, TAG_PREFIX};
use crate::domain::TimestampMs;
use crate::domain::alert::condition::Condition;
use crate::domain::alert::outage::Outage;
use crate::domain::alert::reading::WatchedAgent;
use crate::domain::alert::reconcile::Withheld;
use crate::domain::alert::rule::Rule;
use crate::domain::alert::silence::{Silence, SilenceKind};
use crate::store::OpenAlert;

/// How long an identity conflict explains that an agent comes and goes, in milliseconds.
const CONFLICT_MS: i64 = 3_600_000;

/// Everything that may cause alerts to be withheld.
pub(super) struct Surroundings<'a> {
    pub(super) now: TimestampMs,
    pub(super) rules: HashMap<Uuid, &'a Rule>,
    pub(super) agents: HashMap<i32, &'a WatchedAgent>,
    /// The active silences.
    pub(super) silences: Vec<&'a Silence>,
    /// Outages that are pending or fire.
    pub(super) outages: &'a BTreeMap<String, Outage>,
    /// When alerts fired or were reopened.
    pub(super) changed_at: HashMap<Uuid, TimestampMs>,
    /// The firing alerts, by rule, agent and target.
    firing: HashMap<Uuid, Vec<&'a OpenAlert>>,
    /// The firing offline alerts of agents.
    offline: HashMap<i32, Uuid>,
    /// The firing alerts of outages.
    outage_alerts: BTreeMap<&'a str, Uuid>,
}

impl<'a> Surroundings<'a> {
    pub(super) fn new(
        now: TimestampMs,
        rules: &'a [Rule],
        agents: &'a [WatchedAgent],
        silences: &'a [Silence],
        outages: &'a BTreeMap<String, Outage>,
        changed_at: HashMap<Uuid, TimestampMs>,
        alerts: &'a [OpenAlert],
    ) -> Self {
        let rules: HashMap<Uuid, &Rule> = rules.iter().map(|rule| (rule.id, rule)).collect();
        let mut this = Self {
            now,
            agents: agents.iter().map(|agent| (agent.key, agent)).collect(),
            silences: silences.iter().filter(|silence| silence.is_active(now)).collect(),
            outages,
            changed_at,
            firing: HashMap::new(),
            offline: HashMap::new(),
            outage_alerts: BTreeMap::new(),
            rules,
        };
        for alert in alerts.iter().filter(|alert| alert.fires) {
            let Some(rule) = alert.rule_id.and_then(|id| this.rules.get(&id)) else { continue };
            this.firing.entry(rule.id).or_default().push(alert);
            match (first_kind(rule), alert.agent_key) {
                (Some(Condition::Offline { .. }), Some(agent)) => {
                    this.offline.insert(agent, alert.id);
                }
                (Some(Condition::FleetOutage { .. } | Condition::TagOutage { .. }), None) => {
                    this.outage_alerts.insert(&alert.target, alert.id);
                }
                _ => {}
            }
        }
        this
    }

    /// Returns why a firing alert is withheld, and the alert that inhibits it.
    pub(super) fn reason(&self, alert: &OpenAlert) -> Option<(Withheld, Option<Uuid>)> {
        let rule = alert.rule_id.and_then(|id| self.rules.get(&id)).copied();
        if let Some(inhibitor) = self.inhibitor(alert, rule) {
            return Some((Withheld::Inhibited, inhibitor));
        }
        if let Some(silence) = self.silence(alert) {
            return Some((silence.kind.withholds_as(), None));
        }
        if alert.snoozed_until.is_some_and(|until| self.now < until) {
            return Some((Withheld::Snoozed, None));
        }
        let cooldown_ms = rule.map_or(0, |rule| rule.definition.cooldown_ms);
        let changed_at = self.changed_at.get(&alert.id).copied();
        // A flapping alert is reported once, as such.
        let is_back = 1 < alert.occurrences && !alert.flapping;
        if is_back && changed_at.is_some_and(|at| self.now - at < cooldown_ms) {
            return Some((Withheld::Cooldown, None));
        }
        (alert.data_state != "fresh").then_some((Withheld::Settling, None))
    }

    /// Returns whether a silence also suppresses the end of an alert.
    pub(super) fn is_quiet(&self, alert: &OpenAlert) -> bool {
        self.silence(alert).is_some_and(|silence| silence.kind == SilenceKind::Quiet)
    }

    /// Returns the silence of an alert, the most specific first.
    fn silence(&self, alert: &OpenAlert) -> Option<&Silence> {
        let agent = alert.agent_key.and_then(|key| self.agents.get(&key));
        let agent = agent.map(|agent| (agent.id, agent.tags.as_slice()));
        let mut matching =
            self.silences.iter().filter(|silence| silence.withholds(alert.rule_id, agent, alert.severity));
        matching.next().copied()
    }

    /// Returns whether an alert follows from another one, and that alert, if it fires already.
    fn inhibitor(&self, alert: &OpenAlert, rule: Option<&Rule>) -> Option<Option<Uuid>> {
        let rule = rule?;
        let by_dependency = rule.definition.depends_on.iter().find_map(|id| {
            let others = self.firing.get(id)?.iter();
            others.filter(|other| other.id != alert.id).find(|other| self.stands_before(other, alert))
        });
        if let Some(other) = by_dependency {
            return Some(Some(other.id));
        }
        let Some(agent) = alert.agent_key.and_then(|key| self.agents.get(&key)) else {
            return self.outage_before_tag(alert);
        };
        match first_kind(rule) {
            Some(Condition::IdentityConflict { .. }) => None,
            Some(Condition::Offline { .. }) => {
                let has_conflict = agent.identity_conflict_at.is_some_and(|at| self.now - at < CONFLICT_MS);
                let outage = self.outages.iter().find(|(_, outage)| outage.members.contains(&agent.key));
                match outage {
                    Some((target, _)) => Some(self.outage_alerts.get(target.as_str()).copied()),
                    None => has_conflict.then_some(None),
                }
            }
            Some(Condition::Restarted { .. })
                if agent.identity_conflict_at.is_some_and(|at| self.now - at < CONFLICT_MS) =>
            {
                Some(None)
            }
            _ => (!agent.online).then(|| self.offline.get(&agent.key).copied()),
        }
    }

    /// A tag outage follows from a fleet outage.
    fn outage_before_tag(&self, alert: &OpenAlert) -> Option<Option<Uuid>> {
        let is_of_tag = alert.target.starts_with(TAG_PREFIX) && self.outages.contains_key(FLEET);
        is_of_tag.then(|| self.outage_alerts.get(FLEET).copied())
    }

    /// Returns whether an alert of a rule depended on is about the same agent, one of its tags, or the fleet.
    fn stands_before(&self, other: &OpenAlert, alert: &OpenAlert) -> bool {
        if other.agent_key.is_some() {
            return other.agent_key == alert.agent_key;
        }
        let tag = other.target.strip_prefix(TAG_PREFIX);
        let agent = alert.agent_key.and_then(|key| self.agents.get(&key));
        let has_tag = |tag: &str| agent.is_some_and(|agent| agent.tags.iter().any(|own| own == tag));
        other.target == FLEET || tag.is_some_and(has_tag) || other.target == alert.target
    }
}

fn first_kind(rule: &Rule) -> Option<&Condition> {
    rule.definition.conditions.first()
}
