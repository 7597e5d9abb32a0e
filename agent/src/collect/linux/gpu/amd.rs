//! Values of AMD's driver, below the device's directory.

use std::path::Path;

use pika_protocol::GpuMetrics;

use super::super::attribute;
use super::sensors;
use crate::collect::number::{clamp_percent, finite};

/// Reads what the driver shows; while the device falls asleep, reading fails.
pub(super) fn read(device: &Path, metrics: &mut GpuMetrics) {
    let number = |file: &str| attribute::number::<i64>(&device.join(file)).filter(|value| 0 <= *value);
    metrics.usage_percent = attribute::number(&device.join("gpu_busy_percent")).and_then(clamp_percent);
    metrics.memory_used_bytes = number("mem_info_vram_used");
    metrics.memory_total_bytes = number("mem_info_vram_total");
    let Some(sensors) = sensors(device) else {
        return;
    };
    let value = |file: &str| attribute::number::<f64>(&sensors.join(file)).filter(|value| 0.0 <= *value);
    metrics.temperature_celsius =
        value("temp1_input").map(|value| value / 1_000.0).filter(|celsius| *celsius < 150.0).and_then(finite);
    metrics.power_watts =
        value("power1_average").or_else(|| value("power1_input")).and_then(|value| finite(value / 1e6));
    metrics.clock_hertz = attribute::number(&sensors.join("freq1_input")).filter(|hertz| 0 <= *hertz);
    let share = |of: &str, max: f64| Some(value(of)? / max * 100.0);
    let by_speed = value("fan1_max").filter(|max| 0.0 < *max).and_then(|max| share("fan1_input", max));
    metrics.fan_percent = by_speed.or_else(|| share("pwm1", 255.0)).and_then(clamp_percent);
}
