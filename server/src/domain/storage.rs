//! The size of metric tables, and their growth.

use super::TimestampMs;
use super::tier::{DAY_MS, Tier};

/// The period of a forecast, in days.
pub const FORECAST_DAYS: i64 = 30;

/// The storage of a table or aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationStorage {
    /// The name of the table or aggregate.
    pub relation: String,
    /// The subject of its table, such as `cpu`.
    pub subject: &'static str,
    /// The resolution.
    pub tier: Tier,
    /// Size on disk including indexes, in bytes.
    pub bytes: i64,
    /// Number of chunks.
    pub n_chunks: i64,
    /// The start of the oldest chunk, if there are any.
    pub oldest: Option<TimestampMs>,
    /// Number of chunks in the columnstore.
    pub n_columnstore_chunks: i64,
    /// The compression of these chunks, if there are any.
    pub columnstore: Option<Compression>,
    /// The data that the growth was computed from.
    pub stored: Stored,
    /// The growth.
    pub growth: Growth,
    /// The chunks, in no particular order.
    pub chunks: Vec<StoredChunk>,
}

/// A chunk, which retention drops as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredChunk {
    /// First millisecond of its span.
    pub start: TimestampMs,
    /// First millisecond after its span.
    pub end: TimestampMs,
    /// Size on disk including indexes, in bytes.
    pub bytes: i64,
    /// Approximate number of rows.
    pub rows: i64,
}

/// The sizes of chunks before and after conversion to the columnstore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Size as rows, in bytes.
    pub bytes_before: i64,
    /// Size as columns, in bytes.
    pub bytes_after: i64,
}

impl Compression {
    /// Sums several; `None` if there are none.
    pub fn sum(all: impl Iterator<Item = Compression>) -> Option<Self> {
        all.reduce(|one, other| Self {
            bytes_before: one.bytes_before.saturating_add(other.bytes_before),
            bytes_after: one.bytes_after.saturating_add(other.bytes_after),
        })
    }

    /// Returns the compressed size of so many bytes of rows.
    fn of(self, bytes: i128) -> i128 {
        bytes.saturating_mul(i128::from(self.bytes_after)) / i128::from(self.bytes_before.max(1))
    }
}

/// The stored data of a table, and its policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Size on disk, in bytes.
    pub bytes: i64,
    /// The time covered by its chunks up to now, in milliseconds.
    pub covered_ms: i64,
    /// The compression of its chunks in the columnstore, if there are any.
    pub columnstore: Option<Compression>,
    /// The age at which rows are converted to columns, in milliseconds, and the expected compression; `None` if they
    /// stay rows.
    pub becomes_columns: Option<(i64, Compression)>,
    /// How long it is kept, in milliseconds; `None` means forever.
    pub keep_ms: Option<i64>,
}

impl Stored {
    /// Returns the expected size in bytes once this much time is stored.
    pub fn bytes_of(&self, ms: i64) -> i64 {
        if self.covered_ms <= 0 {
            return self.bytes;
        }
        i64::try_from(self.holding(i128::from(ms))).unwrap_or(i64::MAX)
    }

    fn holding(&self, ms: i128) -> i128 {
        let rows_ms = self.rows_ms(ms);
        self.as_rows(rows_ms) + self.as_columns(ms - rows_ms)
    }

    /// Returns how much of so much time stays rows.
    fn rows_ms(&self, ms: i128) -> i128 {
        self.becomes_columns.map_or(ms, |(after_ms, _)| ms.min(i128::from(after_ms)))
    }

    fn as_rows(&self, ms: i128) -> i128 {
        let saved = self.columnstore.map_or(0, |columns| columns.bytes_before - columns.bytes_after);
        i128::from(self.bytes.saturating_add(saved)) * ms / self.significant_ms()
    }

    fn as_columns(&self, ms: i128) -> i128 {
        let as_rows = self.as_rows(ms);
        self.becomes_columns.map_or(as_rows, |(_, columns)| columns.of(as_rows))
    }

