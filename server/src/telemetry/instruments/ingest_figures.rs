//! The figures of ingest as numbers, in total and within the last minute.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pika_protocol::ErrorCode;
use prometheus::Histogram;
use prometheus::core::Metric as _;

use super::ingest_metrics::IngestMetrics;

/// How often counts are remembered.
pub const FIGURES_INTERVAL: Duration = Duration::from_secs(5);
/// How far back they are.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Counts of ingest since the start of the process.
#[derive(Clone, Debug, Default)]
pub struct IngestCounts {
    /// Frames of registered agents.
    pub frames_received: u64,
    /// Frames that never arrived.
    pub frames_missing: u64,
    /// Frames with a repeated number.
    pub frames_repeated: u64,
    /// Samples that agents had to drop.
    pub samples_dropped: u64,
    /// Rows made from received samples.
    pub rows_received: u64,
    /// Received rows that were late.
    pub rows_late: u64,
    /// Committed rows.
    pub rows_stored: u64,
    /// Repeated rows that were stored already.
    pub rows_duplicate: u64,
    /// Failed flushes.
    pub flush_errors: u64,
    /// Detected conflicts of two machines with one identity.
    pub identity_conflicts: u64,
    /// Refusals by error code, without those that never happened.
    pub refused: Vec<(&'static str, u64)>,
    /// Frames between the queue and their commit.
    pub frames_unacknowledged: i64,
    flushes: Durations,
    acks: Durations,
}

impl IngestCounts {
    pub(super) fn of(ingest: &IngestMetrics) -> Self {
        let refused = |code: ErrorCode| {
            let count = ingest.refused.with_label_values(&[code.as_str()]).get();
            (0 < count).then_some((code.as_str(), count))
        };
        Self {
            frames_received: ingest.frames_received.get(),
            frames_missing: ingest.frames_missing.get(),
            frames_repeated: ingest.frames_repeated.get(),
            samples_dropped: ingest.samples_dropped.get(),
            rows_received: ingest.rows_received.get(),
            rows_late: ingest.rows_late.get(),
            rows_stored: ingest.rows_stored.get(),
            rows_duplicate: ingest.rows_duplicate.get(),
            flush_errors: ingest.flush_errors.get(),
            identity_conflicts: ingest.identity_conflicts.get(),
            refused: ErrorCode::ALL.into_iter().filter_map(refused).collect(),
            frames_unacknowledged: ingest.frames_unacknowledged.get(),
            flushes: Durations::of(&ingest.flush_seconds),
            acks: Durations::of(&ingest.ack_seconds),
        }
    }
}

/// Ingest within the last minute, or since the start if that is less.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecentIngest {
    /// The time that the figures cover.
    pub span: Duration,
    /// Rows committed per second.
    pub rows_per_second: f64,
    /// Frames received per second.
    pub frames_per_second: f64,
    /// Number of flushes.
    pub flushes: u64,
    /// Median and 99th percentile of the durations of flushes, in seconds; `None` without a flush.
    pub flush_seconds: Option<(f64, f64)>,
    /// The same of the time from the arrival of a frame to its commit.
    pub ack_seconds: Option<(f64, f64)>,
}

/// A histogram of durations in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
struct Durations {
    /// Upper bounds, each with the number of durations up to it.
    up_to: Vec<(f64, u64)>,
    count: u64,
}

impl Durations {
    fn of(histogram: &Histogram) -> Self {
        let metric = histogram.metric();
        let histogram = metric.get_histogram();
        let up_to = histogram.get_bucket().iter();
        Self {
            up_to: up_to.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count())).collect(),
            count: histogram.get_sample_count(),
        }
    }

    /// Returns the durations that were added since.
    fn since(&self, earlier: &Self) -> Self {
        let added = |((bound, count), (_, earlier)): ((f64, u64), &(f64, u64))| {
            (bound, count.saturating_sub(*earlier))
        };
        let up_to = self.up_to.iter().copied().zip(&earlier.up_to).map(added).collect();
        Self { up_to, count: self.count.saturating_sub(earlier.count) }
    }

    /// Returns the duration that this share does not exceed, to within a bucket; the last bound for longer ones.
    fn quantile(&self, share: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let wanted = share * as_f64(self.count);
        let (mut lower, mut reached) = (0.0, 0.0);
        for (bound, count) in &self.up_to {
            let count = as_f64(*count);
            if wanted <= count && reached < count {
                return Some(lower + (bound - lower) * (wanted - reached) / (count - reached));
            }
            (lower, reached) = (*bound, count);
        }
        Some(lower)
    }

    fn median_and_p99(&self) -> Option<(f64, f64)> {
        self.quantile(0.5).zip(self.quantile(0.99))
    }
}

/// Counts at several times within the last minute, oldest first.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<VecDeque<(Instant, IngestCounts)>>);

impl Remembered {
    pub(super) fn add(&self, at: Instant, counts: IngestCounts) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.push_back((at, counts));
        // The oldest is at least a minute old, so that the figures are of a whole one.
        while remembered.get(1).is_some_and(|(next, _)| REMEMBERED_FOR <= at.duration_since(*next)) {
            remembered.pop_front();
        }
    }

    pub(super) fn recent(&self, at: Instant, counts: &IngestCounts) -> RecentIngest {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((since, earlier)) = remembered.front() else { return RecentIngest::default() };
        let span = at.saturating_duration_since(*since);
        let seconds = span.as_secs_f64().max(0.001);
        let flushes = counts.flushes.since(&earlier.flushes);
        RecentIngest {
            span,
            rows_per_second: as_f64(counts.rows_stored.saturating_sub(earlier.rows_stored)) / seconds,
            frames_per_second: as_f64(counts.frames_received.saturating_sub(earlier.frames_received))
                / seconds,
            flushes: flushes.count,
            flush_seconds: flushes.median_and_p99(),
            ack_seconds: counts.acks.since(&earlier.acks).median_and_p99(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::super::builder::Builder;
    use super::*;

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let durations = Durations { up_to: vec![(0.1, 0), (0.2, 50), (0.5, 99), (1.0, 100)], count: 101 };
        let near = |share: f64, expected: f64| {
            let found = durations.quantile(share).unwrap();
            assert!((found - expected).abs() < 0.01, "{share}: {found}");
        };
        near(0.0, 0.1);
        near(0.25, 0.15);
        near(0.9, 0.45);
        near(1.0, 1.0);
        assert_eq!(Durations::default().quantile(0.5), None);
    }

    #[test]
    fn figures_are_of_the_last_minute() {
        let ingest = IngestMetrics::new(&Builder(Registry::new())).unwrap();
        let remembered = Remembered::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(remembered.recent(start, &IngestCounts::of(&ingest)), RecentIngest::default());
        // A hundred rows per second.
        for tick in 0..60 {
            remembered.add(at(5 * tick), IngestCounts::of(&ingest));
            ingest.rows_stored.inc_by(500);
            ingest.flush_seconds.observe(0.02);
        }
        let recent = remembered.recent(at(300), &IngestCounts::of(&ingest));
        assert_eq!((recent.span, recent.flushes), (Duration::from_secs(65), 13));
        assert!((recent.rows_per_second - 100.0).abs() < 0.1, "{recent:?}");
        let (median, p99) = recent.flush_seconds.unwrap();
        assert!(0.01 < median && median < p99 && p99 <= 0.025, "{recent:?}");
        assert!(remembered.0.lock().unwrap().len() <= 14);
    }
}
