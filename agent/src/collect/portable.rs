//! Collectors for all other systems, based on the crate sysinfo. Their tests run on Linux, too.

mod cpu;
mod disk;
mod link;
mod load;
mod memory;
mod network;

#[cfg(not(target_os = "linux"))]
mod absent;

#[cfg(not(target_os = "linux"))]
pub(super) use absent::{DiskIo, Parts, Pressure, System, view};
pub(super) use cpu::Cpu;
pub(super) use disk::DiskSource;
pub(super) use link::LinkSource;
pub(super) use load::Load;
pub(super) use memory::MemorySource;
pub(super) use network::NetworkSource;

/// What collectors share on Linux; nothing here.
#[derive(Clone)]
pub(super) struct StatFile;

#[cfg(not(target_os = "linux"))]
impl StatFile {
    pub(super) fn new(_: &super::Roots) -> StatFile {
        StatFile
    }
}
