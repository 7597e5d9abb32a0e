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

use super::{Roots, View};

/// What collectors share on Linux; nothing here.
#[derive(Clone)]
pub(super) struct StatFile;

impl StatFile {
    pub(super) fn new(_: &Roots) -> StatFile {
        StatFile
    }
}

/// Returns that the agent sees the whole machine: there are no containers.
pub(super) fn view(_: &Roots) -> View {
    View::Host
}
