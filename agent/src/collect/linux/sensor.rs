//! Temperatures, fans, power and batteries, from `/sys/class/hwmon` and `/sys/class/power_supply`. The zones of
//! `/sys/class/thermal` are read only where hwmon has no temperature, because otherwise they repeat it.
//!
//! Some sensors answer over a slow bus, and some devices execute a command at every reading. The collector therefore
//! runs on a blocking thread, reads names and limits once, reads slow sensors rarely, and leaves out those that are very
//! slow. What sleeps is not read: reading would wake it up.

mod found;
mod pace;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use pika_protocol::SensorMetrics;
use pika_protocol::limits::SENSORS_PER_SAMPLE_MAX;
use tracing::warn;

use self::found::Found;
use self::pace::Pace;
use self::scan::Origin;
use super::attribute;
use super::readings::SharedReadings;
use crate::collect::{CollectError, Collector, Roots, Tick};
use crate::config::SensorConfig;
use crate::glob;

/// The sensor collector.
pub(in crate::collect) struct Sensor {
    class: PathBuf,
    config: SensorConfig,
    readings: SharedReadings,
    /// The chips that the last scan saw; another scan is due when they change.
    origins: Vec<Origin>,
    found: Vec<Found>,
    /// The sensors that were slow, by name.
    paces: BTreeMap<String, Pace>,
    /// The devices that slept last time; what they show just after waking up is not to be trusted.
    asleep: BTreeSet<PathBuf>,
}

impl Sensor {
    pub(in crate::collect) fn new(roots: &Roots, config: SensorConfig, readings: SharedReadings) -> Sensor {
        Sensor {
            class: roots.sys.join("class"),
            config,
            readings,
            origins: Vec::new(),
            found: Vec::new(),
            paces: BTreeMap::new(),
            asleep: BTreeSet::new(),
        }
    }

    /// Looks for sensors if chips came or went.
    fn look(&mut self) {
        let origins = scan::origins(&self.class);
        if origins == self.origins {
            return;
        }
        self.found = scan::scan(&self.class, &origins);
        self.found.retain(|sensor| !glob::matches_any(&self.config.exclude_sensors, &sensor.name));
        let mut names = BTreeSet::new();
        self.found.retain(|sensor| names.insert(sensor.name.clone()));
        self.paces.retain(|name, _| names.contains(name));
        if SENSORS_PER_SAMPLE_MAX < self.found.len() {
            warn!(
                found = self.found.len(),
                reported = SENSORS_PER_SAMPLE_MAX,
                "too many sensors; the last ones are left out, others can be with `sensor.exclude_sensors`"
            );
            self.found.truncate(SENSORS_PER_SAMPLE_MAX);
        }
        self.origins = origins;
    }

    /// Returns the devices that sleep, and those that slept a moment ago.
    fn not_to_be_read(&mut self) -> BTreeSet<PathBuf> {
        let devices: BTreeSet<&PathBuf> = self.found.iter().map(|sensor| &sensor.device).collect();
        let asleep: BTreeSet<PathBuf> =
            devices.into_iter().filter(|device| !attribute::is_awake(device)).cloned().collect();
        let before = std::mem::replace(&mut self.asleep, asleep.clone());
        asleep.into_iter().chain(before).collect()
    }
}

impl Collector for Sensor {
    type Output = Vec<SensorMetrics>;

    /// Returns one entry per sensor that has a value. May block; see the module documentation.
    fn collect(&mut self, tick: Tick) -> Result<Vec<SensorMetrics>, CollectError> {
        self.look();
        let resting = self.not_to_be_read();
        let mut metrics = Vec::with_capacity(self.found.len());
        for sensor in &mut self.found {
            let pace = self.paces.entry(sensor.name.clone()).or_default();
            if resting.contains(&sensor.device) || !pace.is_due(tick.uptime_ms) {
                continue;
            }
            let started = Instant::now();
            let value = sensor.read();
            if pace.note(started.elapsed(), tick.uptime_ms) {
                let sensor = &sensor.name;
                warn!(
                    sensor,
                    "a sensor keeps answering too slowly; it is left out until the agent is restarted"
                );
            }
            metrics.extend(value);
        }
        let given = self.readings.at(tick);
        let is_new = |sensor: &&SensorMetrics| self.found.iter().all(|found| found.name != sensor.sensor);
        metrics.extend(given.sensors.iter().filter(is_new).cloned());
        Ok(metrics)
    }
}

#[cfg(test)]
mod tests;
