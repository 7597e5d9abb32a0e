//! The parts of memory, from `/proc/meminfo`, and the cache of ZFS.

use std::path::PathBuf;

use pika_protocol::SystemMetrics;

use super::super::{attribute, keyed};
use crate::collect::number::signed;
use crate::collect::proc_file::ProcFile;
use crate::collect::{Roots, View};

/// Reads the parts of memory.
pub(super) struct MemoryDetail {
    meminfo: ProcFile,
    overcommit: PathBuf,
    arcstats: ProcFile,
    view: View,
}

impl MemoryDetail {
    pub(super) fn new(roots: &Roots, view: View) -> MemoryDetail {
        MemoryDetail {
            meminfo: ProcFile::new(roots.proc.join("meminfo")),
            overcommit: roots.proc.join("sys/vm/overcommit_memory"),
            arcstats: ProcFile::new(roots.proc.join("spl/kstat/zfs/arcstats")),
            view,
        }
    }

    /// Fills in what is there. A container without lxcfs is shown the memory of the whole machine, and one with it the
    /// cache of the whole machine's ZFS: these are left out.
    pub(super) fn read(&mut self, metrics: &mut SystemMetrics) {
        if self.view == View::Container {
            return;
        }
        let text = self.meminfo.read().unwrap_or_default();
        let bytes = |key| keyed::number(text, key)?.checked_mul(1024);
        let shared = bytes("Shmem");
        let cached = bytes("Cached").map(|cached| cached.saturating_sub(shared.unwrap_or(0)));
        metrics.cached_bytes = cached.map(signed);
        metrics.buffers_bytes = bytes("Buffers").map(signed);
        metrics.slab_reclaimable_bytes = bytes("SReclaimable").map(signed);
        metrics.shared_bytes = shared.map(signed);
        metrics.dirty_bytes = bytes("Dirty").map(signed);
        metrics.writeback_bytes = bytes("Writeback").map(signed);
        metrics.anonymous_bytes = bytes("AnonPages").map(signed);
        metrics.committed_bytes = bytes("Committed_AS").map(signed);
        // Otherwise the kernel shows a limit that it does not enforce.
        if attribute::number::<u8>(&self.overcommit) == Some(2) {
            metrics.commit_limit_bytes = bytes("CommitLimit").map(signed);
        }
        let page_bytes = bytes("Hugepagesize");
        let huge = |key| keyed::number(text, key)?.checked_mul(page_bytes?).map(signed);
        metrics.hugepages_total_bytes = huge("HugePages_Total");
        metrics.hugepages_free_bytes = huge("HugePages_Free");
        if self.view == View::Host
            && let Ok(text) = self.arcstats.read()
        {
            // Name, type, value.
            let value = |key| keyed::value(text, key)?.split_ascii_whitespace().nth(1)?.parse::<u64>().ok();
            metrics.arc_bytes = value("size").map(signed);
            let reclaimable =
                value("size").zip(value("c_min")).map(|(size, least)| size.saturating_sub(least));
            metrics.arc_reclaimable_bytes = reclaimable.map(signed);
        }
    }
}