    /// Returns the time covered. A shorter time than a quarter of a day is not significant.
    fn significant_ms(&self) -> i128 {
        i128::from(self.covered_ms.max(DAY_MS / 4))
    }
}

/// The growth of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Average bytes added per day, after conversion to columns if applicable.
    pub bytes_per_day: i64,
    /// The expected size in thirty days, considering retention.
    pub bytes_forecast: i64,
}

impl Growth {
    /// Computes the growth from the stored data.
    pub fn of(stored: &Stored) -> Self {
        if stored.covered_ms <= 0 {
            return Self { bytes_per_day: 0, bytes_forecast: stored.bytes };
        }
        let then_covered_ms = stored.significant_ms() + i128::from(FORECAST_DAYS * DAY_MS);
        let kept_ms =
            stored.keep_ms.map_or(then_covered_ms, |keep_ms| then_covered_ms.min(i128::from(keep_ms)));
        let day_ms = i128::from(DAY_MS);
        let has_columns = stored.rows_ms(kept_ms) < kept_ms;
        let per_day = if has_columns { stored.as_columns(day_ms) } else { stored.as_rows(day_ms) };
        let forecast = stored.holding(kept_ms);
        Self {
            bytes_per_day: i64::try_from(per_day).unwrap_or(i64::MAX),
            bytes_forecast: i64::try_from(forecast).unwrap_or(i64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: Stored = Stored {
        bytes: 1_000,
        covered_ms: 10 * DAY_MS,
        columnstore: None,
        becomes_columns: None,
        keep_ms: None,
    };

    #[test]
    fn growth_goes_on_until_retention_holds_it() {
        assert_eq!(Growth::of(&ROWS), Growth { bytes_per_day: 100, bytes_forecast: 4_000 });
        let kept = Stored { keep_ms: Some(20 * DAY_MS), ..ROWS };
        assert_eq!(Growth::of(&kept).bytes_forecast, 2_000);
        let empty = Stored { bytes: 8_192, covered_ms: 0, ..ROWS };
        assert_eq!(Growth::of(&empty), Growth { bytes_per_day: 0, bytes_forecast: 8_192 });
    }

    #[test]
    fn what_becomes_columns_grows_as_columns() {
        let tenth = Compression { bytes_before: 700, bytes_after: 70 };
        // Seven of ten days have become columns, three are rows of 100 bytes a day.
        let stored = Stored {
            bytes: 370,
            columnstore: Some(tenth),
            becomes_columns: Some((3 * DAY_MS, tenth)),
            ..ROWS
        };
        assert_eq!(Growth::of(&stored), Growth { bytes_per_day: 10, bytes_forecast: 300 + 370 });
        // The same before any has become columns: what others became is known.
        let young = Stored { columnstore: None, ..stored };
        let young = Stored { bytes: 1_000, ..young };
        assert_eq!(Growth::of(&young), Growth { bytes_per_day: 10, bytes_forecast: 300 + 370 });
        // Kept for less time than it takes to become columns.
        let short = Stored { keep_ms: Some(2 * DAY_MS), ..stored };
        assert_eq!(Growth::of(&short), Growth { bytes_per_day: 100, bytes_forecast: 200 });
        assert_eq!(stored.bytes_of(2 * DAY_MS), 200);
        assert_eq!(stored.bytes_of(103 * DAY_MS), 300 + 1_000);
        assert_eq!(
            Stored { covered_ms: 0, ..ROWS }.bytes_of(DAY_MS),
            1_000,
            "nothing is known of its growth"
        );
    }

    #[test]
    fn absurd_sizes_overflow_nothing() {
        let most = Compression { bytes_before: i64::MAX, bytes_after: i64::MAX };
        let stored = Stored {
            bytes: i64::MAX,
            covered_ms: i64::MAX,
            columnstore: Some(most),
            becomes_columns: Some((i64::MAX, most)),
            keep_ms: Some(i64::MAX),
        };
        assert!(0 < Growth::of(&stored).bytes_forecast);
        let young = Stored { covered_ms: 1, becomes_columns: Some((0, most)), ..stored };
        assert!(0 < Growth::of(&young).bytes_per_day);
    }
}
