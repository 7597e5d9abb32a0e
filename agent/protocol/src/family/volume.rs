//! Volumes: the health of RAID arrays, pools, file systems and drives.

use super::{Bounds, SeriesNames};
use crate::limits::{NAME_CHARS_MAX, VOLUMES_PER_SAMPLE_MAX};

family! {
    /// The health of one RAID array, pool, file system or drive.
    VolumeMetrics, VolumeNumbers in "volume_metrics", rolled up from Hour;
    series "volume_key" named by SeriesNames::Shared, at most VOLUMES_PER_SAMPLE_MAX => {
        /// Kind and name; identifies the volume within its agent.
        volume "volume" => name, NAME_CHARS_MAX;
        /// `md`, `zpool`, `btrfs`, `filesystem`, `nvme`, `emmc` or `drive`.
        kind "kind" => kind, NAME_CHARS_MAX;
        /// The model or RAID level; empty if unknown.
        model "model" => model, NAME_CHARS_MAX;
    }
    required {
        /// 0 fine, 1 working (checking, rebuilding), 2 degraded, 3 failed or read-only because of errors, 4 asleep.
        state "state" => state: i32, Bounds::UpTo(4);
    }
    optional {
        /// The time that the amounts cover, in milliseconds.
        interval_ms "intervalMs" => interval_ms: i64, Bounds::NotNegative;
        /// Reads that failed.
        read_errors "readErrors" => read_errors: i64, Bounds::NotNegative;
        /// Writes that failed.
        write_errors "writeErrors" => write_errors: i64, Bounds::NotNegative;
        /// Blocks whose checksum was wrong.
        checksum_errors "checksumErrors" => checksum_errors: i64, Bounds::NotNegative;
        /// Members that are missing.
        missing_members "missingMembers" => missing_members: i32, Bounds::NotNegative;
        /// How much of its life the drive has used up, in percent; may exceed 100.
        wear_percent "wearPercent" => wear_percent: f32, Bounds::UpTo(255);
        /// Spare blocks that are left, in percent (0–100).
        spare_percent "sparePercent" => spare_percent: f32, Bounds::Percent;
        /// Progress of checking or rebuilding, in percent (0–100).
        sync_percent "syncPercent" => sync_percent: f32, Bounds::Percent;
        /// The temperature of the drive, in degrees Celsius.
        temperature_celsius "temperatureCelsius" => temperature_celsius: f32, Bounds::Between(-100, 200);
    }
    family "volume" {
        level "state" = state, Code;
        level "missingMembers" = missing_members, Count;
        per_hour "readErrorsPerHour" = read_errors, PerHour;
        per_hour "writeErrorsPerHour" = write_errors, PerHour;
        per_hour "checksumErrorsPerHour" = checksum_errors, PerHour;
        level "wearPercent" = wear_percent, Percent;
        level "sparePercent" = spare_percent, Percent;
        level "syncPercent" = sync_percent, Percent;
        gauge "temperatureCelsius" = temperature_celsius, Celsius;
    }
}
