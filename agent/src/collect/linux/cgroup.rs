//! The memory limit of the container that the agent runs in, from control groups version 2 or 1.
//!
//! Only the topmost visible group is read. On a machine that is the real root, which has no limit; in a container it is
//! the container's own group. The agent's own group is deliberately ignored: a `MemoryMax=` in its systemd unit limits
//! the agent, not the machine.

use std::path::{Path, PathBuf};

use crate::collect::memory::{CgroupMemory, CgroupSwap};
use crate::collect::proc_file::ProcFile;

/// The files of a visible root group that has a memory limit.
pub(super) struct Cgroup {
    limit: ProcFile,
    usage: ProcFile,
    stat: ProcFile,
    /// The key of reclaimable file pages in `stat`.
    inactive_file_key: &'static str,
    /// Limit and usage of swap, in version 2 only.
    swap: Option<(ProcFile, ProcFile)>,
}

impl Cgroup {
    /// Returns the group below `root`, if the kernel exposes one.
    pub(super) fn detect(root: &Path) -> Option<Cgroup> {
        let file = |dir: &Path, name: &str| ProcFile::new(dir.join(name));
        if root.join("memory.max").exists() {
            return Some(Cgroup {
                limit: file(root, "memory.max"),
                usage: file(root, "memory.current"),
                stat: file(root, "memory.stat"),
                inactive_file_key: "inactive_file",
                swap: Some((file(root, "memory.swap.max"), file(root, "memory.swap.current"))),
            });
        }
        let dir: PathBuf = root.join("memory");
        dir.join("memory.limit_in_bytes").exists().then(|| Cgroup {
            limit: file(&dir, "memory.limit_in_bytes"),
            usage: file(&dir, "memory.usage_in_bytes"),
            stat: file(&dir, "memory.stat"),
            inactive_file_key: "total_inactive_file",
            swap: None,
        })
    }

    /// Returns the current values; `None` if there is no limit, or the group is gone.
    pub(super) fn read(&mut self) -> Option<CgroupMemory> {
        let limit = parse_limit(self.limit.read().ok()?)?;
        // Version 1's value for no limit; skips two reads on most machines.
        if 1 << 60 < limit {
            return None;
        }
        let usage = parse_limit(self.usage.read().ok()?)?;
        let inactive_file = self.stat.read().ok().and_then(|text| value_of(text, self.inactive_file_key));
        let swap = self.swap.as_mut().and_then(|(limit, usage)| {
            Some(CgroupSwap {
                limit: parse_limit(limit.read().ok()?).unwrap_or(u64::MAX),
                usage: parse_limit(usage.read().ok()?)?,
            })
        });
        Some(CgroupMemory { limit, usage, inactive_file: inactive_file.unwrap_or(0), swap })
    }
}

/// Parses a number of bytes; `None` for `max`.
fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Returns the number after `key` in lines of the form `key number`.
fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn group(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, contents) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        dir
    }

    #[test]
    fn version_2() {
        let dir = group(&[
            ("memory.max", "268435456\n"),
            ("memory.current", "200000000\n"),
            ("memory.stat", "anon 1\nfile 2\ninactive_anon 3\ninactive_file 50000000\n"),
            ("memory.swap.max", "max\n"),
            ("memory.swap.current", "4096\n"),
        ]);
        let memory = Cgroup::detect(dir.path()).unwrap().read().unwrap();
        let swap = Some(CgroupSwap { limit: u64::MAX, usage: 4_096 });
        assert_eq!(
            memory,
            CgroupMemory { limit: 268_435_456, usage: 200_000_000, inactive_file: 50_000_000, swap }
        );
        fs::write(dir.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(Cgroup::detect(dir.path()).unwrap().read(), None);
    }

    #[test]
    fn version_1() {
        let dir = group(&[
            ("memory/memory.limit_in_bytes", "268435456\n"),
            ("memory/memory.usage_in_bytes", "200000000\n"),
            ("memory/memory.stat", "inactive_file 1\ntotal_inactive_file 7\n"),
        ]);
        let memory = Cgroup::detect(dir.path()).unwrap().read().unwrap();
        assert_eq!((memory.limit, memory.inactive_file, memory.swap), (268_435_456, 7, None));
        fs::write(dir.path().join("memory/memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        assert_eq!(Cgroup::detect(dir.path()).unwrap().read(), None);
    }

    #[test]
    fn the_true_root_has_no_limit() {
        assert!(Cgroup::detect(group(&[("cgroup.controllers", "memory\n")]).path()).is_none());
    }
}
