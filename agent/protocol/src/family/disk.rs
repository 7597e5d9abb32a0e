//! File systems.

use super::{Bounds, SeriesNames};
use crate::limits::{DISKS_PER_SAMPLE_MAX, NAME_CHARS_MAX, PATH_CHARS_MAX};

family! {
    /// One mounted file system, sizes in bytes.
    DiskMetrics, DiskNumbers in "disk_metrics";
    series "disk_key" named by SeriesNames::Own("disks"), at most DISKS_PER_SAMPLE_MAX => {
        /// The mount point; identifies the disk within its agent.
        mount_point "mountPoint" => mount_point, PATH_CHARS_MAX;
        /// The device, for example `/dev/sda1`.
        device "device" => device, PATH_CHARS_MAX;
        /// The file system's type, for example `ext4`.
        #[serde(alias = "fsType")]
        fs_type "fstype" => fs_type, NAME_CHARS_MAX;
    }
    required {
        /// Size of the file system.
        total "total" => total_bytes: i64, Bounds::NotNegative;
        /// Bytes in use, without those reserved for root.
        used "used" => used_bytes: i64, Bounds::NotNegative;
        /// Bytes that an unprivileged program can still write.
        free "free" => free_bytes: i64, Bounds::NotNegative;
        /// Percent used, as `df` counts it: used / (used + free) (0–100).
        usage_percent "usagePercent" => usage_percent: f32, Bounds::Percent;
    }
    optional {
        /// Percent of inodes in use (0–100), if the file system has a fixed number of them.
        inodes_usage_percent "inodesUsagePercent" => inodes_usage_percent: f32, Bounds::Percent;
    }
    family "disk" {
        gauge "usagePercent" = usage_percent, Percent;
        level "usedBytes" = used_bytes, Bytes;
        level "freeBytes" = free_bytes, Bytes;
        level "totalBytes" = total_bytes, Bytes;
        gauge "inodesUsagePercent" = inodes_usage_percent, Percent;
    }
}
