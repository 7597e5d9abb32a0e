//! Finds the sensors of the machine.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::attribute;
use super::found::{Found, Quantity};

/// Maximum number of chips that are looked at.
const CHIPS_MAX: usize = 256;

/// A chip, power supply or thermal zone, and where it leads to: numbers are given again after a device is gone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    class: &'static str,
    entry: String,
    target: Option<PathBuf>,
}

/// Returns everything that may have sensors.
pub(super) fn origins(class: &Path) -> Vec<Origin> {
    let of_class = |name: &'static str| {
        let dir = class.join(name);
        let with_target = move |entry: String| {
            let target = fs::read_link(dir.join(&entry)).ok();
            Origin { class: name, entry, target }
        };
        attribute::entries(&class.join(name)).into_iter().map(with_target).take(CHIPS_MAX)
    };
    ["hwmon", "power_supply", "thermal"].into_iter().flat_map(of_class).collect()
}

/// Returns the sensors of these origins.
pub(super) fn scan(class: &Path, origins: &[Origin]) -> Vec<Found> {
    let of_class = |name: &'static str| {
        let dir = class.join(name);
        origins.iter().filter(move |origin| origin.class == name).map(move |origin| dir.join(&origin.entry))
    };
    let mut found: Vec<Found> = of_class("hwmon").flat_map(|dir| chip(&dir)).collect();
    if !found.iter().any(|sensor| matches!(sensor.quantity, Quantity::Temperature { .. })) {
        found.extend(of_class("thermal").filter_map(|dir| thermal_zone(&dir)));
    }
    found.extend(of_class("power_supply").flat_map(|dir| power_supply(&dir)));
    found
}

/// Returns the sensors of a hwmon chip.
fn chip(dir: &Path) -> Vec<Found> {
    let (Some(driver), device) = (attribute::name(&dir.join("name")), dir.join("device")) else {
        return Vec::new();
    };
    // Sensors on a 1-Wire bus take most of a second each. Reading a disk may reset the timer after which it spins down.
    if driver.starts_with("w1") || driver == "drivetemp" && !is_solid_state(&device) {
        return Vec::new();
    }
    let chip = chip_name(&driver, attribute::target_name(&device));
    let files = attribute::entries(dir);
    let has = |file: &str| files.binary_search_by(|entry| entry.as_str().cmp(file)).is_ok();
    let mut found: Vec<Found> = Vec::new();
    for file in &files {
        let Some((channel, quantity)) = measured(dir, file, has) else {
            continue;
        };
        let fault = has(&format!("{channel}_fault")).then(|| dir.join(format!("{channel}_fault")));
        let label =
            attribute::name(&dir.join(format!("{channel}_label"))).unwrap_or_else(|| channel.to_owned());
        let mut name = attribute::label(&format!("{chip} {label}"));
        if found.iter().any(|other| other.name == name) {
            name = attribute::label(&format!("{chip} {label} {channel}"));
        }
        found.push(Found {
            name,
            chip: chip.clone(),
            device: device.clone(),
            quantity,
            fault,
            critical: None,
        });
    }
    found
}

/// Returns the channel that a file of a chip belongs to, such as `temp1`, and what it measures; `None` if it is not the
/// file that shows the value.
fn measured<'a>(dir: &Path, file: &'a str, has: impl Fn(&str) -> bool) -> Option<(&'a str, Quantity)> {
    let (channel, item) = file.split_once('_')?;
    let kind = channel.trim_end_matches(|character: char| character.is_ascii_digit());
    if kind == channel {
        return None;
    }
    let input = dir.join(file);
    let quantity = match (kind, item) {
        ("temp", "input") => {
            let limits = ["crit", "emergency"].map(|limit| format!("{channel}_{limit}"));
            let limits = limits.into_iter().filter(|limit| has(limit)).map(|limit| dir.join(limit));
            Quantity::Temperature { input, limits: limits.collect() }
        }
        ("fan", "input") => Quantity::Fan { input },
        ("power", "input") => Quantity::Power { input },
        ("power", "average") if !has(&format!("{channel}_input")) => Quantity::Power { input },
        _ => return None,
    };
    Some((channel, quantity))
}

/// Returns a name that is the same after every boot: the driver's and the device's, `nvme nvme0` being `nvme0`.
fn chip_name(driver: &str, device: Option<String>) -> String {
    match device {
        Some(device) if device.starts_with(driver) => attribute::label(&device),
        Some(device) => attribute::label(&format!("{driver} {device}")),
        None => driver.to_owned(),
    }
}

/// Returns whether the disk behind a `drivetemp` chip is known not to rotate.
fn is_solid_state(device: &Path) -> bool {
    let blocks = device.join("block");
    let disks = attribute::entries(&blocks);
    !disks.is_empty()
        && disks
            .iter()
            .all(|disk| attribute::number(&blocks.join(disk).join("queue/rotational")) == Some(0u8))
}

/// Returns the sensor of a thermal zone.
fn thermal_zone(dir: &Path) -> Option<Found> {
    let zone = dir.file_name()?.to_str().filter(|zone| zone.starts_with("thermal_zone"))?;
    let chip = attribute::name(&dir.join("type"))?;
    let input = dir.join("temp");
    let is_critical = |file: &String| {
        file.ends_with("_type") && attribute::text(&dir.join(file)).is_some_and(|kind| kind == "critical")
    };
    let trips = attribute::entries(dir).into_iter().filter(|file| file.starts_with("trip_point_"));
    let limits = trips.filter(is_critical).map(|file| dir.join(file.replace("_type", "_temp"))).collect();
    Some(Found {
        name: attribute::label(&format!("{chip} {zone}")),
        chip,
        device: dir.join("device"),
        quantity: Quantity::Temperature { input, limits },
        fault: None,
        critical: None,
    })
}

/// Returns charge and power of a battery. Those of mice and the like are not the machine's.
fn power_supply(dir: &Path) -> Vec<Found> {
    let is = |file: &str, value: &str| attribute::text(&dir.join(file)).is_some_and(|text| text == value);
    let is_battery = is("type", "Battery") || is("type", "UPS");
    let Some(chip) = dir.file_name().and_then(|name| name.to_str()).map(attribute::label) else {
        return Vec::new();
    };
    if !is_battery || is("scope", "Device") {
        return Vec::new();
    }
    let sensor = |label: &str, quantity: Quantity| Found {
        name: attribute::label(&format!("{chip} {label}")),
        chip: chip.clone(),
        device: dir.to_owned(),
        quantity,
        fault: None,
        critical: None,
    };
    let existing = |file: &str| Some(dir.join(file)).filter(|path| path.exists());
    let charge = existing("capacity").map(|input| sensor("charge", Quantity::Charge { input }));
    let power = existing("power_now").map(|input| Quantity::Power { input }).or_else(|| {
        let (voltage, current) = (existing("voltage_now")?, existing("current_now")?);
        Some(Quantity::VoltageAndCurrent { voltage, current })
    });
    charge.into_iter().chain(power.map(|power| sensor("power", power))).collect()
}
