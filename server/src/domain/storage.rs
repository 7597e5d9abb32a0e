//! How much the metrics of one table take, and how that grows.

use super::tier::{DAY_MS, Tier};

/// How far a forecast looks ahead.
pub const FORECAST_DAYS: i64 = 30;

/// What one table or aggregate takes.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationStorage {
    /// Its name.
    pub relation: String,
    /// What it keeps: the subject of its table.
    pub subject: &'static str,
    /// In which resolution.
    pub tier: Tier,
    /// Bytes on disk, indexes included.
    pub bytes: i64,
    /// Chunks.
    pub n_chunks: i64,
    /// Chunks that are kept as columns.
    pub n_columnstore_chunks: i64,
    /// What becoming columns did to those; `None` where there are none.
    pub columnstore: Option<Compression>,
    /// How it grows.
    pub growth: Growth,
}

/// What becoming columns does to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// What chunks took as rows, in bytes.
    pub bytes_before: i64,
    /// What they take as columns, in bytes.
    pub bytes_after: i64,
}

impl Compression {
    /// Several together; `None` where there are none.
    pub fn sum(all: impl Iterator<Item = Compression>) -> Option<Self> {
        all.reduce(|one, other| Self {
            bytes_before: one.bytes_before.saturating_add(other.bytes_before),
            bytes_after: one.bytes_after.saturating_add(other.bytes_after),
        })
    }

    /// What so many bytes of rows become.
    fn of(self, bytes: i128) -> i128 {
        bytes.saturating_mul(i128::from(self.bytes_after)) / i128::from(self.bytes_before.max(1))
    }
}

/// What a table holds, and what becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Bytes on disk.
    pub bytes: i64,
    /// The time that its chunks cover, up to now.
    pub covered_ms: i64,
    /// What becoming columns did to those of its chunks that have.
    pub columnstore: Option<Compression>,
    /// How old rows get before they become columns, and what that is expected to do to them; `None` where they stay rows.
    pub becomes_columns: Option<(i64, Compression)>,
    /// How long it is kept; `None`: for ever.
    pub keep_ms: Option<i64>,
}

/// How a table grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Bytes that a day adds in the end, on average over what is stored: as columns, where that is what it becomes.
    pub bytes_per_day: i64,
    /// What it will take in thirty days, if that goes on: what has expired by then is gone.
    pub bytes_forecast: i64,
}

impl Growth {
    /// Follows from what is stored now.
    pub fn of(stored: &Stored) -> Self {
        if stored.covered_ms <= 0 {
            return Self { bytes_per_day: 0, bytes_forecast: stored.bytes };
        }
        // A quarter of a day is the least that says anything.
        let covered_ms = i128::from(stored.covered_ms.max(DAY_MS / 4));
        let saved = stored.columnstore.map_or(0, |columns| columns.bytes_before - columns.bytes_after);
        let as_rows = |ms: i128| i128::from(stored.bytes.saturating_add(saved)) * ms / covered_ms;
        let then_covered_ms = covered_ms + i128::from(FORECAST_DAYS * DAY_MS);
        let kept_ms =
            stored.keep_ms.map_or(then_covered_ms, |keep_ms| then_covered_ms.min(i128::from(keep_ms)));
        let (rows_ms, columns) = match stored.becomes_columns {
            Some((after_ms, columns)) => (kept_ms.min(i128::from(after_ms)), Some(columns)),
            None => (kept_ms, None),
        };
        let columns_ms = kept_ms - rows_ms;
        let as_columns = |ms: i128| columns.map_or(as_rows(ms), |columns| columns.of(as_rows(ms)));
        let day_ms = i128::from(DAY_MS);
        let per_day = if 0 < columns_ms { as_columns(day_ms) } else { as_rows(day_ms) };
        let forecast = as_rows(rows_ms) + as_columns(columns_ms);
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
