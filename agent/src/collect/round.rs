//! One round of readings: runs collectors, logs when they begin and cease to fail, and keeps to the limits of a sample.

use std::collections::BTreeSet;
use std::time::Duration;

use pika_shared::chain;
use tokio::time::Instant;
use tracing::{info, warn};

use super::blocking::Blocking;
use super::{CollectError, Collector, Tick};

/// The readings of one sample.
pub(super) struct Round<'a> {
    tick: Tick,
    deadline: Duration,
    until: Instant,
    failing: &'a mut BTreeSet<&'static str>,
}

impl<'a> Round<'a> {
    /// Begins a round. `failing` holds the families that failed last time, and the limits that were exceeded.
    pub(super) fn new(tick: Tick, deadline: Duration, failing: &'a mut BTreeSet<&'static str>) -> Round<'a> {
        Round { tick, deadline, until: Instant::now() + deadline, failing }
    }

    /// Runs a collector, if it is due. Returns `None` if it is not, or fails.
    pub(super) fn read<C: Collector>(
        &mut self,
        family: &'static str,
        collector: Option<&mut C>,
    ) -> Option<C::Output> {
        let result = collector?.collect(self.tick);
        self.note(family, result)
    }

    /// Like [`read`](Self::read), for a collector that may block. All of them share the round's deadline; one that comes
    /// late because of others still has a part of it.
    pub(super) async fn read_blocking<C>(
        &mut self,
        family: &'static str,
        collector: Option<&mut Blocking<C>>,
    ) -> Option<C::Output>
    where
        C: Collector + Send + 'static,
        C::Output: Send + 'static,
    {
        let left = self.until.saturating_duration_since(Instant::now()).max(self.deadline / 4);
        let result = collector?.collect(self.tick, left).await;
        self.note(family, result)
    }

    /// Leaves out what is beyond the limit of a sample.
    pub(super) fn bound<T>(&mut self, what: &'static str, items: &mut Vec<T>, items_max: usize) {
        if items.len() <= items_max {
            // Nothing was read if it was not due.
            if !items.is_empty() {
                self.failing.remove(what);
            }
            return;
        }
        if self.failing.insert(what) {
            warn!(found = items.len(), reported = items_max, "too many {what}; the last ones are left out");
        }
        items.truncate(items_max);
    }

    /// Logs when a family begins to fail and when it works again.
    fn note<T>(&mut self, family: &'static str, result: Result<T, CollectError>) -> Option<T> {
        match result {
            Ok(value) => {
                if self.failing.remove(family) {
                    info!(family, "the {family} collector works again");
                }
                Some(value)
            }
            Err(error) => {
                if self.failing.insert(family) {
                    warn!(family, error = %chain(&error), "the {family} collector fails; samples go on without it");
                }
                None
            }
        }
    }
}
