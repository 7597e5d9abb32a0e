//! Memory and swap.

use super::Bounds;

family! {
    /// Memory and swap, in bytes. `used` is `total - available`, as `free` counts it.
    MemoryMetrics, MemoryNumbers in "memory_metrics";
    required {
        /// Total memory of the machine (or its cgroup).
        total "total" => total_bytes: i64, Bounds::NotNegative;
        /// `total - available`.
        used "used" => used_bytes: i64, Bounds::NotNegative;
        /// Completely unused memory.
        free "free" => free_bytes: i64, Bounds::NotNegative;
        /// Percent of `total` in use (0–100).
        usage_percent "usagePercent" => usage_percent: f32, Bounds::Percent;
    }
    optional {
        /// Memory available to programs without swapping.
        available "available" => available_bytes: i64, Bounds::NotNegative;
        /// Total swap; zero or absent if there is none.
        swap_total "swapTotal" => swap_total_bytes: i64, Bounds::NotNegative;
        /// Swap in use.
        swap_used "swapUsed" => swap_used_bytes: i64, Bounds::NotNegative;
    }
    family "memory" {
        gauge "usagePercent" = usage_percent, Percent;
        level "usedBytes" = used_bytes, Bytes;
        gauge "freeBytes" = free_bytes, Bytes;
        gauge "availableBytes" = available_bytes, Bytes;
        level "totalBytes" = total_bytes, Bytes;
        gauge "swapUsedBytes" = swap_used_bytes, Bytes;
        gauge "swapTotalBytes" = swap_total_bytes, Bytes;
    }
}

impl Copy for MemoryMetrics {}
