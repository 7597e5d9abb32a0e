//! Memory and swap. `used` is `total - available`, the same number that `free` shows.
//!
//! In a container with a memory limit below the machine's memory, the limit is the total and the container's usage is
//! what is used, since that is what its programs can allocate.

use pika_protocol::MemoryMetrics;

use super::number::{float, percent, signed};
use super::platform::MemorySource;
use super::{CollectError, Collector, Roots, Tick};

/// The memory collector.
pub(super) struct Memory {
    source: MemorySource,
}

/// The machine's memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MachineMemory {
    pub(super) total: u64,
    pub(super) free: u64,
    pub(super) available: u64,
    pub(super) swap_total: u64,
    pub(super) swap_used: u64,
}

/// Limit and usage of a control group, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CgroupMemory {
    pub(super) limit: u64,
    pub(super) usage: u64,
    pub(super) inactive_file: u64,
    pub(super) swap: Option<CgroupSwap>,
}

/// Limit and usage of a control group's swap, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CgroupSwap {
    pub(super) limit: u64,
    pub(super) usage: u64,
}

impl Memory {
    pub(super) fn new(roots: &Roots) -> Memory {
        Memory { source: MemorySource::new(roots) }
    }
}

impl Collector for Memory {
    type Output = MemoryMetrics;

    fn collect(&mut self, _: Tick) -> Result<MemoryMetrics, CollectError> {
        let (machine, cgroup) = self.source.read()?;
        if machine.total == 0 {
            return Err(CollectError::NoData("the operating system reports no memory"));
        }
        Ok(metrics(machine, cgroup))
    }
}

fn metrics(machine: MachineMemory, cgroup: Option<CgroupMemory>) -> MemoryMetrics {
    let limited = cgroup.filter(|cgroup| cgroup.limit < machine.total);
    let Some(cgroup) = limited else {
        let available = machine.available.min(machine.total);
        return assemble(
            machine.total,
            machine.free,
            available,
            Some((machine.swap_total, machine.swap_used)),
        );
    };
    // The kernel reclaims inactive file pages before it refuses memory, so they are available.
    let used = cgroup.usage.saturating_sub(cgroup.inactive_file).min(cgroup.limit);
    let free = cgroup.limit.saturating_sub(cgroup.usage);
    let swap = cgroup.swap.map(|swap| (swap.limit.min(machine.swap_total), swap.usage));
    assemble(cgroup.limit, free, cgroup.limit - used, swap)
}

fn assemble(total: u64, free: u64, available: u64, swap: Option<(u64, u64)>) -> MemoryMetrics {
    let used = total - available;
    MemoryMetrics {
        total: signed(total),
        used: signed(used),
        free: signed(free.min(total)),
        usage_percent: percent(float(used), float(total)),
        available: Some(signed(available)),
        swap_total: swap.map(|(total, _)| signed(total)),
        swap_used: swap.map(|(total, used)| signed(used.min(total))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: MachineMemory =
        MachineMemory { total: 16_000, free: 1_000, available: 12_000, swap_total: 2_000, swap_used: 500 };

    #[test]
    fn used_is_what_is_not_available() {
        let memory = metrics(MACHINE, None);
        assert_eq!(
            (memory.total, memory.used, memory.free, memory.available),
            (16_000, 4_000, 1_000, Some(12_000))
        );
        assert_eq!(memory.usage_percent, 25.0);
        assert_eq!((memory.swap_total, memory.swap_used), (Some(2_000), Some(500)));
    }

    #[test]
    fn a_limit_below_the_machines_memory_is_the_total() {
        let swap = Some(CgroupSwap { limit: u64::MAX, usage: 100 });
        let cgroup = CgroupMemory { limit: 1_000, usage: 700, inactive_file: 200, swap };
        let memory = metrics(MACHINE, Some(cgroup));
        assert_eq!((memory.total, memory.used, memory.free, memory.available), (1_000, 500, 300, Some(500)));
        assert_eq!((memory.swap_total, memory.swap_used), (Some(2_000), Some(100)));
        let without_swap = metrics(MACHINE, Some(CgroupMemory { swap: None, ..cgroup }));
        assert_eq!(without_swap.swap_total, None, "the machine's swap is not the container's");
    }

    #[test]
    fn a_limit_above_the_machines_memory_is_none() {
        let cgroup =
            CgroupMemory { limit: 9_223_372_036_854_771_712, usage: 700, inactive_file: 0, swap: None };
        assert_eq!(metrics(MACHINE, Some(cgroup)), metrics(MACHINE, None));
    }

    #[test]
    fn this_machine_has_memory() {
        let memory = Memory::new(&Roots::default()).collect(Tick { uptime_ms: 1 }).unwrap();
        assert!(0 < memory.total && memory.used <= memory.total && memory.free <= memory.total);
        assert_eq!(memory.used + memory.available.unwrap(), memory.total);
    }
}
