//! Memory and swap, from sysinfo.

use sysinfo::{MemoryRefreshKind, System};

use crate::collect::memory::{CgroupMemory, MachineMemory};
use crate::collect::{CollectError, Roots};

/// The machine's memory.
pub(in crate::collect) struct MemorySource {
    system: Option<System>,
}

impl MemorySource {
    pub(in crate::collect) fn new(_: &Roots) -> MemorySource {
        MemorySource { system: System::new().ok() }
    }

    pub(in crate::collect) fn read(&mut self) -> Result<(MachineMemory, Option<CgroupMemory>), CollectError> {
        let system = self.system.as_mut().ok_or(CollectError::Unsupported)?;
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram().with_swap());
        let machine = MachineMemory {
            total: system.total_memory(),
            free: system.free_memory(),
            available: system.available_memory(),
            swap_total: system.total_swap(),
            swap_used: system.used_swap(),
        };
        Ok((machine, None))
    }
}

#[cfg(test)]
#[test]
fn this_machine_has_memory() {
    let (machine, _) = MemorySource::new(&Roots::default()).read().unwrap();
    assert!(0 < machine.total && machine.available <= machine.total);
}
