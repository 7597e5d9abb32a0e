//! Graphics processors.

use super::{Bounds, SeriesNames};
use crate::limits::{GPUS_PER_SAMPLE_MAX, NAME_CHARS_MAX};

family! {
    /// One graphics processor. One that sleeps is not woken: it reports only that.
    GpuMetrics, GpuNumbers in "gpu_metrics";
    series "gpu_key" named by SeriesNames::Shared, at most GPUS_PER_SAMPLE_MAX => {
        /// The address on the PCI bus; identifies it within its agent.
        bus "bus" => name, NAME_CHARS_MAX;
        /// The name of the model; empty if unknown.
        model "model" => model, NAME_CHARS_MAX;
        /// `amd`, `intel` or `nvidia`.
        vendor "vendor" => vendor, NAME_CHARS_MAX;
    }
    required {}
    optional {
        /// Memory used, in bytes.
        memory_used_bytes "memoryUsedBytes" => memory_used_bytes: i64, Bounds::NotNegative;
        /// Total memory, in bytes.
        memory_total_bytes "memoryTotalBytes" => memory_total_bytes: i64, Bounds::NotNegative;
        /// The clock of the processor, in hertz.
        clock_hertz "clockHertz" => clock_hertz: i64, Bounds::NotNegative;
        /// 1 if it sleeps, otherwise 0.
        is_asleep "isAsleep" => is_asleep: i32, Bounds::UpTo(1);
        /// Percent of the time that it was busy (0–100).
        usage_percent "usagePercent" => usage_percent: f32, Bounds::Percent;
        /// Memory used, in percent (0–100).
        memory_percent "memoryPercent" => memory_percent: f32, Bounds::Percent;
        /// The temperature, in degrees Celsius.
        temperature_celsius "temperatureCelsius" => temperature_celsius: f32, Bounds::Between(-100, 200);
        /// The power, in watts.
        power_watts "powerWatts" => power_watts: f32, Bounds::NotNegative;
        /// The speed of the fan, in percent of its maximum (0–100).
        fan_percent "fanPercent" => fan_percent: f32, Bounds::Percent;
    }
    family "gpu" {
        gauge "usagePercent" = usage_percent, Percent;
        gauge "memoryPercent" = memory_percent, Percent;
        level "memoryUsedBytes" = memory_used_bytes, Bytes;
        level "memoryTotalBytes" = memory_total_bytes, Bytes;
        gauge "temperatureCelsius" = temperature_celsius, Celsius;
        gauge "powerWatts" = power_watts, Watts;
        gauge "fanPercent" = fan_percent, Percent;
        gauge "clockHertz" = clock_hertz, Hertz;
        level "isAsleep" = is_asleep, Boolean;
    }
}
