//! Collectors for Linux, from `/proc` and `/sys`.

mod attribute;
mod block;
mod cgroup;
mod cpu;
mod disk;
mod disk_io;
mod keyed;
mod link;
mod load;
mod memory;
mod mountinfo;
mod network;
mod page;
mod pressure;
mod stat;
mod system;
mod view;
mod virtualization;

pub(super) use cpu::Cpu;
pub(super) use disk::DiskSource;
pub(super) use disk_io::DiskIo;
pub(super) use link::LinkSource;
pub(super) use load::Load;
pub(super) use memory::MemorySource;
pub(super) use network::NetworkSource;
pub(super) use pressure::Pressure;
pub(super) use stat::StatFile;
pub(super) use system::System;
pub(super) use view::view;
pub(super) use virtualization::virtualization;
