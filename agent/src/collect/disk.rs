//! Disks: which mounts are reported, and how full they are.
//!
//! Querying a file system whose server or device is gone can block forever. Remote ones are therefore excluded by
//! default, and the caller runs [`Disk::collect`] on its own thread with a deadline.

use std::collections::BTreeSet;

use pika_protocol::DiskMetrics;
use pika_protocol::limits::PATH_CHARS_MAX;
use tracing::warn;

use super::number::{float, percent, signed};
use super::platform::DiskSource;
use super::{CollectError, Collector, Roots, Tick};
use crate::config::DiskConfig;

/// The disk collector.
pub(super) struct Disk {
    config: DiskConfig,
    source: DiskSource,
    /// Mount points whose query failed last time; each is logged once.
    unreadable: BTreeSet<String>,
}

/// The space of a file system, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) total: u64,
    /// Free for root.
    pub(super) free: u64,
    /// Free for everybody else.
    pub(super) available: u64,
    /// Total and free inodes; the total is zero if there is no fixed number.
    pub(super) inodes: (u64, u64),
}

impl Disk {
    pub(super) fn new(roots: &Roots, config: DiskConfig) -> Disk {
        Disk { config, source: DiskSource::new(roots), unreadable: BTreeSet::new() }
    }
}

impl Collector for Disk {
    type Output = Vec<DiskMetrics>;

    /// Returns one entry per disk, ordered by mount point. May block; see the module documentation.
    fn collect(&mut self, _: Tick) -> Result<Vec<DiskMetrics>, CollectError> {
        let mut disks = Vec::new();
        let mut unreadable = BTreeSet::new();
        for (mount, space) in self.source.read(&self.config)? {
            match space {
                // File systems without a size have no disk.
                Ok(space) if space.total == 0 => {}
                Ok(space) => disks.push(metrics(mount, space)),
                Err(error) => {
                    if !self.unreadable.contains(&mount.mount_point) {
                        warn!(mount_point = mount.mount_point, %error, "cannot query a file system; it is skipped");
                    }
                    unreadable.insert(mount.mount_point);
                }
            }
        }
        self.unreadable = unreadable;
        disks.sort_unstable_by(|left, right| left.mount_point.cmp(&right.mount_point));
        Ok(disks)
    }
}

/// A mounted file system, without its numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mount {
    pub(super) mount_point: String,
    pub(super) device: String,
    pub(super) fs_type: String,
}

fn metrics(mount: Mount, space: Space) -> DiskMetrics {
    let used = space.total.saturating_sub(space.free);
    let (inodes_total, inodes_free) = space.inodes;
    let inodes_used = inodes_total.saturating_sub(inodes_free);
    DiskMetrics {
        mount_point: mount.mount_point,
        device: mount.device.chars().take(PATH_CHARS_MAX).collect(),
        fs_type: mount.fs_type,
        total: signed(space.total),
        used: signed(used),
        free: signed(space.available),
        usage_percent: percent(float(used), float(used) + float(space.available)),
        inodes_usage_percent: (0 < inodes_total).then(|| percent(float(inodes_used), float(inodes_total))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    fn mount() -> Mount {
        Mount { mount_point: "/".to_owned(), device: "/dev/sda1".to_owned(), fs_type: "ext4".to_owned() }
    }

    #[test]
    fn numbers_are_those_of_df() {
        // 1000 in all, 300 free for root of which 50 are reserved: df says 700 used of 950, that is 74 %.
        let disk = metrics(mount(), Space { total: 1_000, free: 300, available: 250, inodes: (100, 25) });
        assert_eq!((disk.total, disk.used, disk.free), (1_000, 700, 250));
        assert!((disk.usage_percent - 73.684).abs() < 0.001);
        assert_eq!(disk.inodes_usage_percent, Some(75.0));
    }

    #[test]
    fn file_systems_without_inodes_tell_none() {
        let disk = metrics(mount(), Space { total: 10, free: 20, available: 20, inodes: (0, 0) });
        assert_eq!((disk.used, disk.inodes_usage_percent), (0, None));
    }

    #[test]
    fn this_machine_has_plausible_disks() {
        let config = Config::from_yaml("test", "", |_| None, &Overrides::default()).unwrap();
        for disk in Disk::new(&Roots::default(), config.disk).collect(Tick { uptime_ms: 1 }).unwrap() {
            assert!(0 < disk.total && disk.used <= disk.total);
            assert!((0.0..=100.0).contains(&disk.usage_percent));
        }
    }
}
