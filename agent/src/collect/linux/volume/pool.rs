//! Pools of ZFS and file systems of Btrfs, which consist of several devices.

use std::path::Path;

use pika_protocol::VolumeMetrics;

use super::super::{attribute, keyed};
use super::{DEGRADED, FAILED, FINE, WORKING, volume};
use crate::collect::number::signed;

/// Returns the pools below `/proc/spl/kstat/zfs`. Their states do not tell of errors; those come with a reading.
pub(super) fn zfs(dir: &Path) -> Vec<VolumeMetrics> {
    let pool = |name: String| {
        let state = match attribute::text(&dir.join(&name).join("state"))?.as_str() {
            "ONLINE" => FINE,
            "DEGRADED" => DEGRADED,
            "FAULTED" | "OFFLINE" | "REMOVED" | "SUSPENDED" | "UNAVAIL" => FAILED,
            _ => return None,
        };
        Some(volume("zpool", &name, state))
    };
    attribute::entries(dir).into_iter().filter_map(pool).collect()
}

/// How data may be spread over devices.
const PROFILES: [&str; 10] =
    ["raid1c4", "raid1c3", "raid10", "raid6", "raid5", "raid1", "raid0", "dup", "single", "raid56"];

/// Returns the file systems below `/sys/fs/btrfs`, of which each has a directory named after its UUID.
pub(super) fn btrfs(dir: &Path) -> Vec<VolumeMetrics> {
    let file_system = |uuid: String| {
        let dir = dir.join(&uuid);
        let devices = attribute::entries(&dir.join("devinfo"));
        if devices.is_empty() {
            return None;
        }
        let mut missing = 0;
        let mut errors: Option<[u64; 3]> = None;
        for device in &devices {
            let device = dir.join("devinfo").join(device);
            missing += i32::from(attribute::number::<u8>(&device.join("missing")) == Some(1));
            if let Some(text) = attribute::text(&device.join("error_stats")) {
                let sums = errors.get_or_insert([0; 3]);
                for (sum, added) in sums.iter_mut().zip(parse_errors(&text)) {
                    *sum = sum.saturating_add(added);
                }
            }
        }
        let action = attribute::text(&dir.join("exclusive_operation"));
        let is_working = action
            .is_some_and(|action| ["balance", "device replace", "device remove"].contains(&action.as_str()));
        let state = if 0 < missing { DEGRADED } else { i32::from(is_working) * WORKING };
        let profiles = attribute::entries(&dir.join("allocation/data"));
        let profile = PROFILES.iter().find(|profile| profiles.iter().any(|entry| entry == *profile));
        let name = attribute::name(&dir.join("label")).unwrap_or(uuid);
        let [read, write, checksum] = errors.map_or([None; 3], |errors| errors.map(|sum| Some(signed(sum))));
        Some(VolumeMetrics {
            model: profile.map_or_else(String::new, |&profile| profile.to_owned()),
            missing_members: Some(missing),
            read_errors: read,
            write_errors: write,
            checksum_errors: checksum,
            ..volume("btrfs", &name, state)
        })
    };
    let mut volumes: Vec<VolumeMetrics> = Vec::new();
    for uuid in attribute::entries(dir) {
        if let Some(mut found) = file_system(uuid.clone()) {
            // Copies of an image have the same label.
            if volumes.iter().any(|other| other.volume == found.volume) {
                found.volume = volume("btrfs", &uuid, FINE).volume;
            }
            volumes.push(found);
        }
    }
    volumes
}

/// Returns errors of reading, writing (flushes included) and content (`generation_errs` included).
fn parse_errors(text: &str) -> [u64; 3] {
    let value = |key: &str| keyed::number(text, key).unwrap_or(0);
    [
        value("read_errs"),
        value("write_errs").saturating_add(value("flush_errs")),
        value("corruption_errs").saturating_add(value("generation_errs")),
    ]
}
