//! Software RAID, from `/sys/block/md*/md`.

use std::path::Path;

use pika_protocol::VolumeMetrics;

use super::super::attribute;
use super::{DEGRADED, FAILED, FINE, WORKING, volume};
use crate::collect::number::{float, percent};

/// Returns the arrays below `/sys/block`.
pub(super) fn arrays(block: &Path) -> Vec<VolumeMetrics> {
    let devices = attribute::entries(block).into_iter().filter(|device| device.starts_with("md"));
    devices.filter_map(|device| array(&device, &block.join(&device).join("md"))).collect()
}

fn array(device: &str, dir: &Path) -> Option<VolumeMetrics> {
    let text = |file: &str| attribute::text(&dir.join(file));
    let array_state = text("array_state")?;
    let level = text("level").unwrap_or_default();
    // Neither holds data: one is a name without an array, the other holds the metadata of other arrays.
    if array_state == "clear" || level == "container" {
        return None;
    }
    let missing = attribute::number::<i32>(&dir.join("degraded"));
    let action = text("sync_action");
    let is_working = action.as_deref().is_some_and(|action| !["idle", "frozen"].contains(&action));
    let tolerated = match level.as_str() {
        "raid4" | "raid5" => 1,
        "raid6" => 2,
        // Mirrors tolerate more, depending on which members are missing; the kernel stops an array that is broken.
        _ => i32::MAX,
    };
    let state = match missing {
        _ if array_state == "broken" || array_state == "inactive" => FAILED,
        Some(missing) if tolerated < missing => FAILED,
        Some(missing) if 0 < missing => DEGRADED,
        _ if is_working => WORKING,
        _ => FINE,
    };
    let members = attribute::entries(dir).into_iter().filter(|entry| entry.starts_with("dev-"));
    let errors: Vec<i64> =
        members.filter_map(|member| attribute::number(&dir.join(member).join("errors"))).collect();
    Some(VolumeMetrics {
        model: attribute::label(&level),
        missing_members: missing.filter(|missing| 0 <= *missing),
        sync_percent: text("sync_completed").filter(|_| is_working).and_then(|text| progress(&text)),
        // Errors that the array has corrected.
        read_errors: (!errors.is_empty())
            .then(|| errors.into_iter().fold(0i64, |sum, errors| sum.saturating_add(errors.max(0)))),
        ..volume("md", device, state)
    })
}

/// `done / total` in sectors, or `none`, or `delayed`.
fn progress(text: &str) -> Option<f32> {
    let (done, total) = text.split_once('/')?;
    let (done, total): (u64, u64) = (done.trim().parse().ok()?, total.trim().parse().ok()?);
    (0 < total).then(|| percent(float(done), float(total)))
}

#[cfg(test)]
#[test]
fn progress_is_part_of_the_whole() {
    assert_eq!(progress("250 / 1000"), Some(25.0));
    assert_eq!(progress("2000 / 1000"), Some(100.0));
    for text in ["none", "delayed", "1 / 0", "a / b", "/", "1 / -1"] {
        assert_eq!(progress(text), None, "{text}");
    }
}
