//! Mounted file systems, from `/proc/self/mountinfo`, and their space.

use std::io;
use std::path::Path;

use super::mountinfo;
use crate::collect::disk::{Mount, Space};
use crate::collect::proc_file::ProcFile;
use crate::collect::{CollectError, Roots};
use crate::config::DiskConfig;

/// The mounts of the agent's own mount namespace.
pub(in crate::collect) struct DiskSource {
    mountinfo: ProcFile,
}

impl DiskSource {
    pub(in crate::collect) fn new(roots: &Roots) -> DiskSource {
        DiskSource { mountinfo: ProcFile::new(roots.proc.join("self/mountinfo")) }
    }

    pub(in crate::collect) fn read(
        &mut self,
        config: &DiskConfig,
    ) -> Result<Vec<(Mount, io::Result<Space>)>, CollectError> {
        let mounts = mountinfo::select(self.mountinfo.read()?, config);
        let with_space = |mount: Mount| {
            let space = query_space(Path::new(&mount.mount_point))?;
            Some((mount, space))
        };
        Ok(mounts.into_iter().filter_map(with_space).collect())
    }
}

/// Returns the space; `None` if the mount point is not a directory: containers have single files, such as `/etc/hosts`,
/// mounted from their host's disk.
fn query_space(mount_point: &Path) -> Option<io::Result<Space>> {
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
