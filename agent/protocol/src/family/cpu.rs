//! The processor.

use super::{Bounds, Histogram};
use crate::limits::CORE_COUNT_MAX;

family! {
    /// Processor use since the previous sample, over all cores.
    CpuMetrics, CpuNumbers in "cpu_metrics";
    required {
        /// Percent of all cores' time that was not idle (0–100).
        usage_percent "usagePercent" => usage_percent: f32, Bounds::Percent;
        /// Logical cores.
        #[serde(alias = "logicalCores")]
        core_count "coreCount" => core_count: i32, Bounds::UpTo(CORE_COUNT_MAX);
    }
    optional {
        /// Percent in user mode, `nice` included.
        user_percent "userPercent" => user_percent: f32, Bounds::Percent;
        /// Percent in the kernel, interrupts included.
        system_percent "systemPercent" => system_percent: f32, Bounds::Percent;
        /// Percent idle while waiting for a disk.
        iowait_percent "iowaitPercent" => iowait_percent: f32, Bounds::Percent;
        /// Percent taken by the hypervisor for other machines.
        steal_percent "stealPercent" => steal_percent: f32, Bounds::Percent;
    }
    family "cpu" {
        gauge "usagePercent" = usage_percent, Percent;
        gauge "userPercent" = user_percent, Percent;
        gauge "systemPercent" = system_percent, Percent;
        gauge "iowaitPercent" = iowait_percent, Percent;
        gauge "stealPercent" = steal_percent, Percent;
        level "coreCount" = core_count, Count;
    }
    // Bins of one percentage point.
    histogram Histogram {
        metric: "usagePercent",
        column: "usage_percent",
        min: 0.0,
        max: 100.0,
        n_bins: 100,
        logarithm_offset: None,
    };
}

impl Copy for CpuMetrics {}
