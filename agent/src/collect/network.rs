//! Network interfaces: the kernel's counters, and the traffic since the previous sample.

pub(crate) mod delta;

use pika_protocol::NetworkMetrics;
use pika_protocol::limits::PATH_CHARS_MAX;

pub use self::delta::NetworkBaseline;
use super::platform::NetworkSource;
use super::{CollectError, Collector, Roots, Tick};
use crate::config::NetworkConfig;
use crate::glob;

/// The network collector.
pub(super) struct Network {
    config: NetworkConfig,
    source: NetworkSource,
    baseline: NetworkBaseline,
}

impl Network {
    /// `baseline` is the last reading of a previous run, if any.
    pub(super) fn new(
        roots: &Roots,
        config: NetworkConfig,
        boot_id: Option<&str>,
        baseline: Option<NetworkBaseline>,
    ) -> Network {
        let baseline = NetworkBaseline::resume(baseline, boot_id);
        Network { config, source: NetworkSource::new(roots), baseline }
    }

    /// Returns the reading that the next run compares with.
    pub(super) fn baseline(&self) -> &NetworkBaseline {
        &self.baseline
    }
}

impl Collector for Network {
    type Output = Vec<NetworkMetrics>;

    /// Returns one entry per interface, ordered by name.
    fn collect(&mut self, tick: Tick) -> Result<Vec<NetworkMetrics>, CollectError> {
        let NetworkConfig { include_interfaces, exclude_interfaces } = &self.config;
        let mut counters = self.source.read()?;
        counters.retain(|name, _| {
            (1..=PATH_CHARS_MAX).contains(&name.chars().count())
                && glob::is_selected(name, include_interfaces, exclude_interfaces)
        });
        Ok(self.baseline.advance(tick.uptime_ms, &counters))
    }
}
