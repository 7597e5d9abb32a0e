//! Memory and swap, from `/proc/meminfo` and the visible control group.

use crate::collect::memory::{CgroupMemory, MachineMemory};
use crate::collect::proc_file::ProcFile;
use crate::collect::{CollectError, Roots};

use super::cgroup::Cgroup;

/// The machine's memory, and the limit of the container that the agent runs in.
pub(in crate::collect) struct MemorySource {
    meminfo: ProcFile,
    cgroup: Option<Cgroup>,
}

impl MemorySource {
    pub(in crate::collect) fn new(roots: &Roots) -> MemorySource {
        MemorySource {
            meminfo: ProcFile::new(roots.proc.join("meminfo")),
            cgroup: Cgroup::detect(&roots.sys.join("fs/cgroup")),
        }
    }

    pub(in crate::collect) fn read(&mut self) -> Result<(MachineMemory, Option<CgroupMemory>), CollectError> {
        let machine = parse(self.meminfo.read()?).ok_or(CollectError::Format("/proc/meminfo"))?;
        Ok((machine, self.cgroup.as_mut().and_then(Cgroup::read)))
    }
}

/// Parses lines of the form `MemTotal:       16316412 kB`.
fn parse(text: &str) -> Option<MachineMemory> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    let free = value("MemFree")?;
    // Kernels before 3.14 lack it; this is what they can certainly reclaim.
    let reclaimable = || free + value("Buffers").unwrap_or(0) + value("Cached").unwrap_or(0);
    let swap_total = value("SwapTotal").unwrap_or(0);
    Some(MachineMemory {
        total: value("MemTotal")?,
        free,
        available: value("MemAvailable").unwrap_or_else(reclaimable),
        swap_total,
        swap_used: swap_total.saturating_sub(value("SwapFree").unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "\
MemTotal:           1000 kB
MemFree:             200 kB
MemAvailable:        600 kB
Buffers:              10 kB
Cached:               90 kB
SwapCached:            7 kB
SwapTotal:           500 kB
SwapFree:            400 kB
HugePages_Total:       0
";

    #[test]
    fn numbers_are_in_bytes() {
        let kib = |value: u64| value * 1024;
        let memory = parse(MEMINFO).unwrap();
        let expected = MachineMemory {
            total: kib(1_000),
            free: kib(200),
            available: kib(600),
            swap_total: kib(500),
            swap_used: kib(100),
        };
        assert_eq!(memory, expected);
        let old = MEMINFO.replace("MemAvailable", "Other");
        assert_eq!(parse(&old).unwrap().available, kib(300));
        assert_eq!(parse("MemTotal: 1000 kB\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_container_is_read_from_the_roots_that_are_passed_in() {
        let directory = tempfile::tempdir().unwrap();
        let roots = Roots::below(directory.path());
        let cgroup = roots.sys.join("fs/cgroup");
        std::fs::create_dir_all(&roots.proc).unwrap();
        std::fs::create_dir_all(&cgroup).unwrap();
        std::fs::write(roots.proc.join("meminfo"), MEMINFO).unwrap();
        for (name, value) in
            [("memory.max", "4096"), ("memory.current", "1024"), ("memory.stat", "inactive_file 24")]
        {
            std::fs::write(cgroup.join(name), value).unwrap();
        }
        let (machine, cgroup) = MemorySource::new(&roots).read().unwrap();
        assert_eq!(machine.total, 1_024_000);
        let cgroup = cgroup.unwrap();
        assert_eq!((cgroup.limit, cgroup.usage, cgroup.inactive_file), (4_096, 1_024, 24));
    }
}
