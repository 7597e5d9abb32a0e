//! How much the metrics of one table take, and how that grows.

use super::TimestampMs;
use super::family::Family;
use super::tier::{DAY_MS, Tier};

/// How far a forecast looks ahead.
pub const FORECAST_DAYS: i64 = 30;

/// What one table or aggregate takes.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationStorage {
    /// Its name.
    pub relation: String,
    /// What it holds.
    pub family: Family,
    /// In which resolution.
    pub tier: Tier,
    /// Bytes on disk, indexes included.
    pub bytes: i64,
    /// Chunks.
    pub n_chunks: i64,
    /// Chunks that are kept as columns.
    pub n_columnstore_chunks: i64,
    /// What those took as rows.
    pub columnstore_bytes_before: Option<i64>,
    /// What they take as columns.
    pub columnstore_bytes_after: Option<i64>,
    /// How it grows.
    pub growth: Growth,
}

/// How a table grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Bytes that a day adds, on average over what is stored.
    pub bytes_per_day: i64,
    /// What it will take in thirty days, if that goes on: what has expired by then is gone.
    pub bytes_forecast: i64,
}

impl Growth {
    /// From its size and the span `first..last` of its chunks.
    pub fn new(
        bytes: i64,
        first: Option<TimestampMs>,
        last: Option<TimestampMs>,
        now: TimestampMs,
        keep_ms: Option<i64>,
    ) -> Self {
        let (Some(first), Some(last)) = (first, last) else {
            return Self { bytes_per_day: 0, bytes_forecast: bytes };
        };
        // The newest chunk is filled only up to now. A quarter of a day is the least that says anything.
        let covered_ms = (last.min(now) - first).max(DAY_MS / 4);
        let per_day = i128::from(bytes) * i128::from(DAY_MS) / i128::from(covered_ms);
        let then_covered_ms = i128::from(covered_ms) + i128::from(FORECAST_DAYS * DAY_MS);
        let kept_ms = keep_ms.map_or(then_covered_ms, |keep_ms| then_covered_ms.min(i128::from(keep_ms)));
        let forecast = per_day * kept_ms / i128::from(DAY_MS);
        Self {
            bytes_per_day: i64::try_from(per_day).unwrap_or(i64::MAX),
            bytes_forecast: i64::try_from(forecast).unwrap_or(i64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_goes_on_until_retention_holds_it() {
        let now = 100 * DAY_MS;
        let for_ever = Growth::new(1_000, Some(90 * DAY_MS), Some(101 * DAY_MS), now, None);
        assert_eq!(for_ever, Growth { bytes_per_day: 100, bytes_forecast: 4_000 });
        let kept = Growth::new(1_000, Some(90 * DAY_MS), Some(101 * DAY_MS), now, Some(20 * DAY_MS));
        assert_eq!(kept.bytes_forecast, 2_000);
        let empty = Growth::new(8_192, None, None, now, None);
        assert_eq!(empty, Growth { bytes_per_day: 0, bytes_forecast: 8_192 });
    }
}
