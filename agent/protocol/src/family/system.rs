//! The operating system: sockets, kernel tables, the parts of memory, and its health.

use super::Bounds;

family! {
    /// Sockets, kernel tables, the parts of memory, and the health of the operating system and of the agent itself.
    SystemMetrics, SystemNumbers in "system_metrics", rolled up from Hour;
    required {}
    optional {
        /// The time that the amounts cover, in milliseconds.
        interval_ms "intervalMs" => interval_ms: i64, Bounds::NotNegative;
        /// Memory of TCP's buffers, in bytes.
        tcp_memory_bytes "tcpMemoryBytes" => tcp_memory_bytes: i64, Bounds::NotNegative;
        /// TCP segments sent.
        tcp_out_segments "tcpOutSegments" => tcp_out_segments: i64, Bounds::NotNegative;
        /// TCP segments sent again.
        tcp_retransmits "tcpRetransmits" => tcp_retransmits: i64, Bounds::NotNegative;
        /// Connections dropped by listening sockets.
        tcp_listen_drops "tcpListenDrops" => tcp_listen_drops: i64, Bounds::NotNegative;
        /// Connections dropped because the queue of a listening socket was full.
        tcp_listen_overflows "tcpListenOverflows" => tcp_listen_overflows: i64, Bounds::NotNegative;
        /// Retransmission timeouts.
        tcp_timeouts "tcpTimeouts" => tcp_timeouts: i64, Bounds::NotNegative;
        /// Connections reset by this machine.
        tcp_resets_sent "tcpResetsSent" => tcp_resets_sent: i64, Bounds::NotNegative;
        /// Connections that could not be established.
        tcp_failed_connects "tcpFailedConnects" => tcp_failed_connects: i64, Bounds::NotNegative;
        /// UDP datagrams that could not be delivered.
        udp_receive_errors "udpReceiveErrors" => udp_receive_errors: i64, Bounds::NotNegative;
        /// UDP datagrams lost because a buffer was full.
        udp_buffer_errors "udpBufferErrors" => udp_buffer_errors: i64, Bounds::NotNegative;
        /// Packets dropped because the kernel's queue was full.
        softnet_dropped "softnetDropped" => softnet_dropped: i64, Bounds::NotNegative;
        /// How often the kernel left packets for later because time ran out.
        softnet_squeezed "softnetSqueezed" => softnet_squeezed: i64, Bounds::NotNegative;
        /// Tracked connections.
        conntrack_entries "conntrackEntries" => conntrack_entries: i64, Bounds::NotNegative;
        /// Maximum number of tracked connections.
        conntrack_max "conntrackMax" => conntrack_max: i64, Bounds::NotNegative;
        /// Open files of all processes.
        open_files "openFiles" => open_files: i64, Bounds::NotNegative;
        /// Maximum number of open files.
        open_files_max "openFilesMax" => open_files_max: i64, Bounds::NotNegative;
        /// Seconds since boot.
        uptime_seconds "uptimeSeconds" => uptime_seconds: i64, Bounds::NotNegative;
        /// Cached files, in bytes, without shared memory.
        cached_bytes "cachedBytes" => cached_bytes: i64, Bounds::NotNegative;
        /// Buffers of block devices, in bytes.
        buffers_bytes "buffersBytes" => buffers_bytes: i64, Bounds::NotNegative;
        /// Memory of the kernel's objects that can be reclaimed, in bytes.
        slab_reclaimable_bytes "slabReclaimableBytes" => slab_reclaimable_bytes: i64, Bounds::NotNegative;
        /// Shared memory, in bytes.
        shared_bytes "sharedBytes" => shared_bytes: i64, Bounds::NotNegative;
        /// Memory that waits to be written to disk, in bytes.
        dirty_bytes "dirtyBytes" => dirty_bytes: i64, Bounds::NotNegative;
        /// Memory that is being written to disk, in bytes.
        writeback_bytes "writebackBytes" => writeback_bytes: i64, Bounds::NotNegative;
        /// Memory of processes that no file backs, in bytes.
        anonymous_bytes "anonymousBytes" => anonymous_bytes: i64, Bounds::NotNegative;
        /// Memory promised to processes, in bytes.
        committed_bytes "committedBytes" => committed_bytes: i64, Bounds::NotNegative;
        /// Maximum of the promised memory where the kernel enforces one, in bytes.
        commit_limit_bytes "commitLimitBytes" => commit_limit_bytes: i64, Bounds::NotNegative;
        /// Memory reserved as huge pages, in bytes.
        hugepages_total_bytes "hugepagesTotalBytes" => hugepages_total_bytes: i64, Bounds::NotNegative;
        /// The free part of it, in bytes.
        hugepages_free_bytes "hugepagesFreeBytes" => hugepages_free_bytes: i64, Bounds::NotNegative;
        /// The cache of ZFS (ARC), in bytes.
        arc_bytes "arcBytes" => arc_bytes: i64, Bounds::NotNegative;
        /// The part of it that can be reclaimed, in bytes.
        arc_reclaimable_bytes "arcReclaimableBytes" => arc_reclaimable_bytes: i64, Bounds::NotNegative;
        /// How often processors were slowed down because of heat.
        thermal_throttles "thermalThrottles" => thermal_throttles: i64, Bounds::NotNegative;
        /// Memory errors that were corrected.
        memory_errors_corrected "memoryErrorsCorrected" => memory_errors_corrected: i64, Bounds::NotNegative;
        /// Memory errors that could not be corrected.
        memory_errors_uncorrected "memoryErrorsUncorrected" => memory_errors_uncorrected: i64, Bounds::NotNegative;
        /// Memory of the agent, in bytes.
        agent_memory_bytes "agentMemoryBytes" => agent_memory_bytes: i64, Bounds::NotNegative;
        /// Samples of the agent that the server has not acknowledged yet, on disk, in bytes.
        spool_bytes "spoolBytes" => spool_bytes: i64, Bounds::NotNegative;
        /// Established TCP connections.
        tcp_established "tcpEstablished" => tcp_established: i32, Bounds::NotNegative;
        /// TCP connections in the state TIME-WAIT.
        tcp_time_wait "tcpTimeWait" => tcp_time_wait: i32, Bounds::NotNegative;
        /// TCP connections that belong to no process any more.
        tcp_orphaned "tcpOrphaned" => tcp_orphaned: i32, Bounds::NotNegative;
        /// UDP sockets.
        udp_in_use "udpInUse" => udp_in_use: i32, Bounds::NotNegative;
        /// Processes.
        processes "processes" => processes: i32, Bounds::NotNegative;
        /// Processes and threads together.
        threads "threads" => threads: i32, Bounds::NotNegative;
        /// Login sessions.
        sessions "sessions" => sessions: i32, Bounds::NotNegative;
        /// Units of systemd that have failed.
        failed_units "failedUnits" => failed_units: i32, Bounds::NotNegative;
        /// 1 if an installed update waits for a reboot, otherwise 0.
        reboot_required "rebootRequired" => reboot_required: i32, Bounds::UpTo(1);
        /// 1 if the clock is synchronized, otherwise 0.
        time_synchronized "timeSynchronized" => time_synchronized: i32, Bounds::UpTo(1);
        /// Processor use of the agent, in percent of one core.
        agent_cpu_percent "agentCpuPercent" => agent_cpu_percent: f32, Bounds::NotNegative;
    }
    family "socket" {
        gauge "tcpEstablished" = tcp_established, Count;
        gauge "tcpTimeWait" = tcp_time_wait, Count;
        gauge "tcpOrphaned" = tcp_orphaned, Count;
        gauge "tcpMemoryBytes" = tcp_memory_bytes, Bytes;
        gauge "udpInUse" = udp_in_use, Count;
        ratio "tcpRetransmitPercent" = tcp_retransmits, Percent, over tcp_out_segments, 100.0;
        rate "tcpOutSegmentsPerSecond" = tcp_out_segments, PerSecond;
        rate "tcpListenDropsPerSecond" = tcp_listen_drops, PerSecond;
        rate "tcpListenOverflowsPerSecond" = tcp_listen_overflows, PerSecond;
        rate "tcpTimeoutsPerSecond" = tcp_timeouts, PerSecond;
        rate "tcpResetsSentPerSecond" = tcp_resets_sent, PerSecond;
        rate "tcpFailedConnectsPerSecond" = tcp_failed_connects, PerSecond;
        rate "udpReceiveErrorsPerSecond" = udp_receive_errors, PerSecond;
        rate "udpBufferErrorsPerSecond" = udp_buffer_errors, PerSecond;
        ratio "conntrackUsagePercent" = conntrack_entries, Percent, over conntrack_max, 100.0;
        rate "softnetDroppedPerSecond" = softnet_dropped, PerSecond;
        rate "softnetSqueezedPerSecond" = softnet_squeezed, PerSecond;
    }
    family "kernel" {
        level "processes" = processes, Count;
        level "threads" = threads, Count;
        level "openFiles" = open_files, Count;
        level "openFilesMax" = open_files_max, Count;
        gauge "sessions" = sessions, Count;
        level "uptimeSeconds" = uptime_seconds, Seconds;
    }
    family "memory_detail" {
        gauge "cachedBytes" = cached_bytes, Bytes;
        gauge "buffersBytes" = buffers_bytes, Bytes;
        gauge "slabReclaimableBytes" = slab_reclaimable_bytes, Bytes;
        gauge "sharedBytes" = shared_bytes, Bytes;
        gauge "dirtyBytes" = dirty_bytes, Bytes;
        gauge "writebackBytes" = writeback_bytes, Bytes;
        gauge "anonymousBytes" = anonymous_bytes, Bytes;
        gauge "committedBytes" = committed_bytes, Bytes;
        gauge "commitLimitBytes" = commit_limit_bytes, Bytes;
        gauge "hugepagesTotalBytes" = hugepages_total_bytes, Bytes;
        gauge "hugepagesFreeBytes" = hugepages_free_bytes, Bytes;
        gauge "arcBytes" = arc_bytes, Bytes;
        gauge "arcReclaimableBytes" = arc_reclaimable_bytes, Bytes;
    }
    family "health" {
        level "failedUnits" = failed_units, Count;
        level "rebootRequired" = reboot_required, Boolean;
        level "timeSynchronized" = time_synchronized, Boolean;
        per_hour "thermalThrottlesPerHour" = thermal_throttles, PerHour;
        per_hour "memoryErrorsCorrectedPerHour" = memory_errors_corrected, PerHour;
        per_hour "memoryErrorsUncorrectedPerHour" = memory_errors_uncorrected, PerHour;
        gauge "agentCpuPercent" = agent_cpu_percent, Percent;
        level "agentMemoryBytes" = agent_memory_bytes, Bytes;
        level "spoolBytes" = spool_bytes, Bytes;
    }
}
