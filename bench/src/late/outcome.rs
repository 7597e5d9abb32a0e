//! The report of `pika-bench late`.

use serde::Serialize;

use crate::load::FleetOptions;
use crate::machine::Machine;

/// The cost of some work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cost {
    pub(super) seconds: f64,
    /// Write-ahead log of the whole database server, on which nothing else may run.
    pub(super) wal_bytes: u64,
    pub(super) rows: u64,
}

/// The report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LateReport {
    pub(super) machine: Machine,
    pub(super) fleet: FleetOptions,
    pub(super) late_agents: u32,
    pub(super) backlog_hours: u32,
    pub(super) minutes: u16,
    /// The same number of minutes in which nobody returned.
    pub(super) quiet: Cost,
    /// Writing the late samples.
    pub(super) written: Cost,
    /// Rolling them up.
    pub(super) rolled: Cost,
}

impl LateReport {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn to_table(&self) -> String {
        let Self { machine, fleet, late_agents, backlog_hours, minutes, .. } = self;
        let FleetOptions { agents, days, interval_ms, disks, networks } = fleet;
        let mut table = format!(
            "{machine}\n{agents} agents x {days} days at {interval_ms} ms, {disks} disks, {networks} interfaces\n\
             {late_agents} more come back over {minutes} minutes, each with {backlog_hours} hours of samples\n\n\
             {:<34} {:>9} {:>9} {:>10}",
            "", "seconds", "WAL MiB", "rows"
        );
        for (name, cost) in [
            ("rolling up while nobody is late", self.quiet),
            ("writing the late samples", self.written),
            ("rolling them up", self.rolled),
        ] {
            table += &format!(
                "\n{name:<34} {:>9.1} {:>9.1} {:>10}",
                cost.seconds,
                mebibytes(cost.wal_bytes),
                cost.rows
            );
        }
        table
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
