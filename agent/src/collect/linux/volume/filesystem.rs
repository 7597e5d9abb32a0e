//! File systems that are read-only although `/etc/fstab` wants them writable, and those of ext4 that have errors.

use std::collections::BTreeMap;

use pika_protocol::VolumeMetrics;

use super::super::attribute;
use super::super::mountinfo::unescape;
use super::{DEGRADED, FAILED, FINE, volume};
use crate::collect::Roots;

/// File systems that can only be read.
const READ_ONLY_TYPES: [&str; 6] = ["cramfs", "erofs", "iso9660", "romfs", "squashfs", "udf"];

/// A mounted file system.
#[derive(Debug, PartialEq)]
struct Mounted {
    device_number: String,
    mount_point: String,
    fs_type: String,
    source: String,
    /// Whether the whole file system is read-only. A mount may be read-only besides, as all are that a service sees
    /// that must not write; that says nothing about the file system.
    is_read_only: bool,
    is_shut_down: bool,
}

/// Returns the mounted file systems whose health is known: those in `/etc/fstab` that should be writable, and all of
/// ext4.
pub(super) fn filesystems(roots: &Roots) -> Vec<VolumeMetrics> {
    let Some(mountinfo) = attribute::text(&roots.proc.join("self/mountinfo")) else {
        return Vec::new();
    };
    let fstab = attribute::text(&roots.etc.join("fstab")).unwrap_or_default();
    let writable: Vec<String> = fstab.lines().filter_map(writable_mount_point).collect();
    // The last mount at a path is the visible one, and of the mounts of one file system the one in `fstab` counts, or
    // else the one with the shortest path.
    let by_path: BTreeMap<String, Mounted> =
        mountinfo.lines().filter_map(parse).map(|mounted| (mounted.mount_point.clone(), mounted)).collect();
    let mut mounts: Vec<Mounted> =
        by_path.into_values().filter(|mounted| mounted.source.starts_with('/')).collect();
    mounts.sort_by_key(|mounted| (!writable.contains(&mounted.mount_point), mounted.mount_point.len()));
    let mut seen: Vec<String> = Vec::new();
    mounts.retain(|mounted| {
        let is_new = !seen.contains(&mounted.device_number);
        seen.push(mounted.device_number.clone());
        is_new
    });
    mounts
        .iter()
        .filter_map(|mounted| health(roots, mounted, writable.contains(&mounted.mount_point)))
        .collect()
}

fn health(roots: &Roots, mounted: &Mounted, should_be_writable: bool) -> Option<VolumeMetrics> {
    let n_errors = has_error_count(&mounted.fs_type).then(|| n_errors(roots, mounted)).flatten();
    if !should_be_writable && n_errors.is_none() {
        return None;
    }
    let state = if mounted.is_shut_down || should_be_writable && mounted.is_read_only {
        FAILED
    } else if n_errors.is_some_and(|n_errors| 0 < n_errors) {
        // Until it is repaired.
        DEGRADED
    } else {
        FINE
    };
    Some(VolumeMetrics {
        model: attribute::label(&mounted.fs_type),
        ..volume("filesystem", &mounted.mount_point, state)
    })
}

fn has_error_count(fs_type: &str) -> bool {
    ["ext2", "ext3", "ext4"].contains(&fs_type)
}

/// Returns how many errors the file system has found since it was last repaired.
fn n_errors(roots: &Roots, mounted: &Mounted) -> Option<u64> {
    // `/dev/mapper/name` is `dm-0` there.
    let device = roots.sys.join("dev/block").join(&mounted.device_number);
    let device = attribute::target_name(&device)
        .or_else(|| mounted.source.rsplit('/').next().map(str::to_owned))
        .filter(|device| !device.is_empty() && device != "..")?;
    attribute::number(&roots.sys.join("fs/ext4").join(device).join("errors_count"))
}

/// `id parent major:minor root mount_point options [tags…] - fs_type source super_options`
fn parse(line: &str) -> Option<Mounted> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(2);
    let device_number = mount.next()?.to_owned();
    let mount_point = unescape(mount.nth(1)?);
    let mut file_system = file_system.split(' ');
    let fs_type = file_system.next()?.to_owned();
    let source = unescape(file_system.next()?);
    let has = |option: &str| {
        file_system.clone().next().is_some_and(|options| options.split(',').any(|found| found == option))
    };
    let (is_read_only, is_shut_down) = (has("ro"), has("emergency_ro") || has("shutdown"));
    Some(Mounted { device_number, mount_point, fs_type, source, is_read_only, is_shut_down })
}

/// Returns the mount point of a line of `fstab` that should be writable: `device mount_point type options …`.
fn writable_mount_point(line: &str) -> Option<String> {
    let line = line.trim();
    let mut fields = line.split_ascii_whitespace().skip(1);
    let mount_point = unescape(fields.next()?);
    let (fs_type, options) = (fields.next()?, fields.next().unwrap_or("defaults"));
    let is_read_only = options.split(',').rev().find(|option| ["ro", "rw"].contains(option)) == Some("ro");
    let is_meant = !line.starts_with('#')
        && mount_point.starts_with('/')
        && !is_read_only
        && fs_type.split(',').all(|fs_type| !READ_ONLY_TYPES.contains(&fs_type));
    is_meant
        .then(|| if mount_point == "/" { mount_point } else { mount_point.trim_end_matches('/').to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_fstab() {
        for (line, expected) in [
            ("UUID=1 / ext4 errors=remount-ro 0 1", Some("/")),
            ("/dev/sdb1\t/srv/my\\040disk/\txfs", Some("/srv/my disk")),
            ("/dev/sdb1 /a ext4 ro,noatime", None),
            ("/dev/sdb1 /a ext4 ro,rw", Some("/a")),
            ("/dev/sr0 /media udf,iso9660 user,noauto 0 0", None),
            ("UUID=2 none swap sw 0 0", None),
            ("# /dev/sdb1 /a ext4 defaults", None),
            ("#/dev/sdb1 /a ext4 defaults", None),
            ("", None),
            ("/dev/sdb1", None),
        ] {
            assert_eq!(writable_mount_point(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn a_read_only_view_is_no_read_only_file_system() {
        let mounted =
            parse("28 1 8:1 / / ro,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro").unwrap();
        assert!(!mounted.is_read_only);
        assert!(
            parse("28 1 8:1 / / rw,relatime - ext4 /dev/sda1 ro,errors=remount-ro").unwrap().is_read_only
        );
        assert!(parse("28 1 8:1 / / rw - ext4 /dev/sda1 rw,emergency_ro").unwrap().is_shut_down);
        assert_eq!(parse("28 1 8:1 / / rw ext4 /dev/sda1 rw"), None);
    }
}
