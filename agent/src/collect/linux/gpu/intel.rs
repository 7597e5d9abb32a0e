//! Values of Intel's drivers, i915 and xe: how long the engines were idle, and the energy that was used.

use std::path::{Path, PathBuf};

use pika_protocol::GpuMetrics;

use super::super::attribute;
use super::sensors;
use crate::collect::delta::{Series, Width};
use crate::collect::number::{clamp_percent, finite};

/// What the driver counts: milliseconds idle and microjoules.
#[derive(Debug)]
pub(super) struct Counters(Series<1>);

impl Default for Counters {
    fn default() -> Counters {
        // Milliseconds overflow after 49 days, microjoules after an hour or so.
        Counters(Series::new([Width::Bits32]))
    }
}

impl Counters {
    /// Returns how much was counted in a millisecond.
    fn rate(&mut self, name: &str, uptime_ms: i64, value: u64) -> Option<f64> {
        let moved = self.0.advance(name, uptime_ms, [Some(value)]);
        let (amount, interval_ms) = (moved.amounts[0]?, moved.interval_ms?);
        Some(amount as f64 / interval_ms as f64)
    }
}

/// Reads what the driver shows, below the card's directory.
pub(super) fn read(card: &Path, counters: &mut Counters, uptime_ms: i64, metrics: &mut GpuMetrics) {
    let mut busiest: Option<f64> = None;
    let mut fastest: Option<i64> = None;
    for graphics in graphics(card) {
        fastest = fastest.max(graphics.megahertz);
        if let Some((file, idle_ms)) = graphics.idle_ms {
            let idle = counters.rate(&file, uptime_ms, idle_ms);
            busiest = idle.map(|idle| 1.0 - idle).into_iter().chain(busiest).reduce(f64::max);
        }
    }
    metrics.usage_percent = busiest.and_then(|busy| clamp_percent(busy * 100.0));
    metrics.clock_hertz = fastest.map(|megahertz| megahertz.saturating_mul(1_000_000));
    let Some(sensors) = sensors(&card.join("device")) else {
        return;
    };
    let celsius = attribute::number::<f64>(&sensors.join("temp1_input")).map(|value| value / 1_000.0);
    metrics.temperature_celsius = celsius.filter(|celsius| (0.0..150.0).contains(celsius)).and_then(finite);
    metrics.power_watts = attribute::number(&sensors.join("energy1_input"))
        .and_then(|energy| counters.rate("energy", uptime_ms, energy))
        // Microjoules a millisecond are milliwatts.
        .and_then(|milliwatts| finite(milliwatts / 1_000.0));
    counters.0.forget_others(uptime_ms);
}

/// A group of engines that fall asleep together.
struct Graphics {
    /// The file, and the milliseconds that the group slept since the driver was loaded.
    idle_ms: Option<(String, u64)>,
    megahertz: Option<i64>,
}

/// Returns the groups: those of i915 are below the card, those of xe below the tiles of the device.
fn graphics(card: &Path) -> Vec<Graphics> {
    let below = |dir: &Path, prefix: &str| -> Vec<PathBuf> {
        let entries = attribute::entries(dir).into_iter().filter(|entry| entry.starts_with(prefix));
        entries.map(|entry| dir.join(entry)).collect()
    };
    let group = |dir: &Path, idle: &str, megahertz: &str| {
        let file = dir.join(idle);
        let number = attribute::number(&file).map(|idle_ms| (file.display().to_string(), idle_ms));
        let megahertz = attribute::number(&dir.join(megahertz)).filter(|value| 0 <= *value);
        Graphics { idle_ms: number, megahertz }
    };
    let mut groups = Vec::new();
    for dir in below(&card.join("gt"), "gt") {
        let mut found = group(&dir, "rc6_residency_ms", "rps_act_freq_mhz");
        // Where they may not sleep, they seem to be always busy.
        if attribute::number::<u8>(&dir.join("rc6_enable")) == Some(0) {
            found.idle_ms = None;
        }
        groups.push(found);
    }
    for tile in below(&card.join("device"), "tile") {
        let dirs = below(&tile, "gt").into_iter();
        groups.extend(dirs.map(|dir| group(&dir, "gtidle/idle_residency_ms", "freq0/act_freq")));
    }
    groups
}
