//! Computes the traffic between two readings of counters that may be reset in between.
//!
//! - A counter that grew: the difference. After a restart of the agent the previous reading comes from the spool.
//! - A counter that shrank was reset and started from zero: its value.
//! - After a boot all counters started from zero: their values, over the time since boot.
//! - A new interface: no delta, because its counter may be years old.

use std::collections::BTreeMap;

use pika_protocol::NetworkMetrics;
use pika_protocol::limits::NETWORKS_PER_SAMPLE_MAX;
use serde::{Deserialize, Serialize};

use crate::collect::number::signed;

/// Maximum number of remembered interfaces. Removed ones are kept, because they tend to come back, but a machine that
/// keeps creating new names must not make the agent grow.
const INTERFACES_MAX: usize = 2 * NETWORKS_PER_SAMPLE_MAX;

/// One interface's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counters {
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) receive_errors: u64,
    pub(crate) send_errors: u64,
}

/// The previous reading of every interface. Stored with each sample, so that the next run continues from exactly the
/// last stored sample: no traffic is missed or counted twice.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct NetworkBaseline {
    /// The boot that the counters belong to; empty if unknown.
    #[serde(default)]
    boot_id: String,
    /// By interface: bytes received, bytes sent, receive errors, send errors, and the milliseconds from boot to the
    /// reading.
    interfaces: BTreeMap<String, (u64, u64, u64, u64, i64)>,
}

impl NetworkBaseline {
    /// Returns the baseline for this run, given that of the previous run.
    pub(crate) fn resume(previous: Option<NetworkBaseline>, boot_id: Option<&str>) -> NetworkBaseline {
        let fresh = NetworkBaseline { boot_id: boot_id.unwrap_or_default().to_owned(), ..Self::default() };
        match previous {
            // It is unknown whether the machine was booted, so the counters cannot be interpreted.
            Some(previous) if previous.boot_id.is_empty() || fresh.boot_id.is_empty() => fresh,
            Some(previous) if previous.boot_id == fresh.boot_id => previous,
            Some(previous) => {
                let zeros = previous.interfaces.into_keys().map(|name| (name, (0, 0, 0, 0, 0)));
                NetworkBaseline { interfaces: zeros.collect(), ..fresh }
            }
            None => fresh,
        }
    }

    /// Returns the metrics of a new reading, which becomes the baseline. `uptime_ms` is the time since boot.
    pub(crate) fn advance(
        &mut self,
        uptime_ms: i64,
        reading: &BTreeMap<String, Counters>,
    ) -> Vec<NetworkMetrics> {
        let mut metrics = Vec::with_capacity(reading.len());
        for (name, current) in reading {
            let entry = (
                current.received_bytes,
                current.sent_bytes,
                current.receive_errors,
                current.send_errors,
                uptime_ms,
            );
            let previous = self.interfaces.insert(name.clone(), entry);
            let delta = |current, of: fn((u64, u64, u64, u64, i64)) -> u64| {
                previous.map(|previous| signed(counter_delta(of(previous), current)))
            };
            metrics.push(NetworkMetrics {
                interface: name.clone(),
                received_bytes_total: signed(current.received_bytes),
                sent_bytes_total: signed(current.sent_bytes),
                received_bytes_delta: delta(current.received_bytes, |previous| previous.0),
                sent_bytes_delta: delta(current.sent_bytes, |previous| previous.1),
                interval_ms: previous.map(|previous| uptime_ms - previous.4).filter(|&interval| 0 < interval),
                receive_errors_delta: delta(current.receive_errors, |previous| previous.2),
                send_errors_delta: delta(current.send_errors, |previous| previous.3),
            });
        }
        if INTERFACES_MAX < self.interfaces.len() {
            self.interfaces.retain(|name, _| reading.contains_key(name));
        }
        metrics
    }
}

