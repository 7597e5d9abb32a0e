//! Collectors for Linux, from `/proc` and `/sys`.

mod cgroup;
mod cpu;
mod disk;
mod load;
mod memory;
mod mountinfo;
mod network;
mod stat;
mod view;
mod virtualization;

pub(super) use cpu::Cpu;
pub(super) use disk::DiskSource;
pub(super) use load::Load;
pub(super) use memory::MemorySource;
pub(super) use network::NetworkSource;
pub(super) use stat::StatFile;
pub(super) use view::view;
pub(super) use virtualization::virtualization;
