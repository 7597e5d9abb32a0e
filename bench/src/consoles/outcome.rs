//! The report of `pika-bench consoles`, as one line of JSON or as a table.

use std::fmt::Write as _;

use serde::Serialize;

use crate::machine::Machine;
use crate::meter::Consumption;
use crate::timing::Timing;

/// The report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConsolesReport {
    pub(super) machine: Machine,
    pub(super) agents: u32,
    pub(super) interval_ms: u64,
    pub(super) consoles: u32,
    pub(super) seconds: u64,
    pub(super) server: Option<Load>,
    pub(super) database: Option<Load>,
    pub(super) server_memory_peak_kib: Option<u64>,
    pub(super) requests: Vec<Request>,
    /// Of all consoles together.
    pub(super) events_kib_per_second: f64,
}

/// A program's resource usage without and with consoles.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Load {
    cores_without: f64,
    cores_with: f64,
    memory_max_kib_without: u64,
    memory_max_kib_with: u64,
}

impl Load {
    /// Summarizes the measurements of one of two programs.
    pub(super) fn of(
        without: &[Option<Consumption>; 2],
        with: &[Option<Consumption>; 2],
        place: usize,
    ) -> Option<Self> {
        let (without, with) = (without.get(place)?.as_ref()?, with.get(place)?.as_ref()?);
        Some(Self {
            cores_without: without.cores(),
            cores_with: with.cores(),
            memory_max_kib_without: without.memory_max_kib,
            memory_max_kib_with: with.memory_max_kib,
        })
    }
}

/// A kind of request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) name: &'static str,
    pub(super) timing: Option<Timing>,
    /// Average size of an answer, compressed.
    pub(super) bytes: u64,
    /// Answers that told to come back later.
    pub(super) refused: u64,
}

impl ConsolesReport {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn to_table(&self) -> String {
        let mut text = format!(
            "{}\n{} machines, a sample every {} ms; {} consoles, {} s\n\n",
            self.machine, self.agents, self.interval_ms, self.consoles, self.seconds
        );
        text.push_str("request                       runs    p50 ms    p95 ms       KiB   refused\n");
        for Request { name, timing, bytes, refused } in &self.requests {
            let (runs, p50, p95) =
                timing.map_or((0, 0.0, 0.0), |timing| (timing.runs, timing.p50_ms, timing.p95_ms));
            let kib = bytes.div_ceil(1024);
            writeln!(text, "{name:<28} {runs:>5} {p50:>9.1} {p95:>9.1} {kib:>9} {refused:>9}")
                .unwrap_or_default();
        }
        for (name, load) in [("server", self.server), ("database", self.database)] {
            let Some(load) = load else { continue };
            write!(
                text,
                "\n{name}: {:.2} cores without consoles, {:.2} with; {} and {} MiB of memory",
                load.cores_without,
                load.cores_with,
                load.memory_max_kib_without / 1024,
                load.memory_max_kib_with / 1024
            )
            .unwrap_or_default();
        }
        if let Some(peak_kib) = self.server_memory_peak_kib {
            write!(text, "\nserver: at most {} MiB of memory since its start", peak_kib / 1024)
                .unwrap_or_default();
        }
        write!(text, "\nevents: {:.0} KiB/s to all consoles together", self.events_kib_per_second)
            .unwrap_or_default();
        text
    }
}
