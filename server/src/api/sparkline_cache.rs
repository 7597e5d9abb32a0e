//! Sparklines that were asked for lately: a list of the fleet is looked at by many at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;
use uuid::Uuid;

use crate::domain::fleet::FleetMetric;
use crate::domain::time_range::TimeRange;
use crate::store;

/// How long an answer is good for: everybody who looks at the same list in that time gets the same one.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Bytes of answers that are kept.
const KEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SparklinesQuestion {
    pub(super) metric: FleetMetric,
    pub(super) range: TimeRange,
    /// In order, each once.
    pub(super) agents: Vec<Uuid>,
}

/// Answers that were given lately.
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
    /// The answer to a question: one that is kept, or what `reading` gives. Who asks for one that is being read waits for it.
    ///
    /// # Errors
    /// That of `reading`; the next one who asks reads again.
    pub(super) async fn answer(
        &self,
        question: &SparklinesQuestion,
        reading: impl Future<Output = Result<Bytes, store::Error>>,
    ) -> Result<Bytes, Arc<store::Error>> {
        self.0.try_get_with_by_ref(question, reading).await
    }
}
