//! What the agent sees of the machine: all of it, or a container's part.

use std::fs;

use crate::collect::{Roots, View};

/// Returns the view, from the control group and the mounts that are visible.
pub(in crate::collect) fn view(roots: &Roots) -> View {
    let mountinfo = fs::read_to_string(roots.proc.join("self/mountinfo")).unwrap_or_default();
    let is_mounted = |mount_point: &str, fs_type: &str| {
        mountinfo.lines().any(|line| {
            let Some((mount, file_system)) = line.split_once(" - ") else { return false };
            mount.split(' ').nth(4) == Some(mount_point) && file_system.split(' ').next() == Some(fs_type)
        })
    };
    // In a namespace of its own, a container of LXC has a limit at its root group, too.
    if is_mounted("/proc/meminfo", "fuse.lxcfs") {
        return View::Lxc { has_own_diskstats: is_mounted("/proc/diskstats", "fuse.lxcfs") };
    }
    // The root group of a machine has no such file.
    if roots.sys.join("fs/cgroup/memory.max").exists() || is_mounted("/", "overlay") {
        return View::Container;
    }
    View::Host
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mountinfo: &str, files: &[&str]) -> View {
        let root = tempfile::tempdir().unwrap();
        let mounts = [("proc/self/mountinfo", mountinfo)];
        for (name, contents) in mounts.into_iter().chain(files.iter().map(|&name| (name, ""))) {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        view(&Roots::below(root.path()))
    }

    #[test]
    fn containers_are_told_from_machines() {
        let root = "28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n";
        let meminfo = "90 28 0:61 /proc/meminfo /proc/meminfo rw - fuse.lxcfs lxcfs rw\n";
        let diskstats = "91 28 0:61 /proc/diskstats /proc/diskstats rw - fuse.lxcfs lxcfs rw\n";
        assert_eq!(found(root, &["sys/fs/cgroup/cgroup.controllers"]), View::Host);
        assert_eq!(found(root, &["sys/fs/cgroup/memory.max"]), View::Container);
        assert_eq!(found("28 1 0:60 / / rw - overlay overlay rw\n", &[]), View::Container);
        let lxc = found(&format!("{root}{meminfo}"), &["sys/fs/cgroup/memory.max"]);
        assert_eq!(lxc, View::Lxc { has_own_diskstats: false });
        assert_eq!(found(&format!("{root}{meminfo}{diskstats}"), &[]), View::Lxc { has_own_diskstats: true });
        assert_eq!(found("", &[]), View::Host);
    }
}
