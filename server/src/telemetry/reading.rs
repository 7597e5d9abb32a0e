//! What a server did between two readings of its own metrics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prometheus::proto::{Metric, MetricFamily, MetricType};

use crate::domain::server_figures::ServerFigures;

/// All metrics at one time.
#[derive(Clone, Debug)]
pub struct Reading {
    at: Instant,
    families: Vec<MetricFamily>,
}

impl Reading {
    pub(super) fn new(families: Vec<MetricFamily>) -> Self {
        Self { at: Instant::now(), families }
    }

    /// Returns the figures of the time from an earlier reading to this one.
    pub fn since(&self, earlier: &Self) -> ServerFigures {
        let interval = self.at.duration_since(earlier.at).max(Duration::from_millis(1));
        let added = |name| whole(self.total(name) - earlier.total(name));
        let now = |name| whole(self.total(name));
        let pool = self.by_label("pika_database_pool_connections");
        let pool_used = pool.get("used").copied().unwrap_or_default();
        let cpu_seconds =
            self.total("process_cpu_seconds_total") - earlier.total("process_cpu_seconds_total");
        let [ack_p50_ms, ack_p99_ms] = self.percentiles_ms(earlier, "pika_ingest_ack_latency_seconds");
        let [flush_p50_ms, flush_p99_ms] = self.percentiles_ms(earlier, "pika_ingest_flush_duration_seconds");
        ServerFigures {
            interval_ms: i64::try_from(interval.as_millis()).unwrap_or(i64::MAX),
            agents_connected: now("pika_agents_connected"),
            connections: now("pika_http_connections"),
            queue_frames: now("pika_ingest_queue_frames"),
            pending_rows: now("pika_ingest_pending_rows"),
            pool_connections: now("pika_database_pool_connections"),
            pool_connections_used: whole(pool_used),
            resident_bytes: now("process_resident_memory_bytes"),
            frames_received: added("pika_ingest_frames_received_total"),
            frames_missing: added("pika_ingest_frames_missing_total"),
            rows_stored: added("pika_ingest_rows_stored_total"),
            rows_duplicate: added("pika_ingest_rows_duplicate_total"),
            samples_dropped: added("pika_ingest_samples_dropped_total"),
            flush_errors: added("pika_ingest_flush_errors_total"),
            database_errors: added("pika_database_errors_total"),
            refusals: self.refusals_since(earlier),
            cpu_percent: 100.0 * cpu_seconds.max(0.0) / interval.as_secs_f64(),
            ack_p50_ms,
            ack_p99_ms,
            flush_p50_ms,
            flush_p99_ms,
        }
    }

    fn refusals_since(&self, earlier: &Self) -> BTreeMap<String, i64> {
        let before = earlier.by_label("pika_ingest_refusals_total");
        let now = self.by_label("pika_ingest_refusals_total");
        let added = now.into_iter().map(|(code, count)| {
            let added = whole(count - before.get(code).copied().unwrap_or_default());
            (code.to_owned(), added)
        });
        added.filter(|(_, added)| *added != 0).collect()
    }

    fn metrics(&self, name: &str) -> impl Iterator<Item = (MetricType, &Metric)> {
        let family = self.families.iter().find(move |family| family.name() == name);
        family.into_iter().flat_map(|family| {
            let kind = family.get_field_type();
            family.get_metric().iter().map(move |metric| (kind, metric))
        })
    }

    /// Returns the value of a counter or gauge, summed over its labels.
    fn total(&self, name: &str) -> f64 {
        self.metrics(name).map(|(kind, metric)| value(kind, metric)).sum()
    }

    /// Returns the values of a counter or gauge by its only label.
    fn by_label(&self, name: &str) -> BTreeMap<&str, f64> {
        self.metrics(name)
            .filter_map(|(kind, metric)| Some((metric.get_label().first()?.value(), value(kind, metric))))
            .collect()
    }

    /// Returns how many values a histogram has, and of each of its bins the upper bound and how many values are below.
    fn bins(&self, name: &str) -> (u64, Vec<(f64, u64)>) {
        let Some((_, metric)) = self.metrics(name).next() else { return (0, Vec::new()) };
        let histogram = metric.get_histogram();
        let bins = histogram.get_bucket().iter().map(|bin| (bin.upper_bound(), bin.cumulative_count()));
        (histogram.get_sample_count(), bins.filter(|(bound, _)| bound.is_finite()).collect())
    }

