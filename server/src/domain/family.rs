//! The families of metrics and their tables, re-exported from the protocol, and percentiles of their histograms.

pub use pika_protocol::family::{
    Bounds, Column, ColumnType, Family, FamilyMetrics, Field, FinestRollup, Histogram, Label, Measurement,
    Metric, MetricKind, Numbers, PerTable, Series, SeriesNames, Table, Unit, Value,
};

/// Returns the value below which this share of the counted samples lies, to within a bin; `None` if the histogram is
/// empty.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52, for a value to within a bin")]
pub fn percentile(histogram: &Histogram, counts: &[i64], share: f64) -> Option<f64> {
    let total: i64 = counts.iter().sum();
    if total <= 0 {
        return None;
    }
    let value = |counted: f64| match histogram.logarithm_offset {
        Some(offset) => (counted.exp() - offset).max(0.0),
        None => counted,
    };
    let wanted = share * total as f64;
    let width = (histogram.max - histogram.min) / f64::from(histogram.n_bins);
    let mut reached = 0.0;
    for (index, count) in counts.iter().enumerate() {
        let count = *count as f64;
        if wanted <= reached + count && 0.0 < count {
            // The first bin counts values below the range, so the second begins at its lower end.
            let within = (wanted - reached) / count;
            let position = (index as f64 - 1.0 + within).clamp(0.0, f64::from(histogram.n_bins));
            return Some(value(histogram.min + width * position));
        }
        reached += count;
    }
    Some(value(histogram.max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_of_a_metric_and_its_column() {
        for table in Table::ALL {
            if let Some(histogram) = &table.histogram {
                let metric = table.metrics.iter().find(|metric| metric.name == histogram.metric);
                assert_eq!(metric.map(|metric| metric.column), Some(histogram.column), "{}", table.name);
            }
        }
    }

    #[test]
    fn percentiles_lie_within_their_bin() {
        let mut counts = vec![0; 102];
        // A hundred samples of 0.5, 1.5 … 99.5 percent.
        counts[1..=100].fill(1);
        let cpu = Family::Cpu.histogram().unwrap();
        let found = percentile(cpu, &counts, 0.95).unwrap();
        assert!((94.0..=95.0).contains(&found), "{found}");
        assert_eq!(percentile(cpu, &[0; 102], 0.95), None);
        let mut idle = vec![0; 140];
        idle[1] = 10;
        assert!(percentile(Family::Load.histogram().unwrap(), &idle, 0.95).unwrap() < 0.01);
    }
}
