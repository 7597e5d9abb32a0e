//! Pressure: how long tasks waited for processor, memory and disks, what the scheduler did, and what was paged.

use super::Bounds;

family! {
    /// Waiting, scheduling and paging since the previous sample.
    PressureMetrics, PressureNumbers in "pressure_metrics";
    required {}
    optional {
        /// The time that the amounts cover, in milliseconds.
        interval_ms "intervalMs" => interval_ms: i64, Bounds::NotNegative;
        /// How long at least one task waited for a processor, in microseconds.
        cpu_some_us "cpuSomeUs" => cpu_some_us: i64, Bounds::NotNegative;
        /// How long at least one task waited for memory, in microseconds.
        memory_some_us "memorySomeUs" => memory_some_us: i64, Bounds::NotNegative;
        /// How long all tasks that were not idle waited for memory, in microseconds.
        memory_full_us "memoryFullUs" => memory_full_us: i64, Bounds::NotNegative;
        /// How long at least one task waited for a disk, in microseconds.
        io_some_us "ioSomeUs" => io_some_us: i64, Bounds::NotNegative;
        /// How long all tasks that were not idle waited for a disk, in microseconds.
        io_full_us "ioFullUs" => io_full_us: i64, Bounds::NotNegative;
        /// How long all tasks waited for interrupts to be handled, in microseconds.
        irq_full_us "irqFullUs" => irq_full_us: i64, Bounds::NotNegative;
        /// Context switches.
        context_switches "contextSwitches" => context_switches: i64, Bounds::NotNegative;
        /// Processes and threads created.
        forks "forks" => forks: i64, Bounds::NotNegative;
        /// Page faults that had to read from a disk.
        major_faults "majorFaults" => major_faults: i64, Bounds::NotNegative;
        /// Bytes read from swap.
        swap_in_bytes "swapInBytes" => swap_in_bytes: i64, Bounds::NotNegative;
        /// Bytes written to swap.
        swap_out_bytes "swapOutBytes" => swap_out_bytes: i64, Bounds::NotNegative;
        /// Processes killed because memory ran out.
        oom_kills "oomKills" => oom_kills: i64, Bounds::NotNegative;
        /// Tasks that run or are ready to run.
        runnable_tasks "runnableTasks" => runnable_tasks: i32, Bounds::NotNegative;
        /// Tasks that wait for a disk or the like and cannot be interrupted.
        blocked_tasks "blockedTasks" => blocked_tasks: i32, Bounds::NotNegative;
        /// Percent of its time that the busiest processor core was not idle (0–100).
        busiest_core_percent "busiestCorePercent" => busiest_core_percent: f32, Bounds::Percent;
    }
    family "pressure" {
        ratio "cpuSomePercent" = cpu_some_us, Percent, over interval_ms, 0.1;
        ratio "memorySomePercent" = memory_some_us, Percent, over interval_ms, 0.1;
        ratio "memoryFullPercent" = memory_full_us, Percent, over interval_ms, 0.1;
        ratio "ioSomePercent" = io_some_us, Percent, over interval_ms, 0.1;
        ratio "ioFullPercent" = io_full_us, Percent, over interval_ms, 0.1;
        ratio "irqFullPercent" = irq_full_us, Percent, over interval_ms, 0.1;
    }
    family "scheduler" {
        gauge "runnableTasks" = runnable_tasks, Count;
        gauge "blockedTasks" = blocked_tasks, Count;
        gauge "busiestCorePercent" = busiest_core_percent, Percent;
        rate "contextSwitchesPerSecond" = context_switches, PerSecond;
        rate "forksPerSecond" = forks, PerSecond;
    }
    family "paging" {
        rate "majorFaultsPerSecond" = major_faults, PerSecond;
        rate "swapInBytesPerSecond" = swap_in_bytes, BytesPerSecond;
        rate "swapOutBytesPerSecond" = swap_out_bytes, BytesPerSecond;
        per_hour "oomKillsPerHour" = oom_kills, PerHour;
    }
}
