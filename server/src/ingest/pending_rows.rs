//! Bounds the rows of all agents that are ingested but not committed yet.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The rows of all agents that are ingested but not committed yet: those of frames being processed, and those in queue,
/// batcher and writer.
#[derive(Debug)]
pub(super) struct PendingRows {
    room: Arc<Semaphore>,
    rows_max: u32,
}

impl PendingRows {
    pub(super) fn new(rows_max: u32) -> Self {
        Self { room: Arc::new(Semaphore::new(rows_max.try_into().unwrap_or(usize::MAX))), rows_max }
    }

    /// Number of rows that are ingested but not committed yet.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.rows_max).unwrap_or(usize::MAX).saturating_sub(self.room.available_permits())
    }

    /// Waits for room for this many rows; first come, first served. Dropping the permit returns the room. A frame with
    /// more rows than the limit takes all the room. Returns `None` if ingestion has stopped.
    pub(super) async fn room(&self, n_rows: usize) -> Option<OwnedSemaphorePermit> {
        let n_rows = u32::try_from(n_rows).unwrap_or(u32::MAX).min(self.rows_max);
        Arc::clone(&self.room).acquire_many_owned(n_rows).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn room_goes_to_the_longest_waiting_and_is_returned() {
        let pending_rows = PendingRows::new(100);
        let first = pending_rows.room(60).await.unwrap();
        assert_eq!(pending_rows.count(), 60);
        let mut large = pin!(pending_rows.room(60));
        let mut small = pin!(pending_rows.room(10));
        assert!(poll!(large.as_mut()).is_pending());
        assert!(poll!(small.as_mut()).is_pending(), "or the large one would wait for ever");
        drop(first);
        let large = large.await;
        drop((large, small.await));
        assert_eq!(pending_rows.count(), 0);

        let all = pending_rows.room(101).await;
        assert_eq!(
            pending_rows.count(),
            100,
            "one that is larger than all the room waits until it has all of it"
        );
        drop(all);
    }
}
