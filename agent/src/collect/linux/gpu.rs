//! Graphics processors, from files of their drivers: AMD and Intel. NVIDIA's tell nothing without their library, which the
//! agent does not load; they come from readings.
//!
//! A graphics processor that sleeps is not woken up: its power state is read first, and nothing else unless it is
//! awake.

mod amd;
mod intel;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pika_protocol::GpuMetrics;

use super::attribute;
use super::readings::SharedReadings;
use crate::collect::number::{float, percent};
use crate::collect::{CollectError, Collector, Roots, Tick};

/// How many samples to wait after a graphics processor woke up: at first it shows values that are not true.
const SAMPLES_AFTER_WAKING: u8 = 2;

/// The collector of graphics processors.
pub(in crate::collect) struct Gpu {
    /// `/sys/class/drm`
    class: PathBuf,
    readings: SharedReadings,
    /// What is remembered of each, by its address on the bus.
    cards: BTreeMap<String, Card>,
}

/// What is remembered of a graphics processor between two samples.
#[derive(Debug, Default)]
struct Card {
    /// Samples to wait until its values are true.
    wait: u8,
    intel: intel::Counters,
}

impl Gpu {
    pub(in crate::collect) fn new(roots: &Roots, readings: SharedReadings) -> Gpu {
        Gpu { class: roots.sys.join("class/drm"), readings, cards: BTreeMap::new() }
    }

    /// Returns one of the machine's graphics processors; `None` if it is no PCI device, or its driver tells nothing.
    fn card(&mut self, card: &str, tick: Tick) -> Option<GpuMetrics> {
        let dir = self.class.join(card);
        let device = dir.join("device");
        let bus = attribute::target_name(&device)?;
        let vendor = attribute::text(&device.join("vendor"))?;
        let mut metrics = GpuMetrics {
            vendor: match vendor.as_str() {
                "0x1002" => "amd",
                "0x8086" => "intel",
                "0x10de" => "nvidia",
                _ => return None,
            }
            .to_owned(),
            model: model(&device, &vendor),
            bus: attribute::label(&bus),
            ..GpuMetrics::default()
        };
        let card = self.cards.entry(bus).or_default();
        if !attribute::is_awake(&device) {
            *card = Card { wait: SAMPLES_AFTER_WAKING, ..Card::default() };
            metrics.is_asleep = Some(1);
            return Some(metrics);
        }
        metrics.is_asleep = Some(0);
        if 0 < card.wait {
            card.wait -= 1;
            return Some(metrics);
        }
        match metrics.vendor.as_str() {
            "amd" => amd::read(&device, &mut metrics),
            "intel" => intel::read(&dir, &mut card.intel, tick.uptime_ms, &mut metrics),
            _ => return None,
        }
        metrics.memory_percent = metrics
            .memory_used_bytes
            .zip(metrics.memory_total_bytes)
            .filter(|(_, total)| 0 < *total)
            .map(|(used, total)| percent(float(used.unsigned_abs()), float(total.unsigned_abs())));
        Some(metrics)
    }
}

impl Collector for Gpu {
    type Output = Vec<GpuMetrics>;

    /// Returns one entry per graphics processor. May block.
    fn collect(&mut self, tick: Tick) -> Result<Vec<GpuMetrics>, CollectError> {
        // `card0-DP-1` is a connector.
        let is_card = |entry: &String| entry.starts_with("card") && !entry.contains('-');
        let cards: Vec<String> = attribute::entries(&self.class).into_iter().filter(is_card).collect();
        let mut gpus: Vec<GpuMetrics> = Vec::new();
        for card in &cards {
            if let Some(gpu) =
                self.card(card, tick).filter(|gpu| gpus.iter().all(|other| other.bus != gpu.bus))
            {
                gpus.push(gpu);
            }
        }
        for given in &self.readings.at(tick).gpus {
            match gpus.iter_mut().find(|gpu| gpu.bus == given.bus) {
                // It may have fallen asleep since the reading.
                Some(gpu) if gpu.is_asleep == Some(1) => {}
                Some(gpu) => *gpu = given.clone(),
                None => gpus.push(given.clone()),
            }
        }
        self.cards.retain(|bus, _| gpus.iter().any(|gpu| gpu.bus == *bus));
        Ok(gpus)
    }
}

/// Returns the name of the product, or else the numbers of vendor and device.
fn model(device: &Path, vendor: &str) -> String {
    attribute::name(&device.join("product_name")).unwrap_or_else(|| {
        let number = attribute::text(&device.join("device")).unwrap_or_default();
        attribute::label(&format!("{}:{}", vendor.trim_start_matches("0x"), number.trim_start_matches("0x")))
    })
}

/// Returns the directory of the driver's sensors.
fn sensors(device: &Path) -> Option<PathBuf> {
    let dir = device.join("hwmon");
    let entry = attribute::entries(&dir).into_iter().next()?;
    Some(dir.join(entry))
}

#[cfg(test)]
mod tests;
