//! Block devices: what was read and written since the previous sample.

use pika_protocol::DiskIoMetrics;
use pika_protocol::limits::NAME_CHARS_MAX;

use super::block::BlockDevices;
use crate::collect::delta::{Series, Width};
use crate::collect::{CollectError, Collector, Setup, Tick};
use crate::config::DiskIoConfig;
use crate::glob;

/// The widths of [`Device::counters`]: the kernel's milliseconds have 32 bits.
const WIDTHS: [Width; 9] = [
    Width::Full,
    Width::Full,
    Width::Full,
    Width::Full,
    Width::Full,
    Width::Bits32,
    Width::Bits32,
    Width::Bits32,
    Width::Bits32,
];

/// A device and its counters since boot.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) model: String,
    pub(super) media: &'static str,
    /// Bytes read and written; reads, writes and flushes completed; and in milliseconds, the time of reads and writes,
    /// with anything under way, and of all requests together.
    pub(super) counters: [Option<u64>; 9],
}

/// The kind of devices whose amounts can be added up.
pub(super) const PHYSICAL: &str = "physical";

/// The collector.
pub(in crate::collect) struct DiskIo {
    config: DiskIoConfig,
    source: BlockDevices,
    series: Series<9>,
}

impl DiskIo {
    pub(in crate::collect) fn new(setup: &Setup<'_>) -> DiskIo {
        let config = setup.config.disk_io.clone();
        DiskIo { config, source: BlockDevices::new(setup.roots), series: Series::new(WIDTHS) }
    }
}

impl Collector for DiskIo {
    type Output = Vec<DiskIoMetrics>;

    /// Returns one entry per device, physical ones first.
    fn collect(&mut self, tick: Tick) -> Result<Vec<DiskIoMetrics>, CollectError> {
        let DiskIoConfig { include_devices, exclude_devices } = &self.config;
        let mut devices =
            self.source.read(|name| glob::is_selected(name, include_devices, exclude_devices))?;
        devices.retain(|device| device.name.chars().count() <= NAME_CHARS_MAX);
        devices.sort_by_key(|device| device.kind != PHYSICAL);
        let metrics = devices.into_iter().map(|device| {
            let moved = self.series.advance(&device.name, tick.uptime_ms, device.counters);
            let [read_bytes, written_bytes, reads, writes, flushes, read_ms, write_ms, busy_ms, queued_ms] =
                moved.amounts;
            DiskIoMetrics {
                device: device.name,
                kind: device.kind.to_owned(),
                model: device.model,
                media: device.media.to_owned(),
                interval_ms: moved.interval_ms,
                read_bytes,
                written_bytes,
                reads,
                writes,
                flushes,
                read_ms,
                write_ms,
                busy_ms,
                queued_ms,
            }
        });
        let metrics = metrics.collect();
        self.series.forget_others(tick.uptime_ms);
        Ok(metrics)
    }
}
