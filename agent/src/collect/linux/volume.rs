//! The health of RAID arrays, pools, file systems and drives, as far as the kernel tells it to everybody: no device is
//! asked, so that none wakes up. What only root may ask comes from readings.

mod array;
mod drive;
mod filesystem;
mod pool;

use std::collections::BTreeSet;

use pika_protocol::VolumeMetrics;

use super::attribute;
use super::readings::SharedReadings;
use crate::collect::delta::{Series, Width};
use crate::collect::{CollectError, Collector, Roots, Tick};

/// Nothing is wrong.
const FINE: i32 = 0;
/// It is checked or rebuilt, or its device starts.
const WORKING: i32 = 1;
/// Members are missing, or it needs a repair.
const DEGRADED: i32 = 2;
/// It does not work any more, or is read-only because of errors.
const FAILED: i32 = 3;

/// The volume collector.
pub(in crate::collect) struct Volume {
    roots: Roots,
    readings: SharedReadings,
    errors: Series<3>,
}

impl Volume {
    pub(in crate::collect) fn new(roots: &Roots, readings: SharedReadings) -> Volume {
        Volume { roots: roots.clone(), readings, errors: Series::new([Width::Full; 3]) }
    }
}

impl Collector for Volume {
    type Output = Vec<VolumeMetrics>;

    /// Returns one entry per volume whose health is known. May block.
    fn collect(&mut self, tick: Tick) -> Result<Vec<VolumeMetrics>, CollectError> {
        let mut volumes = array::arrays(&self.roots.sys.join("block"));
        volumes.extend(pool::zfs(&self.roots.proc.join("spl/kstat/zfs")));
        volumes.extend(pool::btrfs(&self.roots.sys.join("fs/btrfs")));
        volumes.extend(filesystem::filesystems(&self.roots));
        volumes.extend(drive::nvme(&self.roots.sys.join("class/nvme")));
        volumes.extend(drive::emmc(&self.roots.sys.join("bus/mmc/devices")));
        // Names are cut where they are too long.
        let mut names = BTreeSet::new();
        volumes.retain(|volume| names.insert(volume.volume.clone()));
        for given in &self.readings.at(tick).volumes {
            match volumes.iter_mut().find(|volume| volume.volume == given.volume) {
                Some(volume) => complete(volume, given),
                None => volumes.push(given.clone()),
            }
        }
        for volume in &mut volumes {
            let totals = [volume.read_errors, volume.write_errors, volume.checksum_errors];
            let totals = totals.map(|total| total.and_then(|total| u64::try_from(total).ok()));
            let moved = self.errors.advance(&volume.volume, tick.uptime_ms, totals);
            [volume.read_errors, volume.write_errors, volume.checksum_errors] = moved.amounts;
            volume.interval_ms = moved.interval_ms.filter(|_| moved.amounts.iter().any(Option::is_some));
        }
        self.errors.forget_others(tick.uptime_ms);
        Ok(volumes)
    }
}

/// Returns a volume without numbers. Until the collector has computed what was added to them, its errors are totals.
fn volume(kind: &str, name: &str, state: i32) -> VolumeMetrics {
    VolumeMetrics {
        volume: attribute::label(&format!("{kind} {name}")),
        kind: kind.to_owned(),
        state,
        ..VolumeMetrics::default()
    }
}

/// Adds what a reading knows about a volume that the kernel tells something about, too.
fn complete(volume: &mut VolumeMetrics, given: &VolumeMetrics) {
    // A drive that sleeps is fine.
    let worst = if given.state <= FAILED { volume.state.max(given.state) } else { volume.state };
    let known = std::mem::replace(volume, given.clone());
    volume.state = worst;
    if !known.model.is_empty() {
        volume.model = known.model;
    }
    volume.read_errors = known.read_errors.or(given.read_errors);
    volume.write_errors = known.write_errors.or(given.write_errors);
    volume.checksum_errors = known.checksum_errors.or(given.checksum_errors);
    volume.missing_members = known.missing_members.or(given.missing_members);
    volume.wear_percent = known.wear_percent.or(given.wear_percent);
    volume.spare_percent = known.spare_percent.or(given.spare_percent);
    volume.sync_percent = known.sync_percent.or(given.sync_percent);
}

#[cfg(test)]
mod tests;
