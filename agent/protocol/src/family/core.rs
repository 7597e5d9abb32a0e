//! Processor cores, one by one.

use super::{Bounds, SeriesNames};
use crate::limits::{CORES_PER_SAMPLE_MAX, NAME_CHARS_MAX};

family! {
    /// One processor core since the previous sample.
    CoreMetrics, CoreNumbers in "core_metrics", rolled up from Hour;
    series "core_key" named by SeriesNames::Shared, at most CORES_PER_SAMPLE_MAX => {
        /// The number of the core; identifies it within its agent.
        core "core" => name, NAME_CHARS_MAX;
    }
    required {
        /// Percent of its time that was not idle (0–100).
        usage_percent "usagePercent" => usage_percent: f32, Bounds::Percent;
    }
    optional {
        /// Its frequency, in hertz.
        frequency_hertz "frequencyHertz" => frequency_hertz: i64, Bounds::NotNegative;
        /// Percent idle while waiting for a disk (0–100).
        iowait_percent "iowaitPercent" => iowait_percent: f32, Bounds::Percent;
    }
    family "core" {
        gauge "usagePercent" = usage_percent, Percent;
        gauge "iowaitPercent" = iowait_percent, Percent;
        gauge "frequencyHertz" = frequency_hertz, Hertz;
    }
}
