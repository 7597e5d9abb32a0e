//! Notices which alerts change, for one who follows them: by asking the database, because any server may have judged.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use pika_shared::{Clock, chain};
use tokio::time::Instant;
use uuid::Uuid;

use super::fleet_event::FleetEvent;
use crate::domain::TimestampMs;
use crate::store::{ChangedAlert, Error, Store};

/// How often it is asked what has changed.
const INTERVAL: Duration = Duration::from_secs(5);
/// How far back, in milliseconds: what others write counts from when they began, by their clocks.
const LOOK_BACK_MS: i64 = 120_000;
/// Most changes that are told one by one; more are a reason to read the lists again.
const CHANGES_MAX: i64 = 1_000;

/// Notices which alerts change.
pub(super) struct AlertFollower {
    store: Store,
    clock: Clock,
    ask_at: Instant,
    /// When an answer came last.
    asked_at: TimestampMs,
    /// What has been told, or was so before.
    known: HashMap<Uuid, ChangedAlert>,
    untold: VecDeque<FleetEvent>,
}

impl AlertFollower {
    /// Follows from now on.
    ///
    /// # Errors
    /// When the database is away.
    pub(super) async fn start(store: Store, clock: Clock) -> Result<Self, Error> {
        let asked_at = clock.now();
        let changed = store.changed_alerts(asked_at - LOOK_BACK_MS, CHANGES_MAX).await?;
        let known = changed.into_iter().map(|alert| (alert.id, alert)).collect();
        Ok(Self { store, clock, ask_at: Instant::now() + INTERVAL, asked_at, known, untold: VecDeque::new() })
    }

    /// What is to be told next of alerts that `is_wanted`. Nothing is lost where this is given up.
    pub(super) async fn next(&mut self, is_wanted: impl Fn(&ChangedAlert) -> bool) -> FleetEvent {
        loop {
            if let Some(event) = self.untold.pop_front() {
                return event;
            }
            tokio::time::sleep_until(self.ask_at).await;
            let now = self.clock.now();
            let since = now - LOOK_BACK_MS;
            match self.store.changed_alerts(since, CHANGES_MAX).await {
                Ok(changed) => {
                    self.untold = changes(&mut self.known, changed, since, &is_wanted);
                    // Nobody knows what happened while the database did not answer.
                    if self.asked_at < now - LOOK_BACK_MS / 2 {
                        self.untold = VecDeque::from([FleetEvent::resync()]);
                    }
                    self.asked_at = now;
                }
                Err(error) => tracing::debug!(error = %chain(&error), "changes of alerts are told later"),
            }
            self.ask_at = Instant::now() + INTERVAL;
        }
    }
}

/// What has become of alerts since the last look, the oldest first.
fn changes(
    known: &mut HashMap<Uuid, ChangedAlert>,
    changed: Vec<ChangedAlert>,
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
    *known = changed.into_iter().map(|alert| (alert.id, alert)).collect();
    if is_all { events } else { VecDeque::from([FleetEvent::resync()]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(id: u128, version: i32, fires: bool, fired_at: TimestampMs) -> ChangedAlert {
        ChangedAlert { id: Uuid::from_u128(id), version, agent_id: None, fires, fired_at }
    }

    #[test]
    fn each_change_is_told_once() {
        let mut known = HashMap::new();
        let mut told = |changed: Vec<ChangedAlert>| -> Vec<(u128, String)> {
            let events = changes(&mut known, changed, 1_000, |alert| alert.id != Uuid::from_u128(9));
            let told = events.into_iter().map(|event| event.alert_change().unwrap());
            told.map(|(id, change)| (id.as_u128(), change)).collect()
        };
        let said = |id, change: &str| (id, change.to_owned());
        // The second fired long ago and was acknowledged, and nobody wants to hear of the ninth.
        let first = vec![alert(9, 1, true, 1_500), alert(2, 4, true, 10), alert(1, 2, true, 1_500)];
        assert_eq!(told(first.clone()), [said(1, "fired"), said(2, "changed")]);
        assert_eq!(told(first), []);
        assert_eq!(
            told(vec![alert(1, 3, true, 1_500), alert(2, 5, false, 10)]),
            [said(2, "ended"), said(1, "changed")]
        );
        // It is back.
        assert_eq!(told(vec![alert(2, 6, true, 10)]), [said(2, "fired")]);
    }

    #[test]
    fn too_many_changes_are_a_reason_to_read_again() {
        let changed = (0..1_000).map(|id| alert(id, 1, true, 2_000)).collect();
        let events = changes(&mut HashMap::new(), changed, 1_000, |_| true);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].alert_change(), None);
    }
}
