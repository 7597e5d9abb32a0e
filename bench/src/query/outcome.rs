//! The report of `pika-bench query`, with targets.

use serde::Serialize;

use crate::chart::ChartTimings;
use crate::load::{FleetOptions, LoadedFleet};
use crate::machine::Machine;
use crate::timing::Timing;

/// Maximum time of a chart through the API, relative to plain SQL.
const CHART_RATIO_MAX: f64 = 2.0;
/// Maximum time of the latest values of all agents, relative to a plain `SELECT` of as many rows.
const LATEST_RATIO_MAX: f64 = 3.0;
/// Minimum speed-up of a chart of 30 days over one from raw samples.
const ROLLUP_RATIO_MIN: f64 = 30.0;

/// The measurements of one query.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    name: String,
    tier: Option<&'static str>,
    rows: Option<usize>,
    api: Option<Timing>,
    bare: Option<Timing>,
    from_raw: Option<Timing>,
    api_to_bare: Option<f64>,
    api_to_bare_max: Option<f64>,
    raw_to_api: Option<f64>,
    raw_to_api_min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
}

impl Line {
    /// A query that is only measured through the API.
    pub(super) fn new(name: &str, api: Option<Timing>) -> Self {
        Self {
            name: name.to_owned(),
            tier: None,
            rows: None,
            api,
            bare: None,
            from_raw: None,
            api_to_bare: None,
            api_to_bare_max: None,
            raw_to_api: None,
            raw_to_api_min: None,
            remark: api.is_none().then(|| "skipped: this server does not answer it".to_owned()),
        }
    }

    /// A chart. One that is read from raw samples has no speed-up.
    pub(super) fn of_chart(name: &str, is_long: bool, timings: &ChartTimings) -> Self {
        let ChartTimings { tier, n_rows, api, bare, from_raw } = *timings;
        Self {
            tier: Some(tier),
            rows: Some(n_rows),
            bare,
            from_raw,
            api_to_bare: ratio(api, bare),
            api_to_bare_max: (tier != "raw").then_some(CHART_RATIO_MAX),
            raw_to_api: ratio(from_raw, api).filter(|_| tier != "raw"),
            raw_to_api_min: is_long.then_some(ROLLUP_RATIO_MIN),
            ..Self::new(name, api)
        }
    }

    /// Records how many of all items were returned.
    pub(super) fn answered(&mut self, n_items: usize, total: i64) {
        self.rows = Some(n_items);
        self.remark = (i64::try_from(n_items) != Ok(total)).then(|| format!("of {total} only"));
    }

    /// Sets the times of a query whose target is relative to plain SQL.
    pub(super) fn measured(&mut self, api: Option<Timing>, bare: Option<Timing>) {
        (self.api, self.bare) = (api, bare);
        self.api_to_bare = ratio(api, bare);
        self.api_to_bare_max = Some(LATEST_RATIO_MAX);
    }

    fn verdict(&self) -> String {
        let mut parts = Vec::new();
        if let (Some(ratio), Some(max)) = (self.api_to_bare, self.api_to_bare_max) {
            parts.push(format!("API/SQL <= {max}: {}", if ratio <= max { "met" } else { "MISSED" }));
        }
        if let (Some(ratio), Some(min)) = (self.raw_to_api, self.raw_to_api_min) {
            parts.push(format!("raw/API >= {min}: {}", if min <= ratio { "met" } else { "MISSED" }));
        }
        parts.extend(self.remark.clone());
        parts.join(", ")
    }
}

/// The report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueryReport {
    machine: Machine,
    fleet: FleetOptions,
    rows: i64,
    queries: Vec<Line>,
}

impl QueryReport {
    pub(super) fn new(
        machine: Machine,
        fleet: FleetOptions,
        loaded: &LoadedFleet,
        queries: Vec<Line>,
    ) -> Self {
        Self { machine, fleet, rows: loaded.n_rows, queries }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn to_table(&self) -> String {
        let FleetOptions { agents, days, interval_ms, disks, networks } = &self.fleet;
        let mut table = format!(
            "{}\n{agents} agents x {days} days at {interval_ms} ms, {disks} disks, {networks} interfaces: {} rows\n\n",
            self.machine, self.rows
        );
        table += &format!(
            "{:<24} {:>4} {:>6} | {:>8} {:>8} | {:>8} {:>8} | {:>8} {:>8} | {:>7} {:>7} | {}\n",
            "p50 and p95 in ms",
            "tier",
            "rows",
            "API",
            "",
            "SQL",
            "",
            "from raw",
            "",
            "API/SQL",
            "raw/API",
            "target"
        );
        for line in &self.queries {
            let [api, bare, raw] = [line.api, line.bare, line.from_raw].map(columns);
            table += &format!(
                "{:<24} {:>4} {:>6} | {api} | {bare} | {raw} | {:>7} {:>7} | {}\n",
                line.name,
                line.tier.unwrap_or("-"),
                line.rows.map_or("-".to_owned(), |rows| rows.to_string()),
                decimal(line.api_to_bare),
                decimal(line.raw_to_api),
                line.verdict()
            );
        }
        table.truncate(table.trim_end().len());
        table
    }
}

fn ratio(one: Option<Timing>, other: Option<Timing>) -> Option<f64> {
    Some(one?.p50_ms / other?.p50_ms)
}

fn columns(timing: Option<Timing>) -> String {
    let [p50, p95] = [timing.map(|timing| timing.p50_ms), timing.map(|timing| timing.p95_ms)];
    format!("{:>8} {:>8}", decimal(p50), decimal(p95))
}

fn decimal(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.2}"))
}
