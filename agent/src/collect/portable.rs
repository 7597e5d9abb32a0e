//! Collectors for all other systems, based on the crate sysinfo. Their tests run on Linux, too.

mod cpu;
mod disk;
mod load;
mod memory;
mod network;

pub(super) use cpu::Cpu;
pub(super) use disk::DiskSource;
pub(super) use load::Load;
pub(super) use memory::MemorySource;
pub(super) use network::NetworkSource;
