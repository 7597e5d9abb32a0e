//! Drives, as far as the kernel knows without asking them.

use std::path::Path;

use pika_protocol::VolumeMetrics;

use super::super::attribute;
use super::{DEGRADED, FAILED, FINE, WORKING, volume};

/// Returns the controllers of drives below `/sys/class/nvme`.
pub(super) fn nvme(class: &Path) -> Vec<VolumeMetrics> {
    let controller = |name: String| {
        let dir = class.join(&name);
        let state = match attribute::text(&dir.join("state"))?.as_str() {
            "live" => FINE,
            "new" | "resetting" | "connecting" => WORKING,
            "deleting" | "deleting (no IO)" | "dead" => FAILED,
            _ => return None,
        };
        Some(VolumeMetrics {
            model: attribute::name(&dir.join("model")).unwrap_or_default(),
            ..volume("nvme", &stable_name(&dir, &name), state)
        })
    };
    attribute::entries(class).into_iter().filter_map(controller).collect()
}

/// Returns the eMMC chips below `/sys/bus/mmc/devices`; SD cards tell nothing about their health.
pub(super) fn emmc(devices: &Path) -> Vec<VolumeMetrics> {
    let chip = |name: String| {
        let dir = devices.join(&name);
        let life_time = attribute::text(&dir.join("life_time"))?;
        let pre_end = attribute::text(&dir.join("pre_eol_info")).and_then(|text| hexadecimal(&text));
        let state = match pre_end {
            // Most or nearly all of the reserve is used up.
            Some(2 | 3) => DEGRADED,
            _ => FINE,
        };
        Some(VolumeMetrics {
            model: attribute::name(&dir.join("name")).unwrap_or_default(),
            wear_percent: wear(&life_time),
            ..volume("emmc", &stable_name(&dir, &name), state)
        })
    };
    attribute::entries(devices).into_iter().filter_map(chip).collect()
}

/// Returns the serial number, or the kernel's name if there is none.
fn stable_name(dir: &Path, name: &str) -> String {
    attribute::name(&dir.join("serial")).unwrap_or_else(|| name.to_owned())
}

/// Returns the wear of the more worn type of memory: 1 means up to 10 % of its life, and so on; 11 means more than all.
fn wear(text: &str) -> Option<f32> {
    let steps = text.split_ascii_whitespace().filter_map(hexadecimal);
    steps.filter(|step| (1..=11).contains(step)).max().map(|step| f32::from(step) * 10.0)
}

fn hexadecimal(text: &str) -> Option<u8> {
    u8::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
#[test]
fn wear_is_that_of_the_worse_half() {
    assert_eq!(wear("0x01 0x03"), Some(30.0));
    assert_eq!(wear("0x00 0x0b"), Some(110.0));
    for text in ["0x00 0x00", "", "1 2", "0xff 0x0c", "0xfff"] {
        assert_eq!(wear(text), None, "{text}");
    }
}
