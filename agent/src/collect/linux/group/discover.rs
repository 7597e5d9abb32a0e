//! Finds the control groups of containers, virtual machines and units. Only names are read, level by level from the root,
//! and only where groups below one another can be.

use std::fs;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::identity::{self, Identity};

/// Maximum number of directories whose entries are listed.
const DIRECTORIES_MAX: usize = 4_096;

/// Maximum number of groups that are found.
pub(super) const GROUPS_MAX: usize = 8_192;

/// Maximum depth of a group: `user.slice/user-N.slice/user@N.service/user.slice/…` has two or three more.
const DEPTH_MAX: usize = 10;

/// Groups that contain only processes.
const LEAVES: [&str; 5] = [".scope", ".mount", ".socket", ".swap", ".device"];

/// A group of interest.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Its path; the same when it is made again.
    pub(super) path: PathBuf,
    /// Different when it is made again.
    pub(super) inode: u64,
    pub(super) identity: Identity,
}

/// Returns the groups below `root`, at most [`GROUPS_MAX`]. `is_wanted` chooses among units, by name.
pub(super) fn groups(root: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut level = vec![root.to_owned()];
    let mut n_listed = 0;
    for depth in 0..DEPTH_MAX {
        let mut next = Vec::new();
        for dir in level {
            n_listed += 1;
            if DIRECTORIES_MAX < n_listed || GROUPS_MAX <= groups.len() {
                groups.truncate(GROUPS_MAX);
                return groups;
            }
            // The root is a mount point, whose name says nothing.
            let parent = dir.file_name().and_then(|name| name.to_str()).filter(|_| 0 < depth);
            list(&dir, parent.unwrap_or_default(), &is_wanted, &mut groups, &mut next);
        }
        level = next;
    }
    groups.truncate(GROUPS_MAX);
    groups
}

fn list(
    dir: &Path,
    parent: &str,
    is_wanted: impl Fn(&str) -> bool,
    groups: &mut Vec<Group>,
    next: &mut Vec<PathBuf>,
) {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for entry in dirs.take(GROUPS_MAX) {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let group = |identity| Group { path: entry.path(), inode: entry.ino(), identity };
        // What is inside a container is part of it.
        if let Some(identity) = identity::identify(parent, name) {
            groups.push(group(identity));
            continue;
        }
        // Units of users have the same names as those of the system.
        let is_system = !dir.components().any(|part| part.as_os_str().to_string_lossy().starts_with("user@"));
        if let Some(unit) = identity::unit(name).filter(|unit| is_system && is_wanted(&unit.name)) {
            groups.push(group(unit));
        }
        let is_leaf = LEAVES.iter().any(|suffix| name.ends_with(suffix));
        if !is_leaf && has_groups(&entry.path()) {
            next.push(entry.path());
        }
    }
}

/// Returns whether there may be groups in a group: the kernel counts them as links of the directory.
fn has_groups(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|metadata| metadata.nlink() != 2)
}
