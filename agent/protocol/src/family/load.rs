//! Load averages.

use super::{Bounds, Histogram};
use crate::limits::LOAD_MAX;

family! {
    /// Load averages of the last 1, 5 and 15 minutes.
    LoadMetrics, LoadNumbers in "load_metrics";
    required {
        /// Over one minute.
        load1 "load1" => load1: f32, Bounds::UpTo(LOAD_MAX);
        /// Over five minutes.
        load5 "load5" => load5: f32, Bounds::UpTo(LOAD_MAX);
        /// Over fifteen minutes.
        load15 "load15" => load15: f32, Bounds::UpTo(LOAD_MAX);
    }
    optional {}
    family "load" {
        gauge "load1" = load1, Count;
        gauge "load5" = load5, Count;
        gauge "load15" = load15, Count;
    }
    // Bins a tenth wide, from 0 (e^-4.6 = 0.01, the offset) to 10,000 (e^9.2). The offset gives an idle machine a
    // logarithm, too.
    histogram Histogram {
        metric: "load1",
        column: "load1",
        min: -4.6,
        max: 9.2,
        n_bins: 138,
        logarithm_offset: Some(0.01),
    };
}

impl Copy for LoadMetrics {}
