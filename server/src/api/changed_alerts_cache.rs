//! Caches which alerts have changed lately, so that all who follow alerts share one read.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tokio::time::Instant;

use crate::domain::TimestampMs;
use crate::store::{self, ChangedAlert};

/// How long a read is shared.
const KEPT_FOR: Duration = Duration::from_millis(2_500);

/// The alerts that had changed lately at some time.
#[derive(Clone, Debug)]
pub(super) struct ChangedAlerts {
    /// The alerts, the latest change first.
    pub(super) alerts: Arc<[ChangedAlert]>,
    /// The time up to which changes were read, by the server's clock.
    pub(super) at: TimestampMs,
    /// When they had been read.
    pub(super) read_at: Instant,
}

/// The most recent read. Nothing is read while nobody asks.
#[derive(Clone, Debug)]
pub struct ChangedAlertsCache(Cache<(), ChangedAlerts>);

impl Default for ChangedAlertsCache {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(1).time_to_live(KEPT_FOR).build())
    }
}

impl ChangedAlertsCache {
    /// Returns a read of the last 2.5 s, or else the one that `reading` yields for `at`. Concurrent callers share one.
    ///
    /// # Errors
    /// The error of `reading`, which is not cached.
    pub(super) async fn read(
        &self,
        at: TimestampMs,
        reading: impl Future<Output = Result<Vec<ChangedAlert>, store::Error>>,
    ) -> Result<ChangedAlerts, Arc<store::Error>> {
        let reading = async {
            let alerts = reading.await?.into();
            Ok(ChangedAlerts { alerts, at, read_at: Instant::now() })
        };
        self.0.try_get_with((), reading).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn all_followers_share_one_read() {
        let cache = ChangedAlertsCache::default();
        let reads = AtomicUsize::new(0);
        let follow = || async {
            let reading = async {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(Vec::new())
            };
            cache.read(7, reading).await.unwrap()
        };
        join_all((0..50).map(|_| follow())).await;
        let again = follow().await;
        assert_eq!((reads.into_inner(), again.at), (1, 7));
    }
}
