//! Sensors: temperatures, fans, power and batteries.

use super::{Bounds, SeriesNames};
use crate::limits::{NAME_CHARS_MAX, SENSORS_PER_SAMPLE_MAX};

/// Temperatures outside this range are faults, in degrees Celsius.
const CELSIUS: Bounds = Bounds::Between(-100, 200);

family! {
    /// The value of one sensor: of the quantity that it measures; the others are absent.
    SensorMetrics, SensorNumbers in "sensor_metrics", rolled up from Hour;
    series "sensor_key" named by SeriesNames::Shared, at most SENSORS_PER_SAMPLE_MAX => {
        /// The chip and the sensor's name; identifies it within its agent.
        sensor "sensor" => name, NAME_CHARS_MAX;
        /// `temperature`, `fan`, `power` or `battery`.
        kind "kind" => kind, NAME_CHARS_MAX;
        /// The chip.
        chip "chip" => chip, NAME_CHARS_MAX;
    }
    required {}
    optional {
        /// The temperature, in degrees Celsius.
        temperature_celsius "temperatureCelsius" => temperature_celsius: f32, CELSIUS;
        /// The temperature in percent of the sensor's own critical limit.
        critical_percent "criticalPercent" => critical_percent: f32, Bounds::UpTo(1_000);
        /// The speed of the fan, in revolutions per minute.
        fan_rpm "fanRpm" => fan_rpm: i32, Bounds::NotNegative;
        /// The power, in watts.
        power_watts "powerWatts" => power_watts: f32, Bounds::NotNegative;
        /// The charge of the battery, in percent (0–100).
        charge_percent "chargePercent" => charge_percent: f32, Bounds::Percent;
    }
    family "temperature" {
        gauge "temperatureCelsius" = temperature_celsius, Celsius;
        gauge "criticalPercent" = critical_percent, Percent;
    }
    family "fan" {
        gauge "fanRpm" = fan_rpm, RevolutionsPerMinute;
    }
    family "power" {
        gauge "powerWatts" = power_watts, Watts;
    }
    family "battery" {
        level "chargePercent" = charge_percent, Percent;
    }
}
