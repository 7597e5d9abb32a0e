//! What a change of the retention would drop, and what the rest would take.

use super::TimestampMs;
use super::retention::Retention;
use super::storage::{Growth, RelationStorage, Stored, StoredChunk};
use super::tier::Tier;

/// What a retention would do to one tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierPreview {
    /// The tier.
    pub tier: Tier,
    /// What would be dropped.
    pub dropped: Dropped,
    /// Start of the oldest chunk that would stay: no stored row is older. `None` if none would stay.
    pub kept_from: Option<TimestampMs>,
    /// What a day would eventually add, in bytes.
    pub bytes_per_day: i64,
    /// The expected size in thirty days, in bytes.
    pub bytes_forecast: i64,
    /// The expected size once as much is dropped as is added, in bytes; `None` if it grows forever.
    pub bytes_in_the_end: Option<i64>,
}

/// Chunks that would be dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Number of chunks.
    pub chunks: i64,
    /// Approximate number of rows.
    pub rows: i64,
    /// Size on disk, in bytes.
    pub bytes: i64,
    /// Everything before this would be dropped; `None` if nothing would be.
    pub before: Option<TimestampMs>,
}

/// Returns what a retention would do to each tier. Only chunks whose whole span has expired are dropped.
pub fn preview(relations: &[RelationStorage], retention: &Retention, now: TimestampMs) -> [TierPreview; 4] {
    Tier::ALL.map(|tier| {
        let keep_ms = retention.keep_ms(tier).map(|keep_ms| keep_ms.max(0));
        let expired_before = keep_ms.map(|keep_ms| now.saturating_sub(keep_ms));
        let is_expired = |chunk: &StoredChunk| expired_before.is_some_and(|before| chunk.end <= before);
        let of_tier = || relations.iter().filter(|relation| relation.tier == tier);
        let mut dropped = Dropped::default();
        let mut kept_from: Option<TimestampMs> = None;
        for chunk in of_tier().flat_map(|relation| &relation.chunks) {
            if is_expired(chunk) {
                dropped.chunks += 1;
                dropped.rows = dropped.rows.saturating_add(chunk.rows);
                dropped.bytes = dropped.bytes.saturating_add(chunk.bytes);
                dropped.before = dropped.before.max(Some(chunk.end));
            } else {
                kept_from = Some(kept_from.map_or(chunk.start, |from| from.min(chunk.start)));
            }
        }
        let growths = || of_tier().map(|relation| Growth::of(&Stored { keep_ms, ..relation.stored }));
        let sum = |bytes: &mut dyn Iterator<Item = i64>| bytes.fold(0, i64::saturating_add);
        TierPreview {
            tier,
            dropped,
            kept_from,
            bytes_per_day: sum(&mut growths().map(|growth| growth.bytes_per_day)),
            bytes_forecast: sum(&mut growths().map(|growth| growth.bytes_forecast)),
            bytes_in_the_end: keep_ms
                .map(|keep_ms| sum(&mut of_tier().map(|relation| relation.stored.bytes_of(keep_ms)))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tier::DAY_MS;

    /// Ten daily chunks of a hundred rows and a thousand bytes, of which the last began at `now`'s midnight.
    fn ten_days(relation: &str, tier: Tier) -> RelationStorage {
        let chunk =
            |day: i64| StoredChunk { start: day * DAY_MS, end: (day + 1) * DAY_MS, bytes: 1_000, rows: 100 };
        let stored = Stored { bytes: 10_000, covered_ms: 10 * DAY_MS, ..Stored::default() };
        RelationStorage {
            relation: relation.to_owned(),
            subject: "cpu",
            tier,
            bytes: stored.bytes,
            n_chunks: 10,
            oldest: None,
            n_columnstore_chunks: 0,
            columnstore: None,
            growth: Growth::of(&stored),
            stored,
            chunks: (100..110).map(chunk).collect(),
        }
    }

    fn keeping(raw_ms: Option<i64>) -> Retention {
        Retention { raw_ms, one_minute_ms: None, one_hour_ms: None, one_day_ms: None }
    }

    #[test]
    fn whole_chunks_that_have_expired_are_dropped() {
        let relations = [ten_days("cpu_metrics", Tier::Raw), ten_days("load_metrics", Tier::Raw)];
        let now = 109 * DAY_MS + DAY_MS / 2;
        // Three days before now lie in the middle of a chunk, which stays.
        let [raw, ..] = preview(&relations, &keeping(Some(3 * DAY_MS)), now);
        let before = Some(106 * DAY_MS);
        assert_eq!(raw.dropped, Dropped { chunks: 12, rows: 1_200, bytes: 12_000, before });
        assert_eq!(raw.kept_from, before);
        assert_eq!((raw.bytes_per_day, raw.bytes_forecast), (2_000, 6_000));
        assert_eq!(raw.bytes_in_the_end, Some(6_000));
        // At the very end of a chunk it is dropped.
        let [raw, ..] = preview(&relations, &keeping(Some(DAY_MS / 2)), now);
        assert_eq!((raw.dropped.chunks, raw.kept_from), (18, Some(109 * DAY_MS)));
    }

    #[test]
    fn what_is_kept_forever_only_grows() {
        let relations = [ten_days("cpu_metrics_1m", Tier::OneMinute)];
        let [raw, minutes, ..] = preview(&relations, &keeping(Some(DAY_MS)), 110 * DAY_MS);
        assert_eq!((raw.dropped, raw.kept_from, raw.bytes_in_the_end), (Dropped::default(), None, Some(0)));
        assert_eq!((minutes.dropped, minutes.kept_from), (Dropped::default(), Some(100 * DAY_MS)));
        assert_eq!((minutes.bytes_forecast, minutes.bytes_in_the_end), (40_000, None));
    }
}
