//! File systems: which mounts are disks, and how full they are.
//!
//! Asking a file system whose server or device is gone can block for ever. Remote ones are therefore left out by
//! default, and the caller runs [`Disk::collect`] on a thread of its own with a deadline.

#[cfg(target_os = "linux")]
mod mountinfo;

use std::collections::BTreeSet;

use pika_protocol::DiskMetrics;
use pika_protocol::limits::PATH_CHARS_MAX;
use tracing::warn;

#[cfg(target_os = "linux")]
use self::linux as platform;
#[cfg(not(target_os = "linux"))]
use self::portable as platform;
use super::CollectError;
use super::number::{float, percent, signed};
use crate::config::DiskConfig;

/// Takes disk metrics.
pub(super) struct Disk {
    config: DiskConfig,
    source: platform::Source,
    /// Mount points that could not be asked last time; each is logged once.
    unreadable: BTreeSet<String>,
}

/// What a file system tells of itself; bytes.
#[derive(Clone, Copy, Debug)]
struct Space {
    total: u64,
    /// Free for root.
    free: u64,
    /// Free for everybody else.
    available: u64,
    /// Total and free inodes; a total of zero where there is no fixed number of them.
    inodes: (u64, u64),
}

impl Disk {
    pub(super) fn new(config: DiskConfig) -> Disk {
        Disk { config, source: platform::Source::new(), unreadable: BTreeSet::new() }
    }

    /// One entry a disk, in the order of their mount points. May block; see the module's documentation.
    pub(super) fn collect(&mut self) -> Result<Vec<DiskMetrics>, CollectError> {
        let mut disks = Vec::new();
        let mut unreadable = BTreeSet::new();
        for (mount, space) in self.source.collect(&self.config)? {
            match space {
                // File systems without any size have no disk behind them.
                Ok(space) if space.total == 0 => {}
                Ok(space) => disks.push(metrics(mount, space)),
                Err(error) => {
                    if !self.unreadable.contains(&mount.mount_point) {
                        warn!(mount_point = mount.mount_point, %error, "cannot ask a file system; it is left out");
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
struct Mount {
    mount_point: String,
    device: String,
    fs_type: String,
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

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::collect::ProcFile;

    /// The mounts of the agent's own mount namespace.
    pub(super) struct Source {
        mountinfo: ProcFile,
    }

    impl Source {
        pub(super) fn new() -> Source {
            Source { mountinfo: ProcFile::new(PathBuf::from("/proc/self/mountinfo")) }
        }

        pub(super) fn collect(
            &mut self,
            config: &DiskConfig,
        ) -> Result<Vec<(Mount, io::Result<Space>)>, CollectError> {
            let mounts = mountinfo::select(self.mountinfo.read()?, config);
            let ask = |mount: Mount| {
                let space = ask(Path::new(&mount.mount_point))?;
                Some((mount, space))
            };
            Ok(mounts.into_iter().filter_map(ask).collect())
        }
    }

    /// `None` when the mount point is no directory: containers get single files, such as `/etc/hosts`, mounted
    /// from the disk of their host.
    fn ask(mount_point: &Path) -> Option<io::Result<Space>> {
        match mount_point.metadata() {
            Ok(metadata) if !metadata.is_dir() => return None,
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        }
        Some(rustix::fs::statvfs(mount_point).map_err(io::Error::from).map(|stat| Space {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bfree.saturating_mul(stat.f_frsize),
            available: stat.f_bavail.saturating_mul(stat.f_frsize),
            inodes: (stat.f_files, stat.f_ffree),
        }))
    }
}

#[cfg(any(test, not(target_os = "linux")))]
mod portable {
    use std::io;

    use sysinfo::{DiskRefreshKind, Disks};

    use super::*;
    use crate::glob;

    /// The disks as sysinfo finds them.
    pub(super) struct Source {
        disks: Option<Disks>,
    }

    impl Source {
        pub(super) fn new() -> Source {
            Source { disks: Disks::new().ok() }
        }

        pub(super) fn collect(
            &mut self,
            config: &DiskConfig,
        ) -> Result<Vec<(Mount, io::Result<Space>)>, CollectError> {
            let disks = self.disks.as_mut().ok_or(CollectError::Unsupported)?;
            disks.refresh_specifics(true, DiskRefreshKind::nothing().with_storage());
            let mut found: Vec<(Mount, io::Result<Space>)> = Vec::new();
            for disk in &*disks {
                let mount = Mount {
                    mount_point: disk.mount_point().to_string_lossy().into_owned(),
                    device: disk.name().to_string_lossy().into_owned(),
                    fs_type: disk.file_system().to_string_lossy().to_lowercase(),
                };
                let DiskConfig { include_mount_points, exclude_mount_points, exclude_fs_types } = config;
                let is_excluded =
                    include_mount_points.is_empty() && glob::matches_any(exclude_fs_types, &mount.fs_type);
                if is_excluded
                    || !glob::is_selected(&mount.mount_point, include_mount_points, exclude_mount_points)
                    || found.iter().any(|(other, _)| !mount.device.is_empty() && other.device == mount.device)
                {
                    continue;
                }
                let (total, available) = (disk.total_space(), disk.available_space());
                found.push((mount, Ok(Space { total, free: available, available, inodes: (0, 0) })));
            }
            Ok(found)
        }
    }

    #[cfg(test)]
    #[test]
    fn disks_are_plausible() {
        let config = DiskConfig {
            include_mount_points: Vec::new(),
            exclude_mount_points: Vec::new(),
            exclude_fs_types: Vec::new(),
        };
        for (mount, space) in Source::new().collect(&config).unwrap() {
            assert!(!mount.mount_point.is_empty());
            assert!(space.unwrap().available <= i64::MAX.unsigned_abs());
        }
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
        for disk in Disk::new(config.disk).collect().unwrap() {
            assert!(0 < disk.total && disk.used <= disk.total);
            assert!((0.0..=100.0).contains(&disk.usage_percent));
        }
    }
}
