//! Control groups: containers, virtual machines and units of systemd.

use super::{Bounds, SeriesNames};
use crate::limits::{CGROUPS_PER_SAMPLE_MAX, NAME_CHARS_MAX};

family! {
    /// What one container, virtual machine or unit uses.
    CgroupMetrics, CgroupNumbers in "cgroup_metrics", rolled up from Hour;
    series "cgroup_key" named by SeriesNames::Shared, at most CGROUPS_PER_SAMPLE_MAX => {
        /// Its name; identifies it within its agent. `(other)` stands for all that are too young or too many.
        cgroup "cgroup" => name, NAME_CHARS_MAX;
        /// `container`, `vm` or `unit`.
        kind "kind" => kind, NAME_CHARS_MAX;
        /// The id of the container, shortened; empty if it has none.
        container_id "containerId" => container_id, NAME_CHARS_MAX;
    }
    required {}
    optional {
        /// The time that the amounts cover, in milliseconds.
        interval_ms "intervalMs" => interval_ms: i64, Bounds::NotNegative;
        /// Processor time, in microseconds.
        cpu_us "cpuUs" => cpu_us: i64, Bounds::NotNegative;
        /// Scheduling periods in which it had something to run and a limit.
        periods "periods" => periods: i64, Bounds::NotNegative;
        /// Those of them in which it reached the limit.
        throttled_periods "throttledPeriods" => throttled_periods: i64, Bounds::NotNegative;
        /// Bytes read from disks.
        read_bytes "readBytes" => read_bytes: i64, Bounds::NotNegative;
        /// Bytes written to disks.
        written_bytes "writtenBytes" => written_bytes: i64, Bounds::NotNegative;
        /// Memory without cached files that are not in use, in bytes.
        memory_bytes "memoryBytes" => memory_bytes: i64, Bounds::NotNegative;
        /// The memory that it may use, in bytes; absent without a limit.
        memory_limit_bytes "memoryLimitBytes" => memory_limit_bytes: i64, Bounds::NotNegative;
        /// Its processes killed because memory ran out.
        oom_kills "oomKills" => oom_kills: i64, Bounds::NotNegative;
        /// How often it was started again.
        restarts "restarts" => restarts: i64, Bounds::NotNegative;
        /// Processes and threads.
        tasks "tasks" => tasks: i32, Bounds::NotNegative;
    }
    family "cgroup" {
        ratio "cpuCores" = cpu_us, Count, over interval_ms, 0.001;
        level "memoryBytes" = memory_bytes, Bytes;
        level "memoryLimitBytes" = memory_limit_bytes, Bytes;
        ratio "throttledPercent" = throttled_periods, Percent, over periods, 100.0;
        rate "readBytesPerSecond" = read_bytes, BytesPerSecond;
        rate "writtenBytesPerSecond" = written_bytes, BytesPerSecond;
        gauge "tasks" = tasks, Count;
        per_hour "oomKillsPerHour" = oom_kills, PerHour;
        per_hour "restartsPerHour" = restarts, PerHour;
    }
}
