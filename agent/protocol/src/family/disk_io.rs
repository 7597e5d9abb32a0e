//! Block devices: reads, writes, and how long they took.

use super::{Bounds, SeriesNames};
use crate::limits::{DEVICES_PER_SAMPLE_MAX, NAME_CHARS_MAX};

family! {
    /// What one block device has read and written since the previous sample.
    DiskIoMetrics, DiskIoNumbers in "disk_io_metrics";
    series "device_key" named by SeriesNames::Shared, at most DEVICES_PER_SAMPLE_MAX => {
        /// The kernel's name of the device; identifies it within its agent.
        device "device" => name, NAME_CHARS_MAX;
        /// `physical`, `md` (RAID), `dm` (LVM, encryption), `zvol` or `multipath`. Only physical devices add up: the
        /// others repeat what the devices below them do.
        kind "kind" => kind, NAME_CHARS_MAX;
        /// The model; empty if unknown.
        model "model" => model, NAME_CHARS_MAX;
        /// `rotating`, `solid`, or empty if unknown.
        media "media" => media, NAME_CHARS_MAX;
    }
    required {}
    optional {
        /// The time that the amounts cover, in milliseconds.
        interval_ms "intervalMs" => interval_ms: i64, Bounds::NotNegative;
        /// Bytes read.
        read_bytes "readBytes" => read_bytes: i64, Bounds::NotNegative;
        /// Bytes written.
        written_bytes "writtenBytes" => written_bytes: i64, Bounds::NotNegative;
        /// Reads completed.
        reads "reads" => reads: i64, Bounds::NotNegative;
        /// Writes completed.
        writes "writes" => writes: i64, Bounds::NotNegative;
        /// Flushes completed.
        flushes "flushes" => flushes: i64, Bounds::NotNegative;
        /// How long the reads took together, in milliseconds.
        read_ms "readMs" => read_ms: i64, Bounds::NotNegative;
        /// How long the writes took together, in milliseconds.
        write_ms "writeMs" => write_ms: i64, Bounds::NotNegative;
        /// How long at least one request was under way, in milliseconds.
        busy_ms "busyMs" => busy_ms: i64, Bounds::NotNegative;
        /// How long all requests together were under way, in milliseconds.
        queued_ms "queuedMs" => queued_ms: i64, Bounds::NotNegative;
    }
    family "disk_io" {
        rate "readBytesPerSecond" = read_bytes, BytesPerSecond;
        rate "writtenBytesPerSecond" = written_bytes, BytesPerSecond;
        ratio "busyPercent" = busy_ms, Percent, over interval_ms, 100.0;
        ratio "queueLength" = queued_ms, Count, over interval_ms, 1.0;
        ratio "readAwaitMs" = read_ms, Milliseconds, over reads, 1.0;
        ratio "writeAwaitMs" = write_ms, Milliseconds, over writes, 1.0;
        rate "readsPerSecond" = reads, PerSecond;
        rate "writesPerSecond" = writes, PerSecond;
        rate "flushesPerSecond" = flushes, PerSecond;
    }
}
