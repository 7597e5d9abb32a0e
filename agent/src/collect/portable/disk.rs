//! Mounted file systems, from sysinfo.

use std::io;

use sysinfo::{DiskRefreshKind, Disks};

use crate::collect::disk::{Mount, Space};
use crate::collect::{CollectError, Roots};
use crate::config::DiskConfig;
use crate::glob;

/// The disks known to sysinfo.
pub(in crate::collect) struct DiskSource {
    disks: Option<Disks>,
}

impl DiskSource {
    pub(in crate::collect) fn new(_: &Roots) -> DiskSource {
        DiskSource { disks: Disks::new().ok() }
    }

    pub(in crate::collect) fn read(
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
            let DiskConfig { include_mount_points, exclude_mount_points, exclude_fs_types, .. } = config;
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
        every_sample: false,
        include_mount_points: Vec::new(),
        exclude_mount_points: Vec::new(),
        exclude_fs_types: Vec::new(),
    };
    for (mount, space) in DiskSource::new(&Roots::default()).read(&config).unwrap() {
        assert!(!mount.mount_point.is_empty());
        assert!(space.unwrap().available <= i64::MAX.unsigned_abs());
    }
}
