//! The report of `pika-bench ingest`, as one line of JSON or as a table.

use std::fmt::Write as _;

use serde::Serialize;

use super::ceiling::Ceiling;
use super::rows::RowCount;
use super::tally::Latency;
use crate::machine::Machine;
use crate::meter::Consumption;

/// The report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IngestReport {
    pub(super) machine: Machine,
    pub(super) agents: u32,
    pub(super) interval_ms: u64,
    pub(super) rows_per_sample: u64,
    pub(super) connected: Connected,
    pub(super) steady: Option<PhaseReport>,
    pub(super) saturation: Option<SaturationReport>,
    pub(super) storm: Option<Storm>,
    pub(super) ceiling: Option<Ceiling>,
    /// Rows stored per second at saturation, relative to the ceiling.
    pub(super) ratio: Option<f64>,
    pub(super) rows: RowCount,
    pub(super) server_memory_peak_kib: Option<u64>,
    /// Frames with refused parts.
    pub(super) refusals: u64,
    pub(super) first_refusal: Option<String>,
    /// Connections not ended by the benchmark.
    pub(super) disconnects: u64,
    /// Failed attempts to connect or register, which were retried.
    pub(super) failed_attempts: u64,
    pub(super) first_failure: Option<String>,
}

/// The state when all agents are registered and none has sent anything yet.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connected {
    /// From the first connection to the last `register_ack`; bounded by `--connects-per-second`.
    pub(super) seconds: f64,
    pub(super) server_memory_kib: Option<u64>,
}

/// The report of a phase.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PhaseReport {
    pub(super) seconds: f64,
    pub(super) offered_rows_per_second: f64,
    pub(super) acknowledged_rows_per_second: f64,
    /// Counted in the database.
    pub(super) stored_rows_per_second: f64,
    pub(super) ack: Latency,
    pub(super) server: Option<Cost>,
    pub(super) database: Option<Cost>,
    pub(super) bench: Option<Cost>,
}

/// A program's resource usage in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cost {
    pub(super) cpu_seconds: f64,
    pub(super) cpu_cores: f64,
    pub(super) cpu_seconds_per_million_rows: f64,
    pub(super) memory_max_kib: u64,
    pub(super) memory_slope_kib_per_hour: f64,
}

/// The report of saturation.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SaturationReport {
    pub(super) agents: u32,
    pub(super) samples_per_frame: u16,
    pub(super) frames_in_flight: u16,
    #[serde(flatten)]
    pub(super) phase: PhaseReport,
}

/// The report of the storm, after all connections were cut at once.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Storm {
    /// Time from the cut until all agents were registered again.
    pub(super) registered_seconds: f64,
    /// Time from the cut until all samples taken by then were acknowledged.
    pub(super) acknowledged_seconds: f64,
    pub(super) ack: Latency,
    pub(super) server: Option<Cost>,
    pub(super) database: Option<Cost>,
}

impl Cost {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub(super) fn of(used: &Consumption, n_rows: u64) -> Self {
        let millions = (n_rows as f64 / 1e6).max(f64::MIN_POSITIVE);
        Self {
            cpu_seconds: used.cpu_seconds,
            cpu_cores: used.cores(),
            cpu_seconds_per_million_rows: if n_rows == 0 { 0.0 } else { used.cpu_seconds / millions },
            memory_max_kib: used.memory_max_kib,
            memory_slope_kib_per_hour: used.memory_slope_kib_per_hour,
        }
    }
}