/// Returns what a counter counted between two readings.
fn counter_delta(previous: u64, current: u64) -> u64 {
    current.checked_sub(previous).unwrap_or(current)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reading(name: &str, received: u64, sent: u64) -> BTreeMap<String, Counters> {
        let counters =
            Counters { received_bytes: received, sent_bytes: sent, receive_errors: 1, send_errors: 2 };
        BTreeMap::from([(name.to_owned(), counters)])
    }

    fn restart(baseline: &NetworkBaseline, boot_id: &str) -> NetworkBaseline {
        // As restored from the spool.
        let text = serde_json::to_string(baseline).unwrap();
        NetworkBaseline::resume(Some(serde_json::from_str(&text).unwrap()), Some(boot_id))
    }

    #[test]
    fn the_first_reading_ever_has_no_delta() {
        let mut baseline = NetworkBaseline::resume(None, Some("a"));
        let metrics = baseline.advance(1_000, &reading("eth0", 500, 50));
        assert_eq!((metrics[0].received_bytes_total, metrics[0].received_bytes_delta), (500, None));
        assert_eq!((metrics[0].interval_ms, metrics[0].receive_errors_delta), (None, None));
        let metrics = baseline.advance(6_000, &reading("eth0", 700, 50));
        assert_eq!((metrics[0].received_bytes_delta, metrics[0].sent_bytes_delta), (Some(200), Some(0)));
        assert_eq!((metrics[0].interval_ms, metrics[0].send_errors_delta), (Some(5_000), Some(0)));
    }

    #[test]
    fn a_restart_of_the_agent_goes_on_where_it_ended() {
        let mut baseline = NetworkBaseline::resume(None, Some("a"));
        baseline.advance(1_000, &reading("eth0", 500, 50));
        let metrics = restart(&baseline, "a").advance(61_000, &reading("eth0", 900, 60));
        assert_eq!((metrics[0].received_bytes_delta, metrics[0].interval_ms), (Some(400), Some(60_000)));
    }

    #[test]
    fn after_a_boot_everything_since_the_boot_counts() {
        let mut baseline = NetworkBaseline::resume(None, Some("a"));
        baseline.advance(1_000_000, &reading("eth0", 500, 50));
        // Already more than before the boot; a difference would be wrong.
        let metrics = restart(&baseline, "b").advance(20_000, &reading("eth0", 900, 60));
        assert_eq!((metrics[0].received_bytes_delta, metrics[0].interval_ms), (Some(900), Some(20_000)));
    }

    #[test]
    fn without_boot_ids_a_restart_begins_anew() {
        let mut baseline = NetworkBaseline::resume(None, None);
        baseline.advance(1_000, &reading("eth0", 500, 50));
        let metrics = NetworkBaseline::resume(Some(baseline), None).advance(2_000, &reading("eth0", 900, 60));
        assert_eq!(metrics[0].received_bytes_delta, None);
    }

    #[test]
    fn an_interface_that_comes_back_is_compared_with_when_it_went() {
        let mut baseline = NetworkBaseline::resume(None, Some("a"));
        baseline.advance(1_000, &reading("ppp0", 500, 50));
        baseline.advance(2_000, &BTreeMap::new());
        let metrics = baseline.advance(9_000, &reading("ppp0", 30, 3));
        assert_eq!((metrics[0].received_bytes_delta, metrics[0].interval_ms), (Some(30), Some(8_000)));
    }

    #[test]
    fn memory_stays_bounded() {
        let mut baseline = NetworkBaseline::resume(None, Some("a"));
        for number in 0..10_000 {
            baseline.advance(number, &reading(&format!("tun{number}"), 1, 1));
        }
        assert!(baseline.interfaces.len() <= INTERFACES_MAX);
    }

    proptest! {
        /// Whatever happens between readings, the deltas add up to the traffic since the first one: resets and boots
        /// lose only the traffic after the last reading before them.
        #[test]
        fn deltas_add_up(steps in proptest::collection::vec((0u64..1 << 40, 0u64..1 << 40, 0..4u8), 1..50)) {
            let mut counter = 12_345;
            let mut boot = 0;
            let mut uptime_ms = 1_000_000;
            let mut baseline = NetworkBaseline::resume(None, Some("0"));
            baseline.advance(uptime_ms, &reading("eth0", counter, 0));
            for (unseen, moved, event) in steps {
                uptime_ms += 5_000;
                let expected = match event {
                    // Nothing special, or a restart of the agent: everything counts.
                    0 => { counter += unseen + moved; unseen + moved }
                    1 => { counter += unseen + moved; baseline = restart(&baseline, &boot.to_string()); unseen + moved }
                    // The driver resets the counter. What it counts afterwards is only known to be new when it
                    // is less than before, so keep it below.
                    2 => { let after = moved.min(counter.saturating_sub(1)); counter = after; after }
                    _ => { boot += 1; uptime_ms = 60_000; counter = moved; baseline = restart(&baseline, &boot.to_string()); moved }
                };
                let metrics = baseline.advance(uptime_ms, &reading("eth0", counter, 0));
                prop_assert_eq!(metrics[0].received_bytes_delta, Some(signed(expected)));
                prop_assert!(metrics[0].interval_ms.is_some_and(|interval| 0 < interval));
            }
        }

        /// Deltas are never negative and never more than the counter itself shows.
        #[test]
        fn a_delta_is_within_the_counter(previous: u64, current: u64) {
            let delta = counter_delta(previous, current);
            prop_assert!(delta <= current);
            prop_assert!(current < previous || delta == current - previous);
        }
    }
}
