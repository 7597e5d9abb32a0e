//! Reads the past of agents for a back-test.

use std::collections::{BTreeSet, HashMap};

use super::super::judge::{GAP_MS, history_ms, restarts_ms, series_family};
use super::super::replay::queries_of;
use super::request::BacktestRequest;
use super::resolution::Resolution;
use crate::domain::TimestampMs;
use crate::domain::alert::condition::Condition;
use crate::domain::alert::past::AgentPast;
use crate::domain::alert::reading::{WatchedAgent, WatchedSeries};
use crate::domain::alert::rule::Rule;
use crate::domain::tier::{HOUR_MS, Tier};
use crate::store::{AlertConnection, Error, PastSpan};

/// What a back-test is about.
pub(super) struct Subjects {
    /// The agents, by name.
    pub(super) agents: Vec<WatchedAgent>,
    /// Their disks or interfaces, if the rule judges these.
    pub(super) series: HashMap<i32, Vec<WatchedSeries>>,
    /// When no server evaluated rules.
    pub(super) blind_spots: Vec<(TimestampMs, TimestampMs)>,
}

impl Subjects {
    /// Finds the agents that are in a rule's scope at present.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub(super) async fn read(
        connection: &mut AlertConnection,
        request: &BacktestRequest,
    ) -> Result<Self, Error> {
        let BacktestRequest { rule, start, end, agent_ids } = request;
        let evaluation = connection.past().await?;
        let mut agents = evaluation.agents().await?;
        agents.retain(|agent| {
            let is_wanted = agent_ids.is_empty() || agent_ids.contains(&agent.id);
            is_wanted && !agent.is_revoked && rule.definition.scope.has(agent.id, &agent.tags)
        });
        agents.sort_by(|one, other| one.name.cmp(&other.name));
        let mut series: HashMap<i32, Vec<WatchedSeries>> = HashMap::new();
        if let Some(family) = series_family(&rule.definition) {
            let keys: BTreeSet<i32> = agents.iter().map(|agent| agent.key).collect();
            let all = evaluation.series(family).await?;
            for one in all.into_iter().filter(|one| keys.contains(&one.agent)) {
                series.entry(one.agent).or_default().push(one);
            }
        }
        let blind_spots = evaluation.blind_spots(*start, *end).await?;
        Ok(Self { agents, series, blind_spots })
    }

    /// Returns the number of agents, or of their disks or interfaces.
    pub(super) fn n_series(&self) -> usize {
        self.series.values().map(Vec::len).sum::<usize>().max(self.agents.len())
    }
}

/// Reads the past of agents, for a rule.
pub(super) struct Reader {
    pub(super) rule: Rule,
    pub(super) start: TimestampMs,
    pub(super) end: TimestampMs,
    pub(super) resolution: Resolution,
}

impl Reader {
    /// Reads the past of some agents, in their order.
    ///
    /// # Errors
    /// If it takes too long, or the database is unavailable.
    pub(super) async fn read(
        &self,
        connection: &mut AlertConnection,
        agents: &[WatchedAgent],
    ) -> Result<Vec<AgentPast>, Error> {
        let evaluation = connection.past().await?;
        let keys: Vec<i32> = agents.iter().map(|agent| agent.key).collect();
        let Self { rule, start, end, resolution } = self;
        let bucket_ms = resolution.bucket_ms;
        let before_ms = restarts_ms(std::iter::once(&rule.definition)).unwrap_or(0);
        let mut presence = evaluation.past_presence(&keys, start - before_ms, *end).await?;
        let has_gaps = rule.definition.conditions.iter().any(|one| matches!(one, Condition::Gap { .. }));
        let mut gaps = match has_gaps {
            true => evaluation.past_gaps(&keys, start - GAP_MS, *end).await?,
            false => HashMap::new(),
        };
        let mut free_space = match history_ms(std::iter::once(&rule.definition)) {
            Some(history_ms) => evaluation.past_free_space(&keys, start - history_ms - HOUR_MS, *end).await?,
            None => HashMap::new(),
        };
        let mut pasts: Vec<AgentPast> = keys
            .iter()
            .map(|key| AgentPast {
                presence: presence.remove(key).unwrap_or_default(),
                gaps: gaps.remove(key).unwrap_or_default(),
                free_space: free_space.remove(key).unwrap_or_default(),
                points: Vec::new(),
            })
            .collect();
        for query in queries_of(rule) {
            // The first window begins before the span.
            let start = (start - query.window_ms).div_euclid(bucket_ms) * bucket_ms;
            let tier = resolution.tier.unwrap_or(Tier::Raw);
            let span = PastSpan { start, end: *end, tier, bucket_ms };
            let mut points = evaluation.past_points(&query, &keys, span).await?;
            for (past, key) in pasts.iter_mut().zip(&keys) {
                past.points.push(points.remove(key).unwrap_or_default());
            }
        }
        Ok(pasts)
    }
}
