//! The report of `pika-bench agent`, as one line of JSON or as a table.

use std::fmt::Write as _;

use serde::Serialize;

use crate::meter::Consumption;

/// The report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AgentReport {
    interval_ms: u64,
    seconds: f64,
    agent: ProgramReport,
    node_exporter: ProgramReport,
    /// CPU time of the agent relative to `node_exporter`; `None` if the latter used too little.
    cpu_ratio: Option<f64>,
}

/// The measurements of one program.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProgramReport {
    #[serde(skip)]
    seconds: f64,
    memory_start_kib: u64,
    memory_end_kib: u64,
    memory_max_kib: u64,
    memory_slope_kib_per_hour: f64,
    cpu_seconds: f64,
    cpu_seconds_per_hour: f64,
    binary_bytes: u64,
    /// Samples that were sent, or scrapes that were answered.
    reports: u64,
}

impl ProgramReport {
    pub(super) fn new(used: &Consumption, binary_bytes: u64, reports: u64) -> Self {
        Self {
            seconds: used.seconds,
            memory_start_kib: used.memory_start_kib,
            memory_end_kib: used.memory_end_kib,
            memory_max_kib: used.memory_max_kib,
            memory_slope_kib_per_hour: used.memory_slope_kib_per_hour,
            cpu_seconds: used.cpu_seconds,
            cpu_seconds_per_hour: used.cores() * 3_600.0,
            binary_bytes,
            reports,
        }
    }
}

impl AgentReport {
    pub(super) fn new(interval_ms: u64, agent: ProgramReport, node_exporter: ProgramReport) -> Self {
        let cpu_ratio =
            (0.0 < node_exporter.cpu_seconds).then(|| agent.cpu_seconds / node_exporter.cpu_seconds);
        Self { interval_ms, seconds: agent.seconds, agent, node_exporter, cpu_ratio }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(crate) fn to_table(&self) -> String {
        let mut table = format!("every {} ms, over {:.0} s\n\n", self.interval_ms, self.seconds);
        // Writing to a string cannot fail.
        let mut line = |name: &str, agent: String, exporter: String| {
            writeln!(table, "{name:<28} {agent:>14} {exporter:>14}").unwrap_or_default();
        };
        line("", "pika-agent".to_owned(), "node_exporter".to_owned());
        let mut row = |name: &str, decimals: usize, value: fn(&ProgramReport) -> f64| {
            let format = |program| format!("{:.decimals$}", value(program));
            line(name, format(&self.agent), format(&self.node_exporter));
        };
        row("memory at the start, KiB", 0, |program| program.memory_start_kib as f64);
        row("memory at the end, KiB", 0, |program| program.memory_end_kib as f64);
        row("peak memory, KiB", 0, |program| program.memory_max_kib as f64);
        row("memory growth, KiB per hour", 0, |program| program.memory_slope_kib_per_hour);
        row("CPU, seconds per hour", 2, |program| program.cpu_seconds_per_hour);
        row("binary, MB", 1, |program| program.binary_bytes as f64 / 1e6);
        row("reports", 0, |program| program.reports as f64);
        let ratio = self.cpu_ratio.map_or("not measured".to_owned(), |ratio| format!("{ratio:.2}"));
        line("CPU relative to node_exporter", ratio, String::new());
        table.truncate(table.trim_end().len());
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(cpu_seconds: f64) -> ProgramReport {
        let used = Consumption {
            seconds: 600.0,
            cpu_seconds,
            memory_start_kib: 1,
            memory_end_kib: 2,
            memory_max_kib: 3,
            memory_slope_kib_per_hour: 4.0,
        };
        ProgramReport::new(&used, 5, 6)
    }

    #[test]
    fn the_ratio_is_of_cpu_time() {
        let report = AgentReport::new(5_000, program(1.5), program(6.0));
        assert!((report.cpu_ratio.unwrap() - 0.25).abs() < 1e-9);
        assert!((report.agent.cpu_seconds_per_hour - 9.0).abs() < 1e-9);
        assert!(report.to_table().contains("0.25"));
        assert!(AgentReport::new(5_000, program(1.5), program(0.0)).cpu_ratio.is_none());
    }
}
