//! Caches recent answers about the fleet, since it is often viewed by many at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;

use crate::domain::fleet::{FleetMetric, FleetScope, RankBy};
use crate::domain::id::AgentId;
use crate::domain::time_range::TimeRange;
use crate::store;

/// How long an answer is reused for everybody who views the same list.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Maximum size of all cached answers, in bytes.
const KEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The parameters of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FleetQuestion {
    pub(super) about: FleetSubject,
    pub(super) metric: FleetMetric,
    pub(super) range: TimeRange,
    pub(super) scope: FleetScope,
}

/// What is asked of a metric of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FleetSubject {
    /// A line for each agent.
    Sparklines,
    /// One line for all.
    Totals,
    /// The agents with the most.
    Ranking(RankBy, usize),
}

/// Recent answers.
#[derive(Clone, Debug)]
pub struct FleetCache(Cache<FleetQuestion, Bytes>);

impl Default for FleetCache {
    fn default() -> Self {
        let bytes = |question: &FleetQuestion, answer: &Bytes| {
            let scope = match &question.scope {
                FleetScope::All => 0,
                FleetScope::Agents(agents) => size_of::<AgentId>() * agents.len(),
                FleetScope::Tag(tag) => tag.len(),
            };
            u32::try_from(size_of::<FleetQuestion>() + scope + answer.len()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(KEPT_BYTES_MAX).weigher(bytes).time_to_live(KEPT_FOR).build())
    }
}

impl FleetCache {
    /// Returns the answer to a request, from the cache or from `reading`. Concurrent requests for the same answer share
    /// one read.
    ///
    /// # Errors
    /// The error of `reading`, which is not cached.
    pub(super) async fn answer(
        &self,
        question: &FleetQuestion,
        reading: impl Future<Output = Result<Bytes, store::Error>>,
    ) -> Result<Bytes, Arc<store::Error>> {
        self.0.try_get_with_by_ref(question, reading).await
    }
}
