//! Selects disks from `/proc/self/mountinfo`, each once.

use std::collections::{BTreeMap, BTreeSet};

use pika_protocol::limits::PATH_CHARS_MAX;

use crate::collect::disk::Mount;
use crate::config::DiskConfig;
use crate::glob;

/// The relevant fields of a line.
#[derive(Debug, PartialEq)]
struct Line {
    /// `major:minor`, the same for every mount of one file system.
    device_number: String,
    mount: Mount,
}

/// Returns the mounts to report:
/// - of mounts stacked on one path only the topmost, which is the visible one;
/// - those selected by the configuration, treating an overlay at `/` as a disk;
/// - of several mounts of one device or file system only the one with the shortest path.
pub(super) fn select(mountinfo: &str, config: &DiskConfig) -> Vec<Mount> {
    let mut by_path = BTreeMap::new();
    for line in mountinfo.lines().filter_map(parse) {
        by_path.insert(line.mount.mount_point.clone(), line);
    }
    let mut lines: Vec<Line> =
        by_path.into_values().filter(|line| is_selected(&line.mount, config)).collect();
    if config.include_mount_points.is_empty() {
        // Stable, so paths of equal length stay in alphabetical order.
        lines.sort_by_key(|line| line.mount.mount_point.len());
        let mut seen = BTreeSet::new();
        lines.retain(|line| {
            let is_new = seen.insert(line.device_number.clone());
            // btrfs subvolumes have different numbers, but share a device. `rootfs`, `overlay` and the like are not
            // devices.
            let device = &line.mount.device;
            is_new && (!device.starts_with('/') || seen.insert(device.clone()))
        });
    }
    lines.into_iter().map(|line| line.mount).collect()
}

fn is_selected(mount: &Mount, config: &DiskConfig) -> bool {
    let Mount { mount_point, fs_type, .. } = mount;
    let is_container_root = mount_point == "/" && (fs_type == "overlay" || fs_type == "aufs");
    let has_excluded_type = config.include_mount_points.is_empty()
        && !is_container_root
        && glob::matches_any(&config.exclude_fs_types, fs_type);
    !has_excluded_type
        && mount_point.chars().count() <= PATH_CHARS_MAX
        && glob::is_selected(mount_point, &config.include_mount_points, &config.exclude_mount_points)
}

/// `id parent major:minor root mount_point options [tags…] - fs_type source super_options`
fn parse(line: &str) -> Option<Line> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount_fields = mount.split(' ').skip(2);
    let device_number = mount_fields.next()?.to_owned();
    let mount_point = unescape(mount_fields.nth(1)?);
    let mut file_system_fields = file_system.split(' ');
    let fs_type = file_system_fields.next()?.to_owned();
    let device = unescape(file_system_fields.next()?);
    Some(Line { device_number, mount: Mount { mount_point, device, fs_type } })
}

