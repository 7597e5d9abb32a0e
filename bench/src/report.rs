//! Sums up what was measured.

use std::time::Duration;

use serde::Serialize;

use crate::fleet::Outcome;

/// What `pika-bench ingest` measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IngestReport {
    agents: u32,
    interval_ms: u64,
    rows_per_sample: u64,
    samples_sent: u64,
    samples_acknowledged: u64,
    refusals: u64,
    disconnects: u64,
    rows_acknowledged_per_second: f64,
    ack_latency_p50_ms: f64,
    ack_latency_p99_ms: f64,
    ack_latency_max_ms: f64,
    #[serde(skip)]
    latencies: Vec<Duration>,
}

impl IngestReport {
    pub(crate) fn new(agents: u32, interval_ms: u64, rows_per_sample: u64) -> Self {
        Self {
            agents,
            interval_ms,
            rows_per_sample,
            samples_sent: 0,
            samples_acknowledged: 0,
            refusals: 0,
            disconnects: 0,
            rows_acknowledged_per_second: 0.0,
            ack_latency_p50_ms: 0.0,
            ack_latency_p99_ms: 0.0,
            ack_latency_max_ms: 0.0,
            latencies: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Sent => self.samples_sent += 1,
            Outcome::Acknowledged(latency) => {
                self.samples_acknowledged += 1;
                self.latencies.push(latency);
            }
            Outcome::Refused => self.refusals += 1,
            Outcome::Disconnected => self.disconnects += 1,
        }
    }

    /// Everything has been counted; samples were sent for so long.
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    pub(crate) fn finish(&mut self, duration: Duration) {
        self.latencies.sort_unstable();
        let rows = self.samples_acknowledged * self.rows_per_sample;
        self.rows_acknowledged_per_second = rows as f64 / duration.as_secs_f64();
        self.ack_latency_p50_ms = self.percentile_ms(50);
        self.ack_latency_p99_ms = self.percentile_ms(99);
        self.ack_latency_max_ms = self.percentile_ms(100);
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn to_table(&self) -> String {
        let mut table = String::new();
        let mut row = |name: &str, value: String| {
            table += &format!("{name:<32} {value:>12}\n");
        };
        row("agents", self.agents.to_string());
        row("interval, ms", self.interval_ms.to_string());
        row("rows a sample", self.rows_per_sample.to_string());
        row("samples sent", self.samples_sent.to_string());
        row("samples acknowledged", self.samples_acknowledged.to_string());
        row("refusals", self.refusals.to_string());
        row("disconnects", self.disconnects.to_string());
        row("rows acknowledged a second", format!("{:.0}", self.rows_acknowledged_per_second));
        row("ack latency p50, ms", format!("{:.0}", self.ack_latency_p50_ms));
        row("ack latency p99, ms", format!("{:.0}", self.ack_latency_p99_ms));
        row("ack latency max, ms", format!("{:.0}", self.ack_latency_max_ms));
        table.truncate(table.trim_end().len());
        table
    }

    fn percentile_ms(&self, percent: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * percent / 100).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_acknowledged() {
        let mut report = IngestReport::new(1, 1_000, 10);
        for milliseconds in (1..=100).rev() {
            report.add(Outcome::Sent);
            report.add(Outcome::Acknowledged(Duration::from_millis(milliseconds)));
        }
        report.add(Outcome::Sent);
        report.finish(Duration::from_secs(10));
        assert_eq!((report.samples_sent, report.samples_acknowledged), (101, 100));
        assert!((report.ack_latency_p50_ms - 50.0).abs() < 1e-9);
        assert!((report.ack_latency_p99_ms - 99.0).abs() < 1e-9);
        assert!((report.ack_latency_max_ms - 100.0).abs() < 1e-9);
        assert!((report.rows_acknowledged_per_second - 100.0).abs() < 1e-9);
    }
}
