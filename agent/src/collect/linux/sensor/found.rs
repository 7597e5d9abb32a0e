//! One sensor and its value.

use std::path::PathBuf;

use pika_protocol::SensorMetrics;

use super::super::attribute;
use crate::collect::number::{clamp_percent, finite};

/// Temperatures that a sensor in order can show, in degrees Celsius; others are faults.
const PLAUSIBLE_CELSIUS: std::ops::Range<f64> = -100.0..150.0;

/// Limits of temperature that a device can mean, in degrees Celsius.
const PLAUSIBLE_LIMIT: std::ops::Range<f64> = 20.0..150.0;

/// What a sensor measures, and the files that tell.
#[derive(Clone, Debug)]
pub(super) enum Quantity {
    /// Thousandths of a degree, and the files of its critical limit, the preferred one first.
    Temperature { input: PathBuf, limits: Vec<PathBuf> },
    /// Revolutions per minute.
    Fan { input: PathBuf },
    /// Microwatts.
    Power { input: PathBuf },
    /// Microvolts and microamperes.
    VoltageAndCurrent { voltage: PathBuf, current: PathBuf },
    /// Percent.
    Charge { input: PathBuf },
}

/// A sensor.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The chip and the sensor's name.
    pub(super) name: String,
    pub(super) chip: String,
    /// The device that is asked, in whose directory its power state is.
    pub(super) device: PathBuf,
    pub(super) quantity: Quantity,
    /// A file that says whether the sensor is broken, if there is one.
    pub(super) fault: Option<PathBuf>,
    /// The critical limit in degrees Celsius, once it was looked for.
    pub(super) critical: Option<Option<f64>>,
}

impl Found {
    /// Returns the value; `None` if the sensor has none, or a broken one. May block.
    pub(super) fn read(&mut self) -> Option<SensorMetrics> {
        if self.fault.as_deref().and_then(attribute::number::<u8>).is_some_and(|fault| fault != 0) {
            return None;
        }
        let mut metrics =
            SensorMetrics { sensor: self.name.clone(), chip: self.chip.clone(), ..SensorMetrics::default() };
        let kind = match &self.quantity {
            Quantity::Temperature { input, limits } => {
                let celsius = attribute::number::<f64>(input)? / 1_000.0;
                if !PLAUSIBLE_CELSIUS.contains(&celsius) {
                    return None;
                }
                let critical = *self.critical.get_or_insert_with(|| limit(limits));
                metrics.temperature_celsius = finite(celsius);
                metrics.critical_percent =
                    critical.and_then(|critical| finite((celsius / critical * 100.0).clamp(0.0, 1_000.0)));
                "temperature"
            }
            Quantity::Fan { input } => {
                metrics.fan_rpm = Some(attribute::number(input).filter(|rpm| 0 <= *rpm)?);
                "fan"
            }
            Quantity::Power { input } => {
                metrics.power_watts = Some(watts(attribute::number::<f64>(input)? / 1e6)?);
                "power"
            }
            Quantity::VoltageAndCurrent { voltage, current } => {
                let (volts, amperes) =
                    (attribute::number::<f64>(voltage)?, attribute::number::<f64>(current)?);
                metrics.power_watts = Some(watts(volts * amperes / 1e12)?);
                "power"
            }
            Quantity::Charge { input } => {
                metrics.charge_percent = Some(clamp_percent(attribute::number(input)?)?);
                "battery"
            }
        };
        kind.clone_into(&mut metrics.kind);
        Some(metrics)
    }
}

/// Returns the first limit that a device can mean. Some show the largest number that fits instead.
fn limit(files: &[PathBuf]) -> Option<f64> {
    let celsius = |file: &PathBuf| attribute::number::<f64>(file).map(|value| value / 1_000.0);
    files.iter().filter_map(celsius).find(|celsius| PLAUSIBLE_LIMIT.contains(celsius))
}

/// Returns the power. Batteries show it negative while they are charged, some drivers while they are discharged.
fn watts(value: f64) -> Option<f32> {
    finite(value.abs())
}