    /// Returns the median and the 99th percentile of a histogram's values since an earlier reading, in milliseconds.
    fn percentiles_ms(&self, earlier: &Self, name: &str) -> [Option<f64>; 2] {
        let (n_before, before) = earlier.bins(name);
        let (n_now, mut bins) = self.bins(name);
        for ((_, count), (_, count_before)) in bins.iter_mut().zip(before) {
            *count = count.saturating_sub(count_before);
        }
        let n_values = n_now.saturating_sub(n_before);
        [0.5, 0.99].map(|share| percentile(n_values, &bins, share).map(|seconds| 1_000.0 * seconds))
    }
}

fn value(kind: MetricType, metric: &Metric) -> f64 {
    match kind {
        MetricType::COUNTER => metric.get_counter().get_value(),
        _ => metric.get_gauge().get_value(),
    }
}

/// Returns a percentile of values of which only the numbers below some bounds are known, as if they were spread evenly
/// between two of them. Values beyond the last bound count as that.
fn percentile(n_values: u64, bins: &[(f64, u64)], share: f64) -> Option<f64> {
    if n_values == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of a few minutes")]
    let rank = share * n_values as f64;
    let (mut lower, mut below) = (0.0, 0.0);
    for &(bound, count) in bins {
        #[expect(clippy::cast_precision_loss, reason = "counts of a few minutes")]
        let count = count as f64;
        if rank <= count {
            return Some(lower + (bound - lower) * (rank - below) / (count - below).max(1.0));
        }
        (lower, below) = (bound, count);
    }
    Some(lower)
}

#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

#[cfg(test)]
mod tests {
    use pika_protocol::ErrorCode;

    use super::*;
    use crate::telemetry::{Instruments, Snapshot};

    #[test]
    fn figures_are_those_of_the_interval() {
        let instruments = Instruments::new().unwrap();
        instruments.add_refused(ErrorCode::TooFast);
        instruments.add_flush(7, 0, 0.5);
        let before = instruments.reading(&Snapshot::default());
        let snapshot = Snapshot {
            agents_connected: 3,
            queue_frames: 4,
            pending_rows: 5,
            pool_connections: (8, 6),
            database_errors: vec![("lost", 2)],
        };
        instruments.begin_connection();
        instruments.add_frame();
        instruments.add_missing_frames(9);
        instruments.add_dropped_samples(10);
        instruments.add_refused(ErrorCode::Malformed);
        instruments.add_flush(100, 11, 0.02);
        instruments.add_flush_error();
        let figures = instruments.reading(&snapshot).since(&before);
        assert_eq!((figures.agents_connected, figures.queue_frames, figures.pending_rows), (3, 4, 5));
        assert_eq!((figures.pool_connections, figures.pool_connections_used), (8, 2));
        assert_eq!((figures.connections, figures.frames_received, figures.frames_missing), (1, 1, 9));
        assert_eq!((figures.rows_stored, figures.rows_duplicate), (100, 11));
        assert_eq!((figures.flush_errors, figures.database_errors, figures.samples_dropped), (1, 2, 10));
        assert_eq!(figures.refusals, BTreeMap::from([("malformed".to_owned(), 1)]));
        assert!(0 < figures.resident_bytes && 0 < figures.interval_ms && 0.0 <= figures.cpu_percent);
        assert_eq!(figures.ack_p50_ms, None);
        // Of the one flush in the interval only its bin is known: from 10 to 25 ms.
        let [p50, p99] = [figures.flush_p50_ms.unwrap(), figures.flush_p99_ms.unwrap()];
        assert!(10.0 < p50 && p50 < p99 && p99 < 25.0, "{p50} {p99}");
    }

    #[test]
    fn a_percentile_lies_within_its_bin() {
        let bins = [(1.0, 0), (2.0, 100), (4.0, 200)];
        assert_eq!(percentile(200, &bins, 0.5), Some(2.0));
        assert_eq!(percentile(200, &bins, 0.75), Some(3.0));
        assert_eq!(percentile(1_000, &bins, 0.75), Some(4.0), "it is beyond the last bound");
        assert_eq!(percentile(0, &[(1.0, 0), (2.0, 0)], 0.5), None);
    }
}