/// Undoes the kernel's `\040` for a space, and so on.
pub(super) fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, part.get(3..)) {
            (Some(code), Some(rest)) if code.is_ascii() => {
                plain.push(char::from(code));
                plain.push_str(rest);
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    fn config(yaml: &str) -> DiskConfig {
        Config::from_yaml("test", yaml, |_| None, &Overrides::default()).unwrap().disk
    }

    fn check(mountinfo: &str, yaml: &str, expected: &[(&str, &str, &str)]) {
        let mounts = select(mountinfo, &config(yaml));
        let found: Vec<_> = mounts
            .iter()
            .map(|mount| (mount.mount_point.as_str(), mount.device.as_str(), mount.fs_type.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    const SERVER: &str = "\
21 28 0:19 / /sys rw,nosuid - sysfs sysfs rw
22 28 0:20 / /proc rw,nosuid - proc proc rw
23 28 0:5 / /dev rw,nosuid - devtmpfs udev rw
24 23 0:21 / /dev/pts rw - devpts devpts rw
25 28 0:22 / /run rw,nosuid - tmpfs tmpfs rw
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
29 28 8:2 / /boot/efi rw,relatime shared:2 master:7 - vfat /dev/sda2 rw
30 28 8:17 / /srv/backup\\040disk rw - xfs /dev/sdb1 rw
31 28 8:1 /srv/www /var/www rw,relatime shared:1 - ext4 /dev/sda1 rw
32 28 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro
33 28 0:40 / /mnt/nas rw - nfs4 nas:/export rw
34 28 0:41 / /mnt/ssh rw - fuse.sshfs me@host: rw
35 28 8:33 / /mnt/windows rw - fuseblk /dev/sdc1 rw
36 28 0:50 / /var/lib/docker/overlay2/abc/merged rw - overlay overlay rw
37 28 0:51 / /data rw - autofs systemd-1 rw
38 37 8:49 / /data rw - ext4 /dev/sdd1 rw
39 28 253:3 / /var/lib/kubelet/pods/x/volumes/y rw - ext4 /dev/mapper/z rw
";

    #[test]
    fn a_server_reports_each_real_disk_once() {
        check(
            SERVER,
            "",
            &[
                ("/", "/dev/sda1", "ext4"),
                ("/data", "/dev/sdd1", "ext4"),
                ("/boot/efi", "/dev/sda2", "vfat"),
                ("/mnt/windows", "/dev/sdc1", "fuseblk"),
                ("/srv/backup disk", "/dev/sdb1", "xfs"),
            ],
        );
    }

    #[test]
    fn an_include_list_is_exact_and_overrides_types() {
        check(
            SERVER,
            "disk:\n  include_mount_points: [/mnt/nas, /var/www, /run]\n",
            &[
                ("/mnt/nas", "nas:/export", "nfs4"),
                ("/run", "tmpfs", "tmpfs"),
                ("/var/www", "/dev/sda1", "ext4"),
            ],
        );
    }

    #[test]
    fn lists_of_exclusions_are_replaced() {
        let yaml = "disk:\n  exclude_mount_points: ['/mnt/*', /data, '/boot/*', '/var/lib/*']\n";
        check(SERVER, yaml, &[("/", "/dev/sda1", "ext4"), ("/srv/backup disk", "/dev/sdb1", "xfs")]);
    }

    #[test]
    fn in_a_container_the_overlay_at_the_root_is_the_disk() {
        let mountinfo = "\
500 400 0:60 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a:/b,upperdir=/c
501 500 0:61 / /proc rw - proc proc rw
502 500 8:1 /var/lib/docker/containers/x/hosts /etc/hosts rw - ext4 /dev/sda1 rw
503 500 8:1 /var/lib/docker/volumes/v/_data /data rw - ext4 /dev/sda1 rw
504 500 0:63 / /dev/shm rw - tmpfs shm rw
";
        check(mountinfo, "", &[("/", "overlay", "overlay"), ("/data", "/dev/sda1", "ext4")]);
    }

    #[test]
    fn subvolumes_of_btrfs_are_one_disk() {
        let mountinfo = "\
30 1 0:27 /@ / rw - btrfs /dev/nvme0n1p2 rw,subvol=/@
31 30 0:27 /@home /home rw - btrfs /dev/nvme0n1p2 rw,subvol=/@home
32 30 0:33 /@log /var/log rw - btrfs /dev/nvme0n1p2 rw,subvol=/@log
33 30 0:44 / /tank rw - zfs tank rw
34 30 0:45 / /tank/vm rw - zfs tank/vm rw
35 30 0:45 /images /srv/images rw - zfs tank/vm rw
";
        check(
            mountinfo,
            "",
            &[("/", "/dev/nvme0n1p2", "btrfs"), ("/tank", "tank", "zfs"), ("/tank/vm", "tank/vm", "zfs")],
        );
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        check("\n1 2 3\n28 1 8:1 / / rw - \n28 1 8:1 / /x rw - ext4\n", "", &[]);
    }

    #[test]
    fn escapes_are_undone() {
        for (text, expected) in [
            ("a\\040b\\134c", "a b\\c"),
            ("\\011", "\t"),
            ("end\\04", "end\\04"),
            ("\\", "\\"),
            ("a\\9zz", "a\\9zz"),
            ("é\\040ö", "é ö"),
        ] {
            assert_eq!(unescape(text), expected);
        }
    }
}