impl IngestReport {
    /// Returns why the run failed, if it did.
    pub(crate) fn failure(&self) -> Option<String> {
        let RowCount { sent, stored, missing, duplicates, altered_series } = self.rows;
        (!self.rows.is_exact()).then(|| {
            let refusal = self.first_refusal.as_deref().unwrap_or("nothing");
            format!(
                "{sent} rows were sent and {stored} are stored: {missing} are missing, {duplicates} are too many, \
                 {altered_series} series have other times; the server refused: {refusal}"
            )
        })
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn to_table(&self) -> String {
        let mut table = Table(format!(
            "{}\n{} agents every {} ms, {} rows per sample\n\n",
            self.machine, self.agents, self.interval_ms, self.rows_per_sample
        ));
        table.line("all agents registered after, s", &[Some(format!("{:.1}", self.connected.seconds))]);
        table.line("server's memory then, MiB", &[self.connected.server_memory_kib.map(mib)]);
        table.line("server's peak memory, MiB", &[self.server_memory_peak_kib.map(mib)]);
        let saturation = self.saturation.as_ref().map(|saturation| &saturation.phase);
        let phases: Vec<(&str, &PhaseReport)> =
            [("steady", self.steady.as_ref()), ("saturation", saturation)]
                .into_iter()
                .filter_map(|(name, phase)| Some((name, phase?)))
                .collect();
        if !phases.is_empty() {
            table.phases(&phases);
        }
        if let Some(steady) = &self.steady {
            let slope = |cost: Cost| format!("{:.0}", cost.memory_slope_kib_per_hour);
            table.line("server: memory growth, KiB per hour", &[steady.server.map(slope)]);
            table.line("database: memory growth, KiB per hour", &[steady.database.map(slope)]);
        }
        if let (Some(ceiling), Some(ratio)) = (self.ceiling, self.ratio) {
            table.0.push('\n');
            table.line("binary COPY alone, rows/s", &[Some(format!("{:.0}", ceiling.rows_per_second))]);
            table.line("relative to binary COPY alone", &[Some(format!("{ratio:.2}"))]);
        }
        if let Some(storm) = self.storm {
            table.0.push('\n');
            table.line("storm: registered again, s", &[Some(format!("{:.1}", storm.registered_seconds))]);
            let acknowledged = Some(format!("{:.1}", storm.acknowledged_seconds));
            table.line("storm: all acknowledged, s", &[acknowledged]);
        }
        table.0.push('\n');
        table.line("rows sent", &[Some(self.rows.sent.to_string())]);
        table.line("rows stored", &[Some(self.rows.stored.to_string())]);
        table.line("rows missing", &[Some(self.rows.missing.to_string())]);
        table.line("rows duplicated", &[Some(self.rows.duplicates.to_string())]);
        table.line("frames refused", &[Some(self.refusals.to_string())]);
        table.line("connections lost", &[Some(self.disconnects.to_string())]);
        table.line("failed attempts to connect", &[Some(self.failed_attempts.to_string())]);
        if let Some(failure) = &self.first_failure {
            writeln!(table.0, "the first of them: {failure}").unwrap_or_default();
        }
        table.0.truncate(table.0.trim_end().len());
        table.0
    }
}

fn mib(kib: u64) -> String {
    (kib >> 10).to_string()
}

struct Table(String);

impl Table {
    fn line(&mut self, name: &str, values: &[Option<String>]) {
        // Writing to a string cannot fail.
        write!(self.0, "{name:<36}").unwrap_or_default();
        for value in values {
            write!(self.0, " {:>13}", value.as_deref().unwrap_or("not measured")).unwrap_or_default();
        }
        self.0.push('\n');
    }

    fn phases(&mut self, phases: &[(&str, &PhaseReport)]) {
        self.0.push('\n');
        let names: Vec<_> = phases.iter().map(|(name, _)| Some((*name).to_owned())).collect();
        self.line("", &names);
        let mut line = |name: &str, decimals: usize, value: &dyn Fn(&PhaseReport) -> Option<f64>| {
            let values: Vec<_> = phases
                .iter()
                .map(|(_, phase)| value(phase).map(|value| format!("{value:.decimals$}")))
                .collect();
            self.line(name, &values);
        };
        line("rows offered per second", 0, &|phase| Some(phase.offered_rows_per_second));
        line("rows acknowledged per second", 0, &|phase| Some(phase.acknowledged_rows_per_second));
        line("rows stored per second", 0, &|phase| Some(phase.stored_rows_per_second));
        line("ack latency p50, ms", 0, &|phase| Some(phase.ack.p50_ms));
        line("ack latency p99, ms", 0, &|phase| Some(phase.ack.p99_ms));
        line("ack latency max, ms", 0, &|phase| Some(phase.ack.max_ms));
        type Part = fn(&PhaseReport) -> Option<Cost>;
        let parts: [(&str, Part); 3] = [
            ("server", |phase| phase.server),
            ("database", |phase| phase.database),
            ("bench", |phase| phase.bench),
        ];
        for (name, part) in parts {
            line(&format!("{name}: cores"), 2, &|phase| Some(part(phase)?.cpu_cores));
            line(&format!("{name}: CPU s per million rows"), 2, &|phase| {
                Some(part(phase)?.cpu_seconds_per_million_rows)
            });
            #[expect(clippy::cast_precision_loss, reason = "figures for people")]
            line(&format!("{name}: peak memory, MiB"), 0, &|phase| {
                Some(part(phase)?.memory_max_kib as f64 / 1024.0)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_a_million_rows() {
        let used = Consumption {
            seconds: 10.0,
            cpu_seconds: 4.0,
            memory_start_kib: 1,
            memory_end_kib: 2,
            memory_max_kib: 3,
            memory_slope_kib_per_hour: 5.0,
        };
        let cost = Cost::of(&used, 2_000_000);
        assert!((cost.cpu_cores - 0.4).abs() < 1e-9);
        assert!((cost.cpu_seconds_per_million_rows - 2.0).abs() < 1e-9);
        assert_eq!(cost.memory_max_kib, 3);
        assert!(Cost::of(&used, 0).cpu_seconds_per_million_rows.abs() < 1e-9);
    }
}
