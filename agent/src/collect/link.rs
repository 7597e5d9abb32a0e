//! Network interfaces: packets since the previous sample, and state.

use pika_protocol::LinkMetrics;
use pika_protocol::limits::NAME_CHARS_MAX;

use super::delta::{Series, Width};
use super::platform::LinkSource;
use super::{CollectError, Collector, Roots, Tick};
use crate::config::NetworkConfig;
use crate::glob;

/// An interface, its state, and its counters since boot.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) master: String,
    pub(super) has_default_route: bool,
    pub(super) speed_bits_per_second: Option<i64>,
    pub(super) is_up: Option<bool>,
    pub(super) is_full_duplex: Option<bool>,
    /// Packets received and sent, received and not sent because dropped, received by multicast; changes of the carrier.
    pub(super) counters: [Option<u64>; 6],
}

/// The collector.
pub(super) struct Link {
    config: NetworkConfig,
    source: LinkSource,
    series: Series<6>,
}

impl Link {
    pub(super) fn new(roots: &Roots, config: NetworkConfig) -> Link {
        Link { config, source: LinkSource::new(roots), series: Series::new([Width::Full; 6]) }
    }
}

impl Collector for Link {
    type Output = Vec<LinkMetrics>;

    /// Returns one entry for each interface that the family `network` reports, ordered by name.
    fn collect(&mut self, tick: Tick) -> Result<Vec<LinkMetrics>, CollectError> {
        let NetworkConfig { include_interfaces, exclude_interfaces } = &self.config;
        let is_selected = |name: &str| {
            (1..=NAME_CHARS_MAX).contains(&name.chars().count())
                && glob::is_selected(name, include_interfaces, exclude_interfaces)
        };
        let mut metrics = Vec::new();
        for interface in self.source.read(is_selected)? {
            let moved = self.series.advance(&interface.name, tick.uptime_ms, interface.counters);
            let [
                received_packets,
                sent_packets,
                receive_drops,
                send_drops,
                received_multicast,
                carrier_changes,
            ] = moved.amounts;
            metrics.push(LinkMetrics {
                interface: interface.name,
                kind: interface.kind.to_owned(),
                master: interface.master.chars().take(NAME_CHARS_MAX).collect(),
                has_default_route: interface.has_default_route.to_string(),
                interval_ms: moved.interval_ms,
                received_packets,
                sent_packets,
                receive_drops,
                send_drops,
                received_multicast,
                carrier_changes,
                speed_bits_per_second: interface.speed_bits_per_second,
                is_up: interface.is_up.map(i32::from),
                full_duplex: interface.is_full_duplex.map(i32::from),
            });
        }
        self.series.forget_others(tick.uptime_ms);
        metrics.sort_unstable_by(|left, right| left.interface.cmp(&right.interface));
        Ok(metrics)
    }
}
