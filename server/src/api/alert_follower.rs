//! Follows the changes of alerts for one watcher. Any server may have evaluated them, so they are read from the database; all
//! watchers share one read.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pika_shared::{Clock, chain};
use tokio::time::Instant;
use uuid::Uuid;

use super::changed_alerts_cache::{ChangedAlerts, ChangedAlertsCache};
use super::fleet_event::FleetEvent;
use crate::domain::TimestampMs;
use crate::store::{ChangedAlert, Error, Store};

/// How often changes are read. A multiple of how long a read is shared.
const INTERVAL: Duration = Duration::from_secs(5);
/// How far back changes are read, in milliseconds: a change has the time at which its transaction began, by the clock of the
/// server that made it.
const LOOK_BACK_MS: i64 = 120_000;
/// Maximum changes that are sent individually; after more, lists should be read again.
const CHANGES_MAX: i64 = 1_000;

/// Follows the changes of alerts.
pub(super) struct AlertFollower {
    store: Store,
    clock: Clock,
    cache: ChangedAlertsCache,
    /// When changes are read next.
    read_at: Instant,
    /// The time up to which changes are known.
    known_until: TimestampMs,
    /// The changes that were sent, or had been made before.
    known: HashMap<Uuid, ChangedAlert>,
    unsent: VecDeque<FleetEvent>,
}

impl AlertFollower {
    /// Starts following. Changes of the last few seconds may be included.
    ///
    /// # Errors
    /// If the database is unavailable.
    pub(super) async fn start(
        store: Store,
        clock: Clock,
        cache: ChangedAlertsCache,
    ) -> Result<Self, Arc<Error>> {
        let (read_at, known_until) = (Instant::now(), clock.now());
        let (known, unsent) = (HashMap::new(), VecDeque::new());
        let mut follower = Self { store, clock, cache, read_at, known_until, known, unsent };
        let changed = follower.read().await?;
        follower.known = by_id(&changed.alerts);
        follower.known_until = changed.at;
        follower.read_at = changed.read_at + INTERVAL;
        Ok(follower)
    }

    async fn read(&self) -> Result<ChangedAlerts, Arc<Error>> {
        let now = self.clock.now();
        self.cache.read(now, self.store.changed_alerts(now - LOOK_BACK_MS, CHANGES_MAX)).await
    }

    /// Returns the next change of an alert that `is_wanted`. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self, is_wanted: impl Fn(&ChangedAlert) -> bool) -> FleetEvent {
        loop {
            if let Some(event) = self.unsent.pop_front() {
                return event;
            }
            tokio::time::sleep_until(self.read_at).await;
            match self.read().await {
                Ok(changed) => {
                    let since = changed.at - LOOK_BACK_MS;
                    self.unsent = changes(&mut self.known, &changed.alerts, since, &is_wanted);
                    // The database was unavailable for longer than changes are read back.
                    if self.known_until < changed.at - LOOK_BACK_MS / 2 {
                        self.unsent = VecDeque::from([FleetEvent::resync()]);
                    }
                    self.known_until = changed.at;
                    self.read_at = changed.read_at + INTERVAL;
                }
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "changes of alerts will be sent later");
                    self.read_at = Instant::now() + INTERVAL;
                }
            }
        }
    }
}

fn by_id(changed: &[ChangedAlert]) -> HashMap<Uuid, ChangedAlert> {
    changed.iter().map(|alert| (alert.id, *alert)).collect()
}

/// Returns the changes since the last read, the oldest first.
fn changes(
    known: &mut HashMap<Uuid, ChangedAlert>,
    changed: &[ChangedAlert],
    since: TimestampMs,
    is_wanted: impl Fn(&ChangedAlert) -> bool,
) -> VecDeque<FleetEvent> {
    let is_all = i64::try_from(changed.len()).is_ok_and(|count| count < CHANGES_MAX);
    let mut events = VecDeque::new();
    for alert in changed.iter().rev().filter(|alert| is_wanted(alert)) {
        let change = match known.get(&alert.id) {
            Some(before) if before.version == alert.version => continue,
            _ if !alert.fires => "ended",
            Some(before) if before.fires => "changed",
            None if alert.fired_at < since => "changed",
            _ => "fired",
        };
        events.push_back(FleetEvent::alert(alert.id, change));
    }
    *known = by_id(changed);
    if is_all { events } else { VecDeque::from([FleetEvent::resync()]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(id: u128, version: i32, fires: bool, fired_at: TimestampMs) -> ChangedAlert {
        ChangedAlert { id: Uuid::from_u128(id), version, agent_id: None, fires, fired_at }
    }

    #[test]
    fn each_change_is_sent_once() {
        let mut known = HashMap::new();
        let mut sent = |changed: &[ChangedAlert]| -> Vec<(u128, String)> {
            let events = changes(&mut known, changed, 1_000, |alert| alert.id != Uuid::from_u128(9));
            let sent = events.into_iter().map(|event| event.alert_change().unwrap());
            sent.map(|(id, change)| (id.as_u128(), change)).collect()
        };
        let event = |id, change: &str| (id, change.to_owned());
        // The second fired long ago and was acknowledged, and the ninth is not wanted.
        let first = vec![alert(9, 1, true, 1_500), alert(2, 4, true, 10), alert(1, 2, true, 1_500)];
        assert_eq!(sent(&first), [event(1, "fired"), event(2, "changed")]);
        assert_eq!(sent(&first), []);
        assert_eq!(
            sent(&[alert(1, 3, true, 1_500), alert(2, 5, false, 10)]),
            [event(2, "ended"), event(1, "changed")]
        );
        // It was reopened.
        assert_eq!(sent(&[alert(2, 6, true, 10)]), [event(2, "fired")]);
    }

    #[test]
    fn too_many_changes_are_a_reason_to_read_again() {
        let changed: Vec<_> = (0..1_000).map(|id| alert(id, 1, true, 2_000)).collect();
        let events = changes(&mut HashMap::new(), &changed, 1_000, |_| true);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].alert_change(), None);
    }
}
