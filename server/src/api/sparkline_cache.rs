//! Caches recent sparklines, since a fleet list is often viewed by many at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;
use uuid::Uuid;

use crate::domain::fleet::FleetMetric;
use crate::domain::time_range::TimeRange;
use crate::store;

/// How long an answer is reused for everybody who views the same list.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Maximum size of all cached answers, in bytes.
const KEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The parameters of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SparklinesQuestion {
    pub(super) metric: FleetMetric,
    pub(super) range: TimeRange,
    /// Sorted, without duplicates.
    pub(super) agents: Vec<Uuid>,
}

/// Recent answers.
#[derive(Clone, Debug)]
pub struct SparklineCache(Cache<SparklinesQuestion, Bytes>);

impl Default for SparklineCache {
    fn default() -> Self {
        let bytes = |question: &SparklinesQuestion, answer: &Bytes| {
            let agents = size_of_val(question.agents.as_slice());
            u32::try_from(size_of::<SparklinesQuestion>() + agents + answer.len()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(KEPT_BYTES_MAX).weigher(bytes).time_to_live(KEPT_FOR).build())
    }
}

impl SparklineCache {
    /// Returns the answer to a request, from the cache or from `reading`. Concurrent requests for the same answer share
    /// one read.
    ///
    /// # Errors
    /// The error of `reading`, which is not cached.
    pub(super) async fn answer(
        &self,
        question: &SparklinesQuestion,
        reading: impl Future<Output = Result<Bytes, store::Error>>,
    ) -> Result<Bytes, Arc<store::Error>> {
        self.0.try_get_with_by_ref(question, reading).await
    }
}
